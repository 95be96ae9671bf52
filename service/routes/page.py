"""Lay out the description as one page that people read."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers.data import JsonLexer
from pygments.lexers.javascript import JavascriptLexer
from pygments.lexers.php import PhpLexer
from pygments.lexers.python import PythonLexer
from pygments.lexers.shell import BashLexer

from service.routes.described_answers import STANDARD_HEADERS
from service.routes.examples import example_of, example_request
from service.routes.samples import LANGUAGES, ORIGIN

_HERE = Path(__file__).parent
_LEXERS = {
    "php": PhpLexer(startinline=True),
    "javascript": JavascriptLexer(),
    "bash": BashLexer(),
    "python": PythonLexer(),
    "json": JsonLexer(),
}
_FORMAT = HtmlFormatter(nowrap=True)
_NOTHING: dict[str, Any] = {}
# Words that docs.css gives no colour stand there without a mark: that is half of the page's size.
_PLAIN = re.compile(r'<span class="(?!(?:s|s1|s2|nt|nb|k|kd|kn|kc|mi)")\w+">([^<]*)</span>')
# What every operation may answer is told once, for all of them.
_SHARED = {"400", "408", "413", "415", "500", "503"}

# The page itself, and what it links to: whoever reads this has found them.
_LEFT_OUT = "Documentation"


def page_of(openapi: Mapping[str, Any]) -> str:
    """Return the page; a description seen before is not laid out again."""
    return _laid_out(json.dumps(openapi))


@cache
def _laid_out(document: str) -> str:
    openapi = json.loads(document)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(prose=_prose, code=_code)
    template = environment.from_string(_read("docs.html"))
    return template.render(
        groups=list(_groups(openapi)),
        info=openapi["info"],
        languages={name: label for name, (label, _) in LANGUAGES.items()},
        origin=ORIGIN,
        script=Markup(_read("docs.js")),  # noqa: S704  # our own file
        shared=_shared_answers(openapi),
        standard={name: openapi["components"]["headers"][name]["example"] for name in STANDARD_HEADERS},
        style=Markup(_read("docs.css")),  # noqa: S704  # our own file
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _prose(text: str) -> Markup:
    """Set the parts between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped


def _code(text: str, language: str) -> Markup:
    """Colour a sample, and mark where it names the service's address."""
    coloured = highlight(text, _LEXERS[language], _FORMAT).rstrip("\n")
    marked = _PLAIN.sub(r"\1", coloured).replace(ORIGIN, f'<span class="origin">{ORIGIN}</span>')
    return Markup(marked)  # noqa: S704  # escaped by Pygments


def _groups(openapi: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the groups with their operations, in the order of the description."""
    operations = [
        (operation["tags"][0], _operation(openapi, path, method, operation))
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    for tag in openapi["tags"]:
        if tag["name"] != _LEFT_OUT:
            yield tag | {"operations": [operation for name, operation in operations if name == tag["name"]]}


def _operation(
    openapi: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> dict[str, Any]:
    request = example_request(path, method, operation)
    answers = [_answer(openapi, status, answer) for status, answer in operation["responses"].items()]
    return {
        **operation,
        "id": operation["operationId"],
        "method": request.method,
        "path": path.strip("/"),
        "bearer": "Authorization" in request.headers,
        "client": request.client is not None,
        "accept": request.headers["Accept"],
        "parameters": [*_parameters(operation), *_body_fields(openapi, operation)],
        "samples": {name: write(request) for name, (_, write) in LANGUAGES.items()},
        "answers": [answer for answer in answers if answer["status"] not in _SHARED],
        "others": [answer for answer in answers if answer["status"] in _SHARED],
        "fields": list(_answered_fields(openapi, operation)),
    }


def _parameters(operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for parameter in operation.get("parameters", []):
        yield {"required": False, **parameter, "example": example_of(parameter)}


def _body_fields(openapi: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    body = _resolved(openapi, content["schema"])
    for name, schema in body.get("properties", {}).items():
        yield {
            "name": name,
            "in": "body",
            "required": name in body.get("required", []),
            "schema": _resolved(openapi, schema),
            "description": _resolved(openapi, schema).get("description", ""),
            "example": content.get("example", {}).get(name, ""),
        }


def _answer(openapi: Mapping[str, Any], status: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Give the headers with their examples, and the body as the service would write it for people."""
    headers = {
        name: _resolved(openapi, header)
        for name, header in answer.get("headers", {}).items()
        if header["$ref"].rsplit("/", 1)[1] not in STANDARD_HEADERS
    }
    media_type, content = next(iter(answer.get("content", {}).items()), ("", _NOTHING))
    example = content.get("example")
    return {
        "status": status,
        "description": answer["description"],
        "headers": {name: header.get("example", "") for name, header in headers.items()},
        "media_type": media_type,
        "body": None if example is None else json.dumps(example, indent=4, ensure_ascii=False),
    }


def _shared_answers(openapi: Mapping[str, Any]) -> list[dict[str, Any]]:
    answers = {
        status: _answer(openapi, status, answer)
        for methods in openapi["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status in _SHARED
    }
    return [answers[status] for status in sorted(answers)]


def _answered_fields(openapi: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Give the fields of the successful answer."""
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get("application/json")
        if status.startswith("2") and content is not None:
            yield from _fields(openapi, content["schema"], "")


def _fields(openapi: Mapping[str, Any], schema: Mapping[str, Any], above: str) -> Iterator[dict[str, str]]:
    """Give the fields below a schema by their paths: `session.id`, `data[].ip`."""
    resolved = _resolved(openapi, schema)
    if resolved.get("type") == "array":
        yield from _fields(openapi, resolved["items"], f"{above}[]")
    for name, property_ in resolved.get("properties", {}).items():
        field = _resolved(openapi, property_)
        path = f"{above}.{name}".lstrip(".")
        yield {"name": path, "type": field.get("type", ""), "description": field.get("description", "")}
        yield from _fields(openapi, field, path)


def _resolved(openapi: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference to where it leads within the document."""
    if "$ref" not in node:
        return node
    found: Any = openapi
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    resolved: Mapping[str, Any] = found
    return resolved
