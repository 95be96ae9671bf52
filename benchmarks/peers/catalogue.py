"""Name the peers, each started as its own documentation says for production, with one process."""

import json
from dataclasses import replace
from urllib.parse import urlencode

from benchmarks.peers import account
from benchmarks.peers.peer import NODE, PYTHON, Call, Peer

_FORM = "application/x-www-form-urlencoded"
_BY_NAME = json.dumps({"username": account.NAME, "password": account.PASSWORD})
_BY_EMAIL = json.dumps({"email": account.EMAIL, "password": account.PASSWORD})
_NEW = json.dumps({"name": account.NAME, "email": account.EMAIL, "password": account.PASSWORD})

FASTIFY = Peer(
    name="Fastify + @fastify/jwt + ioredis",
    folder="fastify",
    kit=NODE,
    command=("app.js",),
    log_in=Call("/log_in", _BY_NAME),
    token="token",
    log_out=Call("/log_out", "{}"),
    looks_up="a revoked token in Redis, in the hook that the plugin has for it",
    packages=("fastify", "@fastify/jwt", "ioredis"),
)
GUARDED_FASTIFY = replace(
    FASTIFY,
    name="Fastify, with @fastify/helmet and @fastify/rate-limit too",
    looks_up="the same, and a rate limit",
    packages=(*FASTIFY.packages, "@fastify/helmet", "@fastify/rate-limit"),
    env={"GUARDED": "1"},
)
TUNED_FASTIFY = replace(
    GUARDED_FASTIFY,
    name="Fastify, with verify.cache and enableAutoPipelining too",
    looks_up="the same",
    env={"GUARDED": "1", "TUNED": "1"},
)
SANIC_JWT = Peer(
    name="sanic-jwt",
    folder="sanic_jwt",
    kit=PYTHON,
    command=("app.py",),
    log_in=Call("/v1/backoffice/log_in", _BY_NAME),
    token="access_token",
    log_out=Call("/log_out"),
    looks_up="a revoked token in Redis, by hand: the library cannot revoke",
    packages=("sanic-jwt", "sanic", "redis"),
)
BETTER_AUTH = Peer(
    name="better-auth",
    folder="better_auth",
    kit=NODE,
    command=("app.js",),
    register=Call("/api/auth/sign-up/email", _NEW),
    log_in=Call("/api/auth/sign-in/email", _BY_EMAIL),
    token="set-auth-token",
    log_out=Call("/api/auth/sign-out", "{}"),
    looks_up="the session and its user in SQLite, in the process",
    packages=("better-auth", "better-sqlite3"),
)
FASTAPI_USERS = Peer(
    name="FastAPI + fastapi-users, Redis strategy",
    folder="fastapi_users",
    kit=PYTHON,
    # It chooses uvloop and httptools by itself where they are installed.
    command=("-m", "uvicorn", "app:app", "--port={port}", "--no-access-log", "--log-level=warning"),
    register=Call("/auth/register", _NEW),
    log_in=Call(
        "/auth/redis/login", urlencode({"username": account.EMAIL, "password": account.PASSWORD}), _FORM
    ),
    token="access_token",
    log_out=Call("/auth/redis/logout"),
    looks_up="the token in Redis, the user in SQLite",
    packages=("fastapi-users", "fastapi", "uvicorn", "redis", "sqlalchemy"),
)
DJANGO = Peer(
    name="Django + simplejwt, blacklist checked",
    folder="django_simplejwt",
    kit=PYTHON,
    # The default worker closes the connection after each answer; "gthread" keeps it, and four threads
    # are what its documentation shows.
    command=(
        "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()", "--bind=127.0.0.1:{port}",
        "--worker-class=gthread", "--threads=4", "--keep-alive=75", "--log-level=warning",
    ),
    prepare=(("-m", "django", "migrate"), ("-m", "django", "createsuperuser", "--noinput")),
    log_in=Call("/token", _BY_NAME),
    token="token",
    log_out=Call("/log_out"),
    looks_up="the blacklist and the user in SQLite, in the process",
    packages=("djangorestframework-simplejwt", "djangorestframework", "django", "gunicorn"),
    env={
        "DJANGO_SETTINGS_MODULE": "settings",
        "DJANGO_SUPERUSER_USERNAME": account.NAME,
        "DJANGO_SUPERUSER_EMAIL": account.EMAIL,
        "DJANGO_SUPERUSER_PASSWORD": account.PASSWORD,
    },
)  # fmt: skip
PEERS = (FASTIFY, GUARDED_FASTIFY, TUNED_FASTIFY, SANIC_JWT, BETTER_AUTH, FASTAPI_USERS, DJANGO)
