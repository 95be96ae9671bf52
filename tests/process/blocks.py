"""Write to the database of a running service what would take long to bring about."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

from models import fold_user
from service import embedded, wiring
from service.security.accounts import AccountHash
from service.settings import Settings
from tests.process.running import RunningService


def hours(count: int) -> timedelta:
    return timedelta(hours=count)


def block(service: RunningService, user: str, span: timedelta) -> None:
    """Write a block to the database, as the hundredth failure does."""
    account = AccountHash(wiring.key_ring(Settings.from_env(service.env)).derive("account"))(
        fold_user(user)
    ).hash
    now = datetime.now(UTC)
    execute(
        service,
        "INSERT INTO login_failures (account, consecutive, blocked_until, blocks, updated_at)"
        " VALUES (?, 100, ?, 1, ?)",
        account,
        (now + span).isoformat(" "),
        now.isoformat(" "),
    )


def add_user(service: RunningService, user: str, *, active: bool = True) -> None:
    """Make a user with the password of the demo user."""
    execute(
        service,
        'INSERT INTO users (name, "user", user_key, active, password_hash, session_version,'
        " session_version_changed_at, created_at, updated_at)"
        " SELECT ?, ?, ?, ?, password_hash, 1, created_at, created_at, created_at FROM users LIMIT 1",
        user,
        user,
        fold_user(user),
        active,
    )


def execute(service: RunningService, statement: str, *arguments: str | bool) -> None:
    path = embedded.database_url(service.data_dir).removeprefix("sqlite://")
    with closing(sqlite3.connect(path, timeout=5)) as database, database:
        database.execute(statement, arguments)
