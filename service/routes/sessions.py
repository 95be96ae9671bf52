"""See where one is signed in, and sign out there."""

from sanic import Blueprint, HTTPResponse, Request

from models import Session
from service.clock import rfc3339
from service.errors import Invalid, NotFound
from service.routes import operations
from service.routes.answers import json_answer, no_content
from service.routes.guard import principal_of
from service.routes.refusals import path_of

sessions = Blueprint("sessions", url_prefix="/v1/backoffice/auth/sessions")

_PAGE_DIGITS_MAX = 9


@sessions.route("/", methods=["GET", "HEAD"], ctx_operation=operations.LIST_SESSIONS)
async def list_sessions(request: Request) -> HTTPResponse:
    principal = principal_of(request)
    page = await request.app.ctx.use_cases.list_sessions(_page_number(request), user_id=principal.user_id)
    meta = {"current_page": page.number, "last_page": page.last, "total": page.total}
    return json_answer({"data": [_describe(row, principal.sid) for row in page.sessions], "meta": meta})


@sessions.delete("/<sid:str>", ctx_operation=operations.END_SESSION)
async def end_session(request: Request, sid: str) -> HTTPResponse:
    if not await request.app.ctx.use_cases.end_session(principal_of(request), sid):
        # Somebody else's session and none at all look alike.
        raise NotFound(path_of(request))
    return no_content()


def _describe(row: Session, current: str) -> dict[str, object]:
    return {
        "id": row.id,
        "issued_at": rfc3339(row.started_at),
        "expires_at": rfc3339(row.expires_at),
        "last_seen_at": rfc3339(row.last_seen_at),
        "ip": row.ip,
        "user_agent": row.agent,
        "current": row.id == current,
    }


def _page_number(request: Request) -> int:
    text = request.args.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) <= _PAGE_DIGITS_MAX and int(text) > 0):
        raise Invalid({"page": ["The page field must be a whole number of at least 1."]})
    return int(text)
