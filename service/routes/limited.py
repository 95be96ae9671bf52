"""Tell the client on every answer of a limited route what the limit has left for it."""

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps

from sanic import HTTPResponse, Request

from service.errors import Budget, CredentialsRefused, Refusal, TooManyAttempts
from service.routes.refusals import refuse

Handler = Callable[[Request], Awaitable[HTTPResponse]]


def login_limited(handler: Handler) -> Handler:
    """Add the headers of the login limit. An answer that tried no account describes an untouched one."""

    @wraps(handler)
    async def limited_handler(request: Request) -> HTTPResponse:
        budget = request.app.ctx.use_cases.login_budget
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = await refuse(request, refusal)
            if isinstance(refusal, CredentialsRefused | TooManyAttempts):
                budget = refusal.budget
            if isinstance(refusal, TooManyAttempts):
                reset = math.ceil(datetime.now(UTC).timestamp()) + refusal.seconds
                response.headers["X-RateLimit-Reset"] = str(reset)
        if budget is not None:
            response.headers.update(_headers(budget, "login"))
        return response

    return limited_handler


def _headers(budget: Budget, policy: str) -> dict[str, str]:
    """Return the customary headers and those of the IETF draft.

    https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
    """
    reset = max(1, math.ceil(budget.reset.total_seconds()))
    window = int(budget.window.total_seconds())
    return {
        "X-RateLimit-Limit": str(budget.limit),
        "X-RateLimit-Remaining": str(budget.remaining),
        "RateLimit-Policy": f'"{policy}";q={budget.limit};w={window}',
        "RateLimit": f'"{policy}";r={budget.remaining};t={reset}',
    }
