"""Wire Sanic: the routes, one hook before every request and one after it."""

from contextlib import AsyncExitStack
from time import perf_counter
from typing import Any

from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import RequestCancelled
from sanic_ext import Extend

from service import wiring
from service.clock import Clock, utc_now
from service.routes.access_log import log_access
from service.routes.answers import add_header_lines
from service.routes.auth import auth
from service.routes.client_network import Proxies
from service.routes.cors import Cors
from service.routes.description import describe
from service.routes.docs import docs
from service.routes.framing import FramedRequest
from service.routes.gateways import GatewayRouter
from service.routes.guard import let_in
from service.routes.health import health
from service.routes.limits import mark_limit
from service.routes.metrics import metrics as metrics_route
from service.routes.page import page_of
from service.routes.refusals import refuse
from service.routes.request_ids import request_id_of
from service.routes.sessions import sessions
from service.routes.standard_headers import HEADERS, HTTPS_HEADERS, StandardHeaders
from service.routes.tokens import tokens
from service.routes.traces import trace_requests
from service.security.client_credentials import ClientCredentials
from service.settings import Settings
from service.telemetry import logs, metrics
from service.telemetry.exports import Spans

_BODY_MAX_BYTES = 16 * 1024
# A login waits for its hash, which has to begin by LOGIN_DEADLINE, at most 25 s.
_RESPONSE_TIMEOUT_SECONDS = 30
# From the first byte of a request to the last of its body: see routes/connections.py.
_REQUEST_TIMEOUT_SECONDS = 10
_KEEP_ALIVE_SECONDS = 75

# 500 is a bug and 503 is not: they mean different things to whoever is woken by them.
_CLASSES = {
    **{100 * first + rest: f"{first}xx" for first in (2, 3, 4) for rest in range(100)},
    **dict.fromkeys(range(500, 600), "500"),
    503: "503",
}


def create_app(settings: Settings, clock: Clock = utc_now, spans: Spans | None = None) -> Sanic[Any, Any]:
    """Build the application; its stores are opened when it starts and closed when it has stopped."""
    app: Sanic[Any, Any] = Sanic(
        "backoffice", router=GatewayRouter(), request_class=FramedRequest, configure_logging=False
    )
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
    app.ctx.clock = clock
    app.ctx.metrics_token = settings.metrics_token
    app.ctx.proxies = Proxies(settings.trusted_proxies, settings.trusted_proxy_hops)
    app.ctx.clients = ClientCredentials(settings.clients)
    for blueprint in (auth, sessions, tokens, health):
        app.blueprint(blueprint)
    if settings.metrics_token is not None or not settings.production:
        app.blueprint(metrics_route)
    _describe(app, settings)
    app.exception(Exception)(refuse)
    # It is no Exception, for it cancels a task; unheard, it would be a 500.
    app.exception(RequestCancelled)(refuse)  # type: ignore[arg-type]
    _open_stores(app, settings, clock)
    if spans is not None:
        trace_requests(app, spans)
    _hook_requests(app, settings)
    return app


def _describe(app: Sanic[Any, Any], settings: Settings) -> None:
    """Have sanic-ext describe the routes: of all its parts, only the builder is used.

    Its pages load from a content delivery network, and its injection costs every request.
    """
    Extend(app, built_in_extensions=False)
    if not settings.docs:
        return
    app.blueprint(docs)
    app.ctx.https = settings.force_https

    @app.before_server_start
    async def describe_routes(app: Sanic[Any, Any]) -> None:
        app.ctx.openapi = describe(app, settings.password_min_length)
        # Now, when nobody waits yet: it takes a tenth of a second and more.
        app.ctx.page = page_of(app.ctx.openapi)


def _open_stores(app: Sanic[Any, Any], settings: Settings, clock: Clock) -> None:
    stores = AsyncExitStack()

    @app.before_server_start
    async def open_stores(app: Sanic[Any, Any]) -> None:
        app.ctx.use_cases = await stores.enter_async_context(wiring.open_use_cases(settings, clock))
        keeper = app.ctx.use_cases.revoked_keeper
        await keeper.start()
        stores.push_async_callback(keeper.stop)
        for noting in (app.ctx.use_cases.last_seen, app.ctx.use_cases.events):
            noting.start()
            stores.push_async_callback(noting.stop)

    @app.after_server_stop
    async def close_stores(_app: Sanic[Any, Any]) -> None:
        await stores.aclose()


def _hook_requests(app: Sanic[Any, Any], settings: Settings) -> None:
    """One hook before and one after: every further pair would cost each request."""
    cors = Cors(settings.cors_allowed_origins)
    standard = StandardHeaders(HEADERS | (HTTPS_HEADERS if settings.force_https else {}) | cors.headers)

    @app.on_request
    async def before(request: Request) -> None:
        if settings.access_log:
            request.ctx.began = perf_counter()
        request.ctx.request_id = request_id_of(request)
        logs.request_id.set(request.ctx.request_id)
        await let_in(request, app.ctx.use_cases.authenticate, app.ctx.use_cases.network_rate)

    # A coroutine although it awaits nothing: Sanic looks at a length at anything else to see what it is.
    @app.on_response
    async def after(request: Request, response: HTTPResponse) -> None:
        standard.add_to(response)
        # A request that was cut off before the first hook has no id yet.
        request_id = getattr(request.ctx, "request_id", None) or request_id_of(request)
        add_header_lines(response, f"X-Request-ID: {request_id}")
        mark_limit(request, response)
        cors.mark(request, response)
        # No histogram of all durations: two looks at the clock and two more cells are 2 % of a warm request.
        metrics.REQUESTS.count(_CLASSES[response.status])
        if settings.access_log:
            log_access(request, response, request_id)
