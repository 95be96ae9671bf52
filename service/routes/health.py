"""Tell a platform whether this process runs, and whether it can serve."""

from sanic import Blueprint, HTTPResponse, Request

from service.errors import ServiceUnavailable
from service.routes import operations
from service.routes.answers import json_answer

health = Blueprint("health", url_prefix="/health")


@health.route("/live", methods=["GET", "HEAD"], ctx_public=True, ctx_operation=operations.LIVE)
async def live(_request: Request) -> HTTPResponse:
    return json_answer({"status": "ok"})


@health.route("/ready", methods=["GET", "HEAD"], ctx_public=True, ctx_operation=operations.READY)
async def ready(request: Request) -> HTTPResponse:
    if request.app.ctx.draining:
        raise ServiceUnavailable
    down = await request.app.ctx.use_cases.check_health()
    # Still 200 with one store gone: the instance serves, and taking it out would help nobody.
    return json_answer({"status": "degraded", "down": down[0]} if down else {"status": "ok"})
