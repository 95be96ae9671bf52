"""A database that answers and refuses is told from one that does not answer, and quoted without values."""

import sqlite3

import asyncpg
import pytest
from tortoise.exceptions import DBConnectionError, IntegrityError, OperationalError

from service.errors import DatabaseRefused
from service.stores.database import unavailable
from service.use_cases.findings import refused

MIGRATE = "run python -m scripts migrate."
DOCTOR = "see what python -m scripts doctor finds."


def said_by(error: asyncpg.PostgresError, detail: str) -> asyncpg.PostgresError:
    error.detail = detail
    return error


@pytest.mark.parametrize(
    ("error", "words", "remedy"),
    [
        (OperationalError(sqlite3.OperationalError("no such table: users")), "no such table: users", MIGRATE),
        (sqlite3.OperationalError("table users has no column named x"), "table users has no", MIGRATE),
        (OperationalError(sqlite3.OperationalError("database is locked")), "database is locked", DOCTOR),
        (OperationalError(asyncpg.UndefinedTableError("no relation")), "no relation", MIGRATE),
        (OperationalError(asyncpg.UndefinedColumnError("no column")), "no column", MIGRATE),
        (asyncpg.ReadOnlySQLTransactionError("cannot INSERT"), "cannot INSERT", DOCTOR),
        (asyncpg.DiskFullError("No space left on device"), "No space left", DOCTOR),
        (asyncpg.TooManyConnectionsError("too many clients"), "too many clients", DOCTOR),
        (asyncpg.InvalidPasswordError("password authentication failed"), "password authentication", DOCTOR),
        (OperationalError(), "OperationalError", DOCTOR),
    ],
)
def test_a_refusal_is_quoted_with_its_remedy(error: Exception, words: str, remedy: str) -> None:
    reason = unavailable(error)

    assert isinstance(reason, DatabaseRefused)
    assert refused(reason).startswith(f"The database refused ({words}")
    assert refused(reason).endswith(remedy)


@pytest.mark.parametrize(
    "error",
    [
        OSError("no route"),
        TimeoutError(),
        DBConnectionError("no such database"),
        asyncpg.ConnectionDoesNotExistError("closed in the middle"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.InterfaceError("the pool is closing"),
    ],
)
def test_silence_is_no_refusal(error: Exception) -> None:
    assert not isinstance(unavailable(error), DatabaseRefused)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError(asyncpg.InvalidTextRepresentationError("invalid input syntax: hunter2")),
        IntegrityError(said_by(asyncpg.UniqueViolationError("duplicate key"), "Key (user)=(hunter2) exists")),
        said_by(asyncpg.CheckViolationError("new row violates a check"), "Failing row contains (hunter2)"),
    ],
)
def test_no_value_is_quoted(error: Exception) -> None:
    reason = unavailable(error)

    assert isinstance(reason, DatabaseRefused)
    assert "hunter2" not in refused(reason)


def test_a_client_hears_the_same_of_both() -> None:
    refused_, silent = unavailable(sqlite3.OperationalError("no such table: users")), unavailable(OSError())

    assert (refused_.status, refused_.body, refused_.headers) == (silent.status, silent.body, silent.headers)
