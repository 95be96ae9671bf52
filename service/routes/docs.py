"""Show the interface: a page for people, a description and a collection for tools."""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import Any

from sanic import Blueprint, HTTPResponse, Request

from service.routes import operations
from service.routes.answers import json_answer
from service.routes.collection import collection_of

docs = Blueprint("docs")

_OPEN: dict[str, Any] = {"methods": ["GET", "HEAD"], "ctx_public": True, "ctx_network_limited": True}


@docs.route("/", **_OPEN, ctx_operation=operations.LEAD_TO_DOCS)
async def lead_to_docs(_request: Request) -> HTTPResponse:
    return json_answer({"message": "The documentation is at /docs."}, 302, {"Location": "/docs"})


@docs.route("/docs", **_OPEN, ctx_operation=operations.PAGE)
async def page(request: Request) -> HTTPResponse:
    text = request.app.ctx.page
    headers = {"Content-Security-Policy": _policy(text)}
    return HTTPResponse(text, headers=headers, content_type="text/html; charset=utf-8")


@docs.route("/docs/openapi.json", **_OPEN, ctx_operation=operations.OPENAPI)
async def openapi(request: Request) -> HTTPResponse:
    return json_answer(request.app.ctx.openapi)


@docs.route("/docs/collection.json", **_OPEN, ctx_operation=operations.COLLECTION)
async def collection(request: Request) -> HTTPResponse:
    # Behind a proxy that ends TLS, the request itself looks like plain HTTP.
    scheme = "https" if request.app.ctx.https else "http"
    return json_answer(collection_of(request.app.ctx.openapi, f"{scheme}://{request.host}"))


@cache
def _policy(text: str) -> str:
    """Return the policy of a page: nothing is loaded, and nothing runs but its own two blocks."""
    sources = [
        "default-src 'none'",
        f"style-src {_hash_of('style', text)}",
        f"script-src {_hash_of('script', text)}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return "; ".join(sources)


def _hash_of(tag: str, text: str) -> str:
    """Return the CSP source of the page's one inline block of that name (CSP level 3, section 8.4)."""
    (block,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
    return f"'sha256-{b64encode(sha256(block.encode()).digest()).decode()}'"
