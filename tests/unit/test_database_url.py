"""DATABASE_URL, as platforms write it, becomes what the driver takes; what is wrong is one sentence."""

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.settings import SettingsError
from service.stores.database_url import connection, is_remote, postgres_credentials

SECOND = timedelta(seconds=1)
HEROKU = "postgres://u7:p%40ss@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d8f"
NEON = "postgresql://ada:npg_x@ep-a-b-pooler.eu-central-1.aws.neon.tech/neondb"
SUPABASE = "postgres://postgres.ref:p%2Fw@aws-0-eu-central-1.pooler.supabase.com:6543/postgres"
RDS = "postgres://ada:pw@db.x.eu-central-1.rds.amazonaws.com/backoffice"


def read(url: str) -> dict[str, Any]:
    return postgres_credentials(url, SECOND)


@pytest.mark.parametrize(
    ("url", "names"),
    [
        (HEROKU, ("ec2-1-2-3-4.compute-1.amazonaws.com", 5432, "u7", "p@ss", "d8f")),
        (SUPABASE, ("aws-0-eu-central-1.pooler.supabase.com", 6543, "postgres.ref", "p/w", "postgres")),
        ("postgres://a%40b:%C3%A4+%25@db/x%20y", ("db", 5432, "a@b", "ä+%", "x y")),
        ("postgres://ada@[::1]:5433/x", ("::1", 5433, "ada", None, "x")),
        ("postgres:///x?host=/var/run/postgresql", ("/var/run/postgresql", 5432, None, None, "x")),
    ],
)
def test_names_are_read_as_they_were_encoded(url: str, names: tuple[object, ...]) -> None:
    found = read(url)

    assert tuple(found[name] for name in ("host", "port", "user", "password", "database")) == names


@pytest.mark.parametrize(
    ("query", "verify_mode", "names_the_host"),
    [
        ("sslmode=require", ssl.CERT_NONE, False),
        ("sslmode=verify-ca", ssl.CERT_REQUIRED, False),
        ("sslmode=verify-full", ssl.CERT_REQUIRED, True),
        ("sslmode=verify-full&sslrootcert=system", ssl.CERT_REQUIRED, True),
        ("sslmode=require&channel_binding=prefer", ssl.CERT_NONE, False),
        ("sslmode=require&channel_binding=require", ssl.CERT_REQUIRED, True),
    ],
)
def test_the_server_is_held_to_the_mode(
    query: str, verify_mode: ssl.VerifyMode, names_the_host: bool
) -> None:
    context = read(f"{NEON}?{query}")["ssl"]

    assert (context.verify_mode, context.check_hostname) == (verify_mode, names_the_host)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_mode_that_allows_plain_text_is_left_to_the_driver(mode: str) -> None:
    assert read(f"{RDS}?sslmode={mode}")["ssl"] == mode


def test_encryption_is_preferred_where_nothing_is_said() -> None:
    assert read(RDS)["ssl"] == "prefer"


@pytest.mark.parametrize(
    ("query", "part", "value"),
    [
        ("", "server_settings", {"application_name": "backoffice"}),
        ("application_name=x", "server_settings", {"application_name": "x"}),
        (
            "options=endpoint%3Dep-a-b",
            "server_settings",
            {"application_name": "backoffice", "options": "endpoint=ep-a-b"},
        ),
        ("pgbouncer=true", "statement_cache_size", 0),
        ("target_session_attrs=read-write", "target_session_attrs", "read-write"),
        ("connect_timeout=15", "timeout", 1.0),
        ("connect_timeout=0", "timeout", 1.0),
    ],
)
def test_what_platforms_append_is_handed_on(query: str, part: str, value: object) -> None:
    assert read(f"{NEON}?{query}")[part] == value


def test_a_shorter_time_to_connect_is_kept() -> None:
    assert postgres_credentials(f"{RDS}?connect_timeout=2", 5 * SECOND)["timeout"] == 2


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=on",
        "sslmode=REQUIRE",
        "ssl=true",
        "schema=public",
        "connection_limit=1",
        "channel_binding=yes",
        "channel_binding=require&sslmode=disable",
        "connect_timeout=1.5",
        "pgbouncer=1",
        "target_session_attrs=any-old",
        "sslrootcert=/etc/ssl/certs/ca-certificates.crt",
        "sslmode=verify-full&sslrootcert=/no/such/file",
        "sslmode=require&sslcert=/no/such/file",
    ],
)
def test_what_cannot_be_meant_is_one_sentence_without_the_password(query: str) -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL\b[^\n]*\.$") as caught:
        read(f"postgres://ada:hunter2@db/x?{query}")

    assert "hunter2" not in str(caught.value)


def test_a_certificate_without_encryption_is_answered_with_every_mode_that_takes_it() -> None:
    with pytest.raises(SettingsError, match=r"unless sslmode is one of require, verify-ca, verify-full\.$"):
        read(f"{RDS}?sslmode=prefer&sslrootcert=x.pem")


def test_a_file_that_holds_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()

    with pytest.raises(SettingsError, match=r"empty\.pem"):
        read(f"{RDS}?sslmode=verify-full&sslrootcert={tmp_path / 'empty.pem'}")


def test_only_one_host_takes_writes() -> None:
    with pytest.raises(SettingsError, match=r"^DATABASE_URL names more than one host"):
        read("postgres://ada:pw@one:5432,two:5432/x")


def test_a_sqlite_path_is_taken_as_it_is() -> None:
    assert connection("sqlite:///data/a%20b.sqlite3", SECOND)["credentials"]["file_path"] == (
        "/data/a%20b.sqlite3"
    )


@pytest.mark.parametrize(
    ("url", "remote"),
    [
        (HEROKU, True),
        ("postgres://localhost/x", False),
        ("postgres:///x?host=/run", False),
        ("sqlite:///x", False),
        ("redis://:pw@127.0.0.1:6379/0", False),
        ("redis://[::1]/0", False),
        ("redis+sentinel://localhost:1,10.0.0.2:1/x", True),
        ("unix:///run/redis.sock", False),
    ],
)
def test_a_server_is_remote_unless_it_is_this_machine(url: str, remote: bool) -> None:
    assert is_remote(url) is remote
