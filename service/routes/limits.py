"""Tell the client on every answer of a limited route what its limit has left."""

import math
from datetime import datetime, timedelta
from functools import cache

from sanic import HTTPResponse, Request

from service.clock import whole_seconds
from service.errors import Budget, Refusal, TooManyAttempts, TooManyRequests
from service.routes.answers import add_header_lines


def mark_limit(request: Request, response: HTTPResponse) -> None:
    """Add the headers of the limit that the request was charged to, if it was charged to one.

    On a route registered with `ctx_login_limited=True`, an answer that tried no account, or opened one,
    describes an untouched login limit.
    """
    refusal: Refusal | None = getattr(request.ctx, "refusal", None)
    budget = _budget(request) if refusal is None or refusal.budget is None else refusal.budget
    if budget is None:
        return
    add_header_lines(response, _lines(budget))
    if refusal is not None and isinstance(refusal, TooManyAttempts | TooManyRequests):
        now: datetime = request.app.ctx.clock()
        reset = math.ceil(now.timestamp()) + refusal.seconds
        add_header_lines(response, f"X-RateLimit-Reset: {reset}")


def _budget(request: Request) -> Budget | None:
    login_limited = request.route is not None and getattr(request.route.ctx, "login_limited", False)
    if login_limited:
        untouched: Budget | None = request.app.ctx.use_cases.login_budget
        return untouched
    return getattr(request.ctx, "budget", None)


def _lines(budget: Budget) -> str:
    """Return the customary headers and those of the IETF draft.

    https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
    """
    return (
        f"{_quota_lines(budget.policy, budget.limit, budget.window)}\r\n"
        f"X-RateLimit-Remaining: {budget.remaining}\r\n"
        f'RateLimit: "{budget.policy}";r={budget.remaining};t={whole_seconds(budget.reset)}'
    )


@cache  # of the few quotas that the settings name
def _quota_lines(policy: str, limit: int, window: timedelta) -> str:
    return f'X-RateLimit-Limit: {limit}\r\nRateLimit-Policy: "{policy}";q={limit};w={whole_seconds(window)}'
