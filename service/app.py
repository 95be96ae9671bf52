"""Wire Sanic: the routes, one hook before every request and one after it."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from sanic import HTTPResponse, Request, Sanic
from sanic_ext import Extend

from service import wiring
from service.clock import Clock, utc_now
from service.routes.auth import auth
from service.routes.cors import Cors
from service.routes.guard import require_principal
from service.routes.health import health
from service.routes.refusals import refuse
from service.routes.request_ids import request_id_of
from service.routes.sessions import sessions
from service.settings import Settings
from service.telemetry import logs

_BODY_MAX_BYTES = 16 * 1024
# A login waits for its hash: longer than any queue that the pool admits to.
_RESPONSE_TIMEOUT_SECONDS = 30
_REQUEST_TIMEOUT_SECONDS = 10
_KEEP_ALIVE_SECONDS = 75

_DOCS_PAGE = Path(__file__).parent / "routes" / "docs.html"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}


def create_app(settings: Settings, clock: Clock = utc_now) -> Sanic[Any, Any]:
    """Build the application; its stores are opened when it starts and closed when it has stopped."""
    app: Sanic[Any, Any] = Sanic("backoffice", configure_logging=False)
    app.config.update(
        REQUEST_MAX_SIZE=_BODY_MAX_BYTES,
        REQUEST_TIMEOUT=_REQUEST_TIMEOUT_SECONDS,
        RESPONSE_TIMEOUT=_RESPONSE_TIMEOUT_SECONDS,
        KEEP_ALIVE_TIMEOUT=_KEEP_ALIVE_SECONDS,
        GRACEFUL_SHUTDOWN_TIMEOUT=settings.shutdown_grace.total_seconds(),
        ACCESS_LOG=False,
        MOTD=False,
    )
    app.ctx.draining = False
    _describe(app)
    for blueprint in (auth, sessions, health):
        app.blueprint(blueprint)
    app.exception(Exception)(refuse)
    _open_stores(app, settings, clock)
    _hook_requests(app, settings)
    return app


def _describe(app: Sanic[Any, Any]) -> None:
    """Have sanic-ext write the OpenAPI description; the rest of it is ours already, or costs too much."""
    Extend(
        app,
        config={
            "OAS_URL_PREFIX": "/docs",
            "OAS_URI_TO_JSON": "/openapi.json",
            # Both of its pages load from a content delivery network: the first is replaced by our own.
            "OAS_UI_DEFAULT": "redoc",
            "OAS_PATH_TO_REDOC_HTML": str(_DOCS_PAGE),
            "OAS_URI_TO_REDOC": "/index.html",
            "OAS_UI_SWAGGER": False,
            "CORS": False,
            "CORS_AUTOMATIC_OPTIONS": False,
            "HTTP_AUTO_OPTIONS": False,
            "HTTP_AUTO_HEAD": False,
            "LOGGING": False,
        },
    )
    app.ext.openapi.describe("Backoffice authentication", "1", "Sign in, stay in, get out.")
    for route in app.router.routes:
        route.ctx.public = True


def _open_stores(app: Sanic[Any, Any], settings: Settings, clock: Clock) -> None:
    stores = AsyncExitStack()

    @app.before_server_start
    async def open_stores(app: Sanic[Any, Any]) -> None:
        app.ctx.use_cases = await stores.enter_async_context(wiring.open_use_cases(settings, clock))

    @app.before_server_stop
    async def drain(app: Sanic[Any, Any]) -> None:
        app.ctx.draining = True

    @app.after_server_stop
    async def close_stores(_app: Sanic[Any, Any]) -> None:
        await stores.aclose()


def _hook_requests(app: Sanic[Any, Any], settings: Settings) -> None:
    """One hook before and one after: every further pair would cost each request."""
    headers = _HEADERS | (_HTTPS_HEADERS if settings.force_https else {})
    cors = Cors(settings.cors_allowed_origins)

    @app.on_request
    async def before(request: Request) -> None:
        request.ctx.request_id = request_id_of(request)
        logs.request_id.set(request.ctx.request_id)
        await require_principal(request, app.ctx.use_cases.authenticate)

    @app.on_response
    async def after(request: Request, response: HTTPResponse) -> None:
        response.headers.update(headers)
        # A request that was cut off before the first hook has no id yet.
        response.headers["X-Request-ID"] = getattr(request.ctx, "request_id", None) or request_id_of(request)
        cors.mark(request, response)
