"""sanic-jwt with its own endpoints. It cannot revoke, so its user hook asks Redis about the token."""

import os
import secrets

from redis import asyncio as redis
from sanic import HTTPResponse, Request, Sanic
from sanic.exceptions import Unauthorized
from sanic_jwt import exceptions, initialize, protected

USER = {"user_id": 1, "username": os.environ["ACCOUNT"], "email": os.environ["ACCOUNT_EMAIL"]}

app = Sanic("peer", configure_logging=False)
revoked = redis.from_url(os.environ["REDIS_URL"])


async def authenticate(request: Request) -> dict:
    body = request.json
    if (body["username"], body["password"]) != (USER["username"], os.environ["ACCOUNT_PASSWORD"]):
        raise exceptions.AuthenticationFailed
    return USER


async def extend_payload(payload: dict) -> dict:
    return {**payload, "jti": secrets.token_hex(16)}


async def retrieve_user(_request: Request, payload: dict) -> dict:
    if await revoked.exists(f"revoked:{payload['jti']}"):
        raise Unauthorized("Revoked.")
    return USER


initialize(
    app,
    authenticate=authenticate,
    extend_payload=extend_payload,
    retrieve_user=retrieve_user,
    secret=os.environ["SECRET"],
    url_prefix="/v1/backoffice",
    path_to_authenticate="/log_in",
    path_to_retrieve_user="/auth",
)


@app.post("/log_out")
@protected()
async def log_out(request: Request) -> HTTPResponse:
    payload = await app.ctx.auth.extract_payload(request)
    await revoked.set(f"revoked:{payload['jti']}", 1, exat=payload["exp"])
    return HTTPResponse(status=204)


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]), single_process=True, motd=False, access_log=False)
