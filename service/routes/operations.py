"""Say of the operations what they take and answer, in the words of OpenAPI.

A route names its own by `ctx_operation`; what follows from the route itself is not said here, but derived
in `description.py`: its address and methods, its security, and the answers of its guard and its limit.
"""
# mypy: untyped-calls-exclude="sanic_ext"

from sanic_ext.extensions.openapi.definitions import Operation, Parameter, Reference, RequestBody
from sanic_ext.extensions.openapi.types import Integer, Password, String

from models.user import USER_MAX_LENGTH
from service.errors import CredentialsRefused, Invalid, NotFound, ServiceUnavailable, Unauthenticated
from service.routes.described_answers import (
    ANYWHERE,
    BAD_BODIES,
    answer,
    answers,
    form_or_json_body,
    json_body,
    refused,
)
from service.routes.schemas import JWK_SET, LIVE_TOKEN, PRINCIPAL, SESSIONS, SID, TOKEN
from service.security.password_policy import PASSWORD_MAX_LENGTH
from service.use_cases.log_out import Scope

TAGS = {
    "Backoffice / Authentication": "Sign in, stay in, get out.",
    "Sessions": "Where one is signed in.",
    "Other services": "What a token is worth, and its end.",
    "Health": "For platforms and load balancers.",
    "Metrics": "For whoever watches over the service.",
    "Documentation": "This interface, for people and for tools.",
}

# Something but blanks, and no NUL.
_NAME = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"

# What of an answer another operation takes, for tools that follow it.
_TOKEN_LEADS_TO = {
    name: {"operationId": name, "requestBody": "$response.body"} for name in ("introspect", "revoke")
}
_SESSION_LEADS_TO = {
    "end_session": {"operationId": "end_session", "parameters": {"sid": "$response.body#/data/0/id"}}
}

LOG_IN = Operation(
    tags=["Backoffice / Authentication"],
    summary="Login",
    description="Get a JWT via given credentials.",
    requestBody=json_body(
        {"user": "causas", "password": "causas123"},
        user=String(minLength=1, maxLength=USER_MAX_LENGTH, pattern=_NAME, description="The username."),
        password=Password(minLength=1, maxLength=PASSWORD_MAX_LENGTH, description="The user password."),
    ),
    responses=answers(
        answer(200, "A fresh token of a fresh session.", "Token", TOKEN, links=_TOKEN_LEADS_TO),
        refused(CredentialsRefused(None), "Unknown, wrong or disabled: one answer for all of them."),
        refused(
            Invalid({name: [f"The {name} field is required."] for name in ("user", "password")}),
            "A field is missing, of another type, or too long.",
        ),
        BAD_BODIES,
        ANYWHERE,
    ),
)
WHO_AM_I = Operation(
    tags=["Backoffice / Authentication"],
    summary="Who am I",
    description="Get the user and the session behind the token.",
    responses=answers(answer(200, "The user and this session.", "Principal", PRINCIPAL), ANYWHERE),
)
LOG_OUT = Operation(
    tags=["Backoffice / Authentication"],
    summary="Log out",
    description="End this session, the user's others, or all of them. When the answer arrives,"
    " no token of an ended session is accepted any more.",
    parameters=[
        Parameter(
            "scope",
            String(enum=[scope.value for scope in Scope], default=Scope.CURRENT.value),
            "query",
            "Which sessions to end.",
        )
    ],
    responses=answers(
        answer(204, "The sessions have ended."),
        refused(Invalid({"scope": ["The selected scope is invalid."]}), "The scope is none of the three."),
        ANYWHERE,
    ),
)
REFRESH = Operation(
    tags=["Backoffice / Authentication"],
    summary="Refresh",
    description="Get a new token of the same session. The old one runs out by itself, and no refresh"
    " leads beyond the absolute end of the session.",
    responses=answers(answer(200, "A later token of the same session.", "Token", TOKEN), ANYWHERE),
)
CHANGE_PASSWORD = Operation(
    tags=["Backoffice / Authentication"],
    summary="Change password",
    description="Set a new password by the old one. Every earlier token of the user is dead by the"
    " time of the answer; a wrong current password counts as a failed login.",
    requestBody=json_body(
        {"current_password": "causas123", "password": "correct horse battery staple"},
        current_password=Password(
            minLength=1, maxLength=PASSWORD_MAX_LENGTH, description="The password until now."
        ),
        password=Reference("#/components/schemas/NewPassword"),
    ),
    responses=answers(
        answer(200, "A fresh token: the only one that is good.", "Token", TOKEN),
        refused(
            CredentialsRefused(None),
            "A wrong current password; `Unauthenticated.` for a bad token.",
        ),
        refused(
            Invalid({"password": ["The given password is too common. Please choose a different password."]}),
            "A field is missing, of another type, or too long; the new password is short or common.",
        ),
        BAD_BODIES,
        ANYWHERE,
    ),
)
LIST_SESSIONS = Operation(
    tags=["Sessions"],
    summary="List sessions",
    description="Get the user's living sessions, newest first, 50 a page.",
    parameters=[
        Parameter(
            "page",
            Integer(minimum=1, maximum=999_999_999, default=1),
            "query",
            "Which page, counted from 1.",
            allowEmptyValue=True,
        )
    ],
    responses=answers(
        answer(200, "One page of sessions.", "Sessions", SESSIONS, links=_SESSION_LEADS_TO),
        refused(
            Invalid({"page": ["The page field must be a whole number of at least 1."]}),
            "The page is not a number.",
        ),
        ANYWHERE,
    ),
)
END_SESSION = Operation(
    tags=["Sessions"],
    summary="End a session",
    description="End one of the user's own sessions, and every token of it.",
    parameters=[Parameter("sid", String(example=SID), "path", "The id of the session.", required=True)],
    responses=answers(
        answer(204, "The session has ended."),
        refused(
            NotFound(f"v1/backoffice/auth/sessions/{SID}"),
            "Somebody else's session, or none at all.",
        ),
        ANYWHERE,
    ),
)


