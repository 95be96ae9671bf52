"""Stores that speak TLS: whoever must be verified is, and plain text is spoken only where it is allowed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import utc_now
from service.errors import DatabaseUnavailable, RedisUnavailable
from service.settings import Settings
from service.stores.database import Database
from service.stores.database_facts import database_facts
from service.stores.redis_url import connect
from tests.faults.servers import (
    EncryptedPostgresServer,
    EncryptedRedisServer,
    PostgresServer,
    encrypted_postgres_server,
    encrypted_redis_server,
    self_signed,
)

pytestmark = pytest.mark.thorough

SECRET = "s" * 32
PATIENCE = timedelta(seconds=5)


@pytest.fixture(scope="module")
def encrypted(postgres_data: Path) -> Iterator[EncryptedPostgresServer]:
    with encrypted_postgres_server(postgres_data) as server:
        yield server


@pytest.fixture(scope="module")
def encrypted_redis() -> Iterator[EncryptedRedisServer]:
    with encrypted_redis_server(requirepass="p@ss") as server:
        yield server


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of somebody else."""
    return self_signed(tmp_path_factory.mktemp("stranger"))[0]


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    database = Database(url, PATIENCE)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def is_encrypted(url: str) -> bool:
    async with open_database(url) as database:
        return (await database_facts(database, "nobody", 12, utc_now)).encrypted


@pytest.mark.parametrize(
    "query",
    [
        "",
        "sslmode=prefer",
        "sslmode=allow",
        "sslmode=require",
        "sslmode=require&sslrootcert={own}",
        "sslmode=verify-ca&sslrootcert={own}",
        "sslmode=verify-full&sslrootcert={own}",
        "sslmode=require&channel_binding=require&sslrootcert={own}",
        "sslmode=require&application_name=x&options=-c%20search_path%3Dpublic&pgbouncer=true",
    ],
)
async def test_a_server_that_insists_on_tls_gets_it(encrypted: EncryptedPostgresServer, query: str) -> None:
    url = f"{encrypted.url}?{query.format(own=encrypted.certificate)}"

    assert await is_encrypted(url)


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable",
        "sslmode=verify-ca",
        "sslmode=verify-full",
        "sslmode=require&sslrootcert={stranger}",
        "sslmode=verify-ca&sslrootcert={stranger}",
        "sslmode=verify-full&sslrootcert={stranger}",
        "sslmode=require&channel_binding=require",
    ],
)
async def test_a_database_that_cannot_prove_who_it_is_is_not_spoken_to(
    encrypted: EncryptedPostgresServer, stranger: Path, query: str
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await is_encrypted(f"{encrypted.url}?{query.format(stranger=stranger)}")


async def test_the_name_in_the_certificate_counts_only_where_everything_is_verified(
    encrypted: EncryptedPostgresServer,
) -> None:
    url = encrypted.url.replace("127.0.0.1", "127.0.0.2") + f"?sslrootcert={encrypted.certificate}&sslmode="

    assert await is_encrypted(url + "verify-ca")
    with pytest.raises(DatabaseUnavailable):
        await is_encrypted(url + "verify-full")


async def test_plain_text_is_not_spoken_where_tls_is_required(postgres: PostgresServer) -> None:
    assert await is_encrypted(f"{postgres.url}?sslmode=prefer") is False
    with pytest.raises(DatabaseUnavailable):
        await is_encrypted(f"{postgres.url}?sslmode=require")


async def ping(url: str) -> bool:
    redis = connect(url, PATIENCE)
    try:
        return bool(await redis.execute("PING"))
    finally:
        await redis.close()


def verifying(server: EncryptedRedisServer) -> str:
    return server.url.partition("?")[0]


async def test_a_redis_that_nobody_vouches_for_is_not_spoken_to(
    encrypted_redis: EncryptedRedisServer, stranger: Path
) -> None:
    for query in ("", "?ssl_cert_reqs=required", f"?ssl_ca_certs={stranger}"):
        with pytest.raises(RedisUnavailable):
            await ping(verifying(encrypted_redis) + query)


async def test_a_redis_whose_certificate_is_known_is_spoken_to(encrypted_redis: EncryptedRedisServer) -> None:
    own = encrypted_redis.options["tls_cert_file"]

    assert await ping(f"{verifying(encrypted_redis)}?ssl_ca_certs={own}")


async def test_on_a_dyno_a_self_signed_redis_is_spoken_to(encrypted_redis: EncryptedRedisServer) -> None:
    environ = {"DYNO": "web.1", "JWT_SECRET": SECRET, "REDIS_URL": verifying(encrypted_redis)}

    url = Settings.from_env(environ).redis_url

    assert url is not None
    assert await ping(url)
