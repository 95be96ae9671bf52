"""Sign in, see who one is, stay in, change the password, sign out."""

from sanic import Blueprint, HTTPResponse, Request

from models.user import USER_MAX_LENGTH
from service.errors import Invalid
from service.routes import operations
from service.routes.answers import json_answer, no_content
from service.routes.bodies import strings
from service.routes.client_network import client_of
from service.routes.guard import principal_of
from service.security.password_policy import PASSWORD_MAX_LENGTH
from service.use_cases.log_out import Scope

auth = Blueprint("auth", url_prefix="/v1/backoffice/auth")


@auth.post("/", ctx_public=True, ctx_login_limited=True, ctx_operation=operations.LOG_IN)
async def log_in(request: Request) -> HTTPResponse:
    credentials = strings(request, user=USER_MAX_LENGTH, password=PASSWORD_MAX_LENGTH)
    token = await request.app.ctx.use_cases.log_in(**credentials, client=client_of(request))
    return json_answer({"token": token})


@auth.route("/", methods=["GET", "HEAD"], ctx_operation=operations.WHO_AM_I)
async def who_am_i(request: Request) -> HTTPResponse:
    principal = principal_of(request)
    return json_answer(
        {
            "id": principal.user_id,
            "name": principal.name,
            "user": principal.user,
            "session": {
                "id": principal.sid,
                "issued_at": principal.issued_at,
                "expires_at": principal.expires_at,
            },
        }
    )


@auth.delete("/", ctx_operation=operations.LOG_OUT)
async def log_out(request: Request) -> HTTPResponse:
    try:
        # A blank one as well: somebody's variable was empty, and less would end than was meant.
        scope = Scope(str(request.get_args(keep_blank_values=True).get("scope", Scope.CURRENT)))
    except ValueError as error:
        raise Invalid({"scope": ["The selected scope is invalid."]}) from error
    await request.app.ctx.use_cases.log_out(principal_of(request), scope)
    return no_content()


@auth.post("/refresh", ctx_operation=operations.REFRESH)
async def refresh(request: Request) -> HTTPResponse:
    token = await request.app.ctx.use_cases.refresh(principal_of(request))
    return json_answer({"token": token})


@auth.put("/password", ctx_login_limited=True, ctx_operation=operations.CHANGE_PASSWORD)
async def change_password(request: Request) -> HTTPResponse:
    fields = strings(request, current_password=PASSWORD_MAX_LENGTH, password=PASSWORD_MAX_LENGTH)
    token = await request.app.ctx.use_cases.change_password(
        principal_of(request), fields["current_password"], fields["password"], client_of(request)
    )
    return json_answer({"token": token})
