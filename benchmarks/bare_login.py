"""Serve a login's round trips alone: a yardstick, run as `python -m benchmarks.bare_login PORT PATH`.

A query, a command to Redis, a hash on a thread, a row and, after the answer, a command to Redis again. It
decides nothing, signs nothing, records no token and no event, and asks PostgreSQL without an ORM.
"""

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import asyncpg
from sanic import HTTPResponse, Request, Sanic

from benchmarks.serving import plain_app, serve
from models import fold_user
from service import wiring
from service.clock import utc_now
from service.security.courtesy import least_priority
from service.security.passwords import Passwords
from service.security.tokens import new_id
from service.settings import Settings
from service.stores.database_url import connection
from service.stores.redis_url import connect
from service.uncancelled import in_background

_FIND = "SELECT id, password_hash, session_version FROM users WHERE user_key = $1"
_OPEN = """
    INSERT INTO sessions (id, user_id, version, ip, agent, started_at, expires_at, last_seen_at)
    VALUES ($1, $2, $3, '127.0.0.1', 'benchmark', $4, $5, $4)
"""
_ANSWER = json.dumps({"token": "x" * 400}).encode()
_LIFE = timedelta(hours=8)


def main(port: int, path: str) -> None:
    settings = Settings.from_env(os.environ)
    app, verify = plain_app(), Passwords(settings.bcrypt_cost).verify
    threads = ThreadPoolExecutor(1, initializer=least_priority)

    @app.before_server_start
    async def open_stores(app: Sanic[Any, Any]) -> None:
        credentials = connection(wiring.database_url(settings), settings.database_timeout)["credentials"]
        # As large as Tortoise's.
        app.ctx.rows = await asyncpg.create_pool(**credentials, min_size=1, max_size=5)
        app.ctx.redis = connect(wiring.redis_url(settings), settings.redis_timeout)

    @app.get(path)
    async def is_up(_request: Request) -> HTTPResponse:
        return HTTPResponse(b"", 200)

    @app.post(path)
    async def log_in(request: Request) -> HTTPResponse:
        given, rows, redis = json.loads(request.body), app.ctx.rows, app.ctx.redis
        user = await rows.fetchrow(_FIND, fold_user(given["user"]))
        attempts, attempt = f"bare:{user['id']}", new_id()
        await redis.execute("ZADD", attempts, 1, attempt)
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(threads, verify, given["password"], user["password_hash"])
        sid, now = new_id(), utc_now()
        await rows.fetchrow(_OPEN, sid, user["id"], user["session_version"], now, now + _LIFE)
        in_background(redis.execute("ZREM", attempts, attempt))
        return HTTPResponse(_ANSWER, 200 if right else 401, None, "application/json")

    serve(app, port)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
