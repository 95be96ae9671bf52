"""What cannot work is said in one sentence, and nothing starts."""

import asyncio
import os
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from service.stores.database_url import postgres_credentials
from tests import stores_in_use
from tests.backoffice import PASSWORD
from tests.process.running import clean_env, free_port, need_postgres, run_module

SECRET = "s" * 32


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refusal")


@pytest.fixture
def postgres() -> Iterator[str]:
    with stores_in_use.postgres_database(need_postgres()) as url:
        yield url


def test_a_taken_port_is_named(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = start(data_dir, PORT=str(port))

    assert done.returncode == 1
    assert f"port {port}" in the_only_line_of(done)


@pytest.mark.parametrize("directory", ["/dev/null/x", f"/tmp/{'x' * 300}"])
def test_a_data_directory_that_cannot_be_used_is_a_wrong_setting(directory: str) -> None:
    done = start(Path(directory))

    assert done.returncode == 2
    assert f"DATA_DIR '{directory}'" in the_only_line_of(done)


def test_a_data_directory_too_long_for_a_socket_is_a_wrong_setting(data_dir: Path) -> None:
    long = data_dir / ("x" * 100)

    service, command = start(long), run_module("scripts", "users", "list", env=clean_env(long))

    assert (service.returncode, command.returncode) == (2, 2)
    assert "is too long for a socket" in the_only_line_of(service)
    assert the_only_line_of(command) == the_only_line_of(service)


def test_a_data_directory_is_a_wrong_setting_to_every_command() -> None:
    done = run_module("scripts", "migrate", env=clean_env(Path("/dev/null/x")))

    assert done.returncode == 2
    assert "DATA_DIR '/dev/null/x'" in the_only_line_of(done)


def test_a_host_that_does_not_exist_is_a_wrong_setting(data_dir: Path) -> None:
    done = start(data_dir, HOST="a..b")

    assert done.returncode == 2
    assert "HOST 'a..b' is unknown" in the_only_line_of(done)


def test_a_dsn_without_a_key_starts_no_worker(data_dir: Path) -> None:
    done = start(data_dir, SENTRY_DSN="https://sentry.example/")

    assert done.returncode == 2
    assert "SENTRY_DSN" in the_only_line_of(done)


def test_production_without_a_signing_key_is_refused(data_dir: Path) -> None:
    done = start(data_dir, APP_ENV="production", BCRYPT_COST="12")

    assert done.returncode == 2
    assert "JWT_SECRET" in the_only_line_of(done)


def test_a_malformed_setting_is_named(data_dir: Path) -> None:
    done = start(data_dir, SESSION_TTL="eight hours")

    assert done.returncode == 2
    assert "SESSION_TTL" in the_only_line_of(done)


def test_a_short_secret_of_a_client_is_refused(data_dir: Path) -> None:
    done = start(data_dir, CLIENTS="orders:" + "s" * 31)

    assert done.returncode == 2
    assert "CLIENTS" in the_only_line_of(done)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/x?sslmode=on"),
        ("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/x?schema=public"),
        ("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0?retry_on_timeout=1"),
    ],
)
def test_what_a_url_cannot_mean_is_refused_before_any_worker(data_dir: Path, variable: str, url: str) -> None:
    done = start(data_dir, **{"JWT_SECRET": SECRET, variable: url})

    assert done.returncode == 2
    assert variable in the_only_line_of(done)
    assert "hunter2" not in done.stderr


def test_a_migration_without_a_database_is_refused(data_dir: Path) -> None:
    env = clean_env(data_dir, DATABASE_URL="postgres://127.0.0.1:1/x", JWT_SECRET=SECRET)

    done = run_module("scripts", "migrate", env=env)

    assert done.returncode == 3
    assert "DATABASE_URL" in the_only_line_of(done)


def test_before_the_first_migration_a_command_names_it(data_dir: Path) -> None:
    done = create_user(clean_env(data_dir))

    assert done.returncode == 3
    assert the_only_line_of(done) == (
        "The database refused (no such table: users): run python -m scripts migrate."
    )


@pytest.mark.thorough
def test_before_the_first_migration_of_postgresql_a_command_names_it(data_dir: Path, postgres: str) -> None:
    done = create_user(clean_env(data_dir, DATABASE_URL=postgres, JWT_SECRET=SECRET))

    assert done.returncode == 3
    assert the_only_line_of(done) == (
        'The database refused (relation "users" does not exist): run python -m scripts migrate.'
    )


@pytest.mark.thorough
def test_a_locked_database_is_not_said_to_be_away(data_dir: Path) -> None:
    env = clean_env(data_dir)
    run_module("scripts", "migrate", env=env).check_returncode()

    with locked(data_dir / "backoffice.sqlite3"):
        done = create_user(env)

    assert done.returncode == 3
    assert "The database refused (database is locked)" in the_only_line_of(done)


@pytest.mark.thorough
def test_a_migration_of_a_locked_database_is_refused(data_dir: Path) -> None:
    with locked(data_dir / "backoffice.sqlite3"):
        done = run_module("scripts", "migrate", env=clean_env(data_dir))

    assert done.returncode == 1
    assert the_only_line_of(done) == (
        "The database refused a migration (database is locked), before anything was applied: mend that and"
        " run it again."
    )


@pytest.mark.thorough
def test_a_migration_by_a_role_that_may_not_create_tables_is_refused(data_dir: Path, postgres: str) -> None:
    with role_without_privileges(postgres) as url:
        env = clean_env(data_dir, DATABASE_URL=url, JWT_SECRET=SECRET)

        done = run_module("scripts", "migrate", env=env)

    assert done.returncode == 1
    assert "The database refused a migration (permission denied for schema public)" in the_only_line_of(done)


@pytest.mark.parametrize(
    "arguments", [["--port", "80"], ["--owner"], ["--owner", "make"], ["--owner", "1", "2"]], ids=" ".join
)
def test_wrong_usage_is_one_sentence(data_dir: Path, arguments: list[str]) -> None:
    done = run_module("service", *arguments, env=clean_env(data_dir))

    assert done.returncode == 2
    assert "Usage: python -m service" in the_only_line_of(done)


def start(data_dir: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return run_module("service", env=clean_env(data_dir, PORT=str(free_port())) | env)


def the_only_line_of(done: "subprocess.CompletedProcess[str]") -> str:
    """Give what stands on standard error, which is one line and no traceback."""
    (line,) = done.stderr.splitlines()
    assert "Traceback" not in line + done.stdout
    return line


@contextmanager
def role_without_privileges(url: str) -> Iterator[str]:
    """Make a role that may connect to the database and no more; drop it afterwards."""
    name, parts = f"nobody_{os.urandom(4).hex()}", urlsplit(url)
    # Before PostgreSQL 15, everybody may create in public.
    execute(url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    execute(url, f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")
    try:
        address = parts.netloc.rpartition("@")[2]
        yield urlunsplit(parts._replace(netloc=f"{name}:{SECRET}@{address}"))
    finally:
        execute(url, f"DROP ROLE {name}")


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(**postgres_credentials(url, timedelta(seconds=5)))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold SQLite's lock, as a process does that writes."""
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield


def create_user(env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return run_module("scripts", "users", "create", "ada", "--password-stdin", env=env, stdin=f"{PASSWORD}\n")
