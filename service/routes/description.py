"""Write the OpenAPI description of the routes that the application has."""
# mypy: untyped-calls-exclude="sanic_ext"

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sanic import Sanic
from sanic_ext.extensions.openapi.builders import SpecificationBuilder
from sanic_ext.extensions.openapi.definitions import Operation
from sanic_routing import Route

from service.routes.described_answers import (
    FOR_CLIENTS,
    PRIVATE,
    RATED,
    TOO_MANY_ATTEMPTS,
    Answers,
    answers,
    limited,
)
from service.routes.operations import TAGS
from service.routes.route_names import pattern_of
from service.routes.schemas import components

_TITLE = "Backoffice / Authentication"
_VERSION = "1"
_TEXT = """\
JSON in, JSON out, UTF-8. An error is `{"message": "<sentence>"}`; a 422 adds `"errors"` by field.

Sign in for a token, send it as `Authorization: Bearer <token>`, sign out when done: from the next request on
the token is refused. `HEAD` works where `GET` does, `OPTIONS` everywhere; a trailing slash changes nothing.
An unknown route answers 404, another method 405 with `Allow`; what is not HTTP answers 400.
"""
Security = list[dict[str, list[str]]]
_BEARER: Security = [{"bearerAuth": []}]
_BASIC: Security = [{"basicAuth": []}]
_NOT_DESCRIBED = Operation(tags=["Not described yet"], summary="", description="")


def describe(app: Sanic[Any, Any], password_min_length: int) -> dict[str, Any]:
    """Return the description of every route, in the order of reading."""
    # The builder is one for the whole process, and would remember another application.
    SpecificationBuilder.reset()
    builder = SpecificationBuilder()
    builder.describe(_TITLE, _VERSION, _TEXT)
    builder.add_security_scheme(
        "bearerAuth", "http", bearer_format="JWT", description="The token that a login answers."
    )
    builder.add_security_scheme(
        "basicAuth", "http", scheme="basic", description="The id and secret of another service (`CLIENTS`)."
    )
    paths = _paths(app)
    builder.raw({"components": components(password_min_length), "paths": paths})
    document: dict[str, Any] = _of_today(builder.build(app).serialize())
    return document | {"openapi": "3.1.0", "tags": _tags(paths), "servers": [{"url": "/"}]}


def _tags(paths: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    used = [tag for methods in paths.values() for operation in methods.values() for tag in operation["tags"]]
    names = [*(name for name in TAGS if name in used), *(name for name in used if name not in TAGS)]
    return [{"name": name, "description": TAGS.get(name, "")} for name in dict.fromkeys(names)]


def _paths(app: Sanic[Any, Any]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in _as_written(app):
        path = pattern_of(route.path)
        for method in route.methods - {"HEAD"}:
            paths[path][method.lower()] = _operation(route)
    return paths


def _as_written(app: Sanic[Any, Any]) -> Iterator[Route]:
    """Give the routes in the order in which their blueprints were added and their handlers are written.

    The router has them in the order in which it matches them.
    """
    places = {name: place for place, name in enumerate(app.blueprints)}
    yield from sorted(
        app.router.routes,
        key=lambda route: (
            places.get(route.name.split(".")[1], len(places)),
            route.handler.__code__.co_firstlineno,
        ),
    )


def _operation(route: Route) -> dict[str, Any]:
    """Describe a route in its own words, and by what follows from its marks.

    One that has no words yet is shown all the same; a test asks for them.
    """
    name = route.name.split(".")[-1]
    said = getattr(route.ctx, "operation", _NOT_DESCRIBED).serialize()
    summary = said.get("summary") or name.replace("_", " ").capitalize()
    return {
        "security": _security(route),
        **said,
        "operationId": name,
        "summary": summary,
        "responses": _answers(route, said),
    }


def _security(route: Route) -> Security:
    if getattr(route.ctx, "for_clients", False):
        return _BASIC
    return [] if getattr(route.ctx, "public", False) else _BEARER


def _answers(route: Route, said: dict[str, Any]) -> Answers:
    own: Answers = said.get("responses", {})
    if getattr(route.ctx, "login_limited", False):
        return limited(answers(_guarding(route), TOO_MANY_ATTEMPTS, own))
    guarding = _guarding(route)
    return limited(answers(guarding, own)) if guarding else answers(own)


def _guarding(route: Route) -> Answers:
    """Give what the guard answers before the handler is reached."""
    if getattr(route.ctx, "for_clients", False):
        return FOR_CLIENTS
    if not getattr(route.ctx, "public", False):
        return PRIVATE
    return RATED if getattr(route.ctx, "network_limited", False) else {}


def _of_today(node: Any) -> Any:
    """Turn what sanic-ext writes, OpenAPI 3.0, into 3.1: there, a schema's example is a list of them."""
    if isinstance(node, list):
        return [_of_today(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _of_today(value) for name, value in node.items()}
    if "type" in node and "example" in node:
        node["examples"] = [node.pop("example")]
    return node