def _token_of_somebody() -> RequestBody:
    return form_or_json_body(
        {"token": "eyJ0e..."}, token=String(minLength=1, description="The token in question.")
    )


_TOKEN_MISSING = refused(
    Invalid({"token": ["The token field is required."]}), "The token is missing, or no string."
)

INTROSPECT = Operation(
    tags=["Other services"],
    summary="Introspect",
    description="Get what a token says, if it is good at this moment (RFC 7662): for other services,"
    " by their client credentials.",
    requestBody=_token_of_somebody(),
    responses=answers(
        answer(
            200, 'What it says; of any other token exactly `{"active":false}`.', "Introspection", LIVE_TOKEN
        ),
        _TOKEN_MISSING,
        BAD_BODIES,
        ANYWHERE,
    ),
)
REVOKE = Operation(
    tags=["Other services"],
    summary="Revoke",
    description="End the session of a token, and so every token of it (RFC 7009). An unknown or dead"
    " token is answered alike.",
    requestBody=_token_of_somebody(),
    responses=answers(
        answer(200, "No token of the session is accepted any more.", "Nothing"),
        _TOKEN_MISSING,
        BAD_BODIES,
        ANYWHERE,
    ),
)
VERIFY = Operation(
    tags=["Other services"],
    summary="Verify",
    description="Get who calls, for a gateway that asks before it lets a request through. Any method,"
    " and any path below this one, is answered alike; no limit applies.",
    responses=answers(
        answer(204, "A good token.", headers=("X-Auth-Id", "X-Auth-User", "X-Auth-Session")),
        refused(Unauthenticated(), "No token, or one that is not good (any more)."),
        ANYWHERE,
    ),
    security=[{"bearerAuth": []}],
)
JWKS = Operation(
    tags=["Other services"],
    summary="Public keys",
    description="Get the keys to verify tokens with, as a JWK Set, symmetric ones never among them."
    " A token that verifies may have been revoked: only this service knows.",
    responses=answers(answer(200, "The public keys.", "JwkSet", JWK_SET, ("Kept",))),
)
LIVE = Operation(
    tags=["Health"],
    summary="Liveness",
    description="Tell that the process runs.",
    responses=answers(answer(200, "It runs.", "Health", {"status": "ok"})),
)
READY = Operation(
    tags=["Health"],
    summary="Readiness",
    description="Tell whether the instance can serve. With one store gone it still does, and says"
    " `degraded`.",
    responses=answers(
        answer(200, "It serves.", "Health", {"status": "ok"}),
        refused(ServiceUnavailable(), "Neither store answers, or the instance is about to stop."),
    ),
)
SHOW_METRICS = Operation(
    tags=["Metrics"],
    summary="Metrics",
    description="Get counters, gauges and histograms of all workers, for Prometheus. Where"
    " `METRICS_TOKEN` is set, it is asked for as `Authorization: Bearer <METRICS_TOKEN>`.",
    responses=answers(
        answer(200, "Prometheus' text format, 0.0.4.", "Text", media_type="text/plain"),
        refused(Unauthenticated(), "`METRICS_TOKEN` is set, and was not sent."),
    ),
)
LEAD_TO_DOCS = Operation(
    tags=["Documentation"],
    summary="Front door",
    description="Get the way to the documentation.",
    responses=answers(
        answer(
            302,
            "The way to the documentation.",
            "Message",
            {"message": "The documentation is at /docs."},
            ("Location",),
        )
    ),
)
PAGE = Operation(
    tags=["Documentation"],
    summary="Documentation page",
    description="Get a page to read, and to send requests from.",
    responses=answers(
        answer(
            200,
            "A page that loads nothing from elsewhere.",
            "Page",
            headers=("Page-Policy",),
            media_type="text/html",
        )
    ),
)
OPENAPI = Operation(
    tags=["Documentation"],
    summary="OpenAPI description",
    description="Get this document.",
    responses=answers(answer(200, "OpenAPI 3.1.", "Document", {"openapi": "3.1.0"})),
)
COLLECTION = Operation(
    tags=["Documentation"],
    summary="Postman collection",
    description="Get the same operations as requests to import and send.",
    responses=answers(answer(200, "Postman Collection 2.1.", "Document", {"info": {"name": "Backoffice"}})),
)
