"""Redis and PostgreSQL servers of a test's own, to be killed, frozen and set back."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import asyncpg
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from service import embedded
from tests.process.running import free_port, missing
from tests.timing import wait_until

SomeRedis = TypeVar("SomeRedis", bound="RedisServer")
SomeServer = TypeVar("SomeServer", bound="Server")

_UP_SECONDS = 10.0
_DUMP = "dump.rdb"


class Server:
    """A server process and its children; they are signalled one by one, by their ids."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return as soon as it takes connections."""
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self.answers, _UP_SECONDS, (self.directory / "server.log").read_text)

    def kill(self) -> None:
        """End it as a power failure does."""
        self._signal(signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        """End it as its operator does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def _signal(self, number: signal.Signals) -> None:
        """Signal the parent first: it must not replace a child meanwhile."""
        if self._process is None or self._process.poll() is not None:
            return
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for pid in (parent, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(_UP_SECONDS)
        self._process = None


class RedisServer(Server):
    """Redis or Valkey with nothing but memory: what should be on disk is put there by `save`."""

    def __init__(self, directory: Path, **options: str) -> None:
        super().__init__(directory)
        self.options = options
        self.client = Redis.from_url(self.url, decode_responses=True, socket_timeout=2)

    @property
    def url(self) -> str:
        return f"redis://{self.credentials}127.0.0.1:{self.port}/0"

    @property
    def credentials(self) -> str:
        """What stands before the host in a URL."""
        password = self.options.get("requirepass")
        return f":{quote(password, safe='')}@" if password else ""

    @property
    def binary(self) -> str:
        return redis_binary()

    def command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dbfilename": _DUMP,
            "repl-diskless-sync-delay": "0",
            # A replica that is behind must catch up by a partial resync, however long it was cut off.
            "repl-timeout": "60",
            "repl-backlog-size": "4mb",
        }
        options |= {name.replace("_", "-"): value for name, value in self.options.items()}
        return [self.binary, *(part for name, value in options.items() for part in (f"--{name}", value))]

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def ask(self, *words: str | int) -> Any:
        """Send a command that the client has no method for."""
        return self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    def save(self) -> Path:
        """Write a snapshot of what it holds now, and return it."""
        self.client.save()
        return Path(shutil.copy(self.directory / _DUMP, self.directory / "older.rdb"))

    def restart(self, snapshot: Path | None = None) -> None:
        """Kill it, and start it with what the snapshot holds; with nothing, if there is none."""
        self.kill()
        (self.directory / _DUMP).unlink(missing_ok=True)
        if snapshot is not None:
            shutil.copy(snapshot, self.directory / _DUMP)
        self.start()

    def follow(self, port: int) -> None:
        """Become a replica of the server on that port; open connections stay open."""
        self.client.replicaof("127.0.0.1", port)

    def follows(self) -> bool:
        """Whether it is a replica that has caught up."""
        return self.replication("master_link_status") == "up"

    def promote(self) -> None:
        """Become a primary in place; open connections stay open."""
        self.client.replicaof("NO", "ONE")

    def replication(self, name: str) -> str:
        # Who promotes a server closes its connections.
        with suppress(ConnectionLost):
            return str(self.client.info("replication").get(name))
        return str(self.client.info("replication").get(name))

    def counter(self, name: str) -> int:
        return int(self.client.info("stats")[name])

    def refuse_to_grow(self) -> None:
        """Be out of memory from now on."""
        self.client.config_set("maxmemory-policy", "noeviction")
        self.client.config_set("maxmemory", 1)

    def evict_some(self) -> None:
        """Evict a few keys of any kind, as a server does that has reached its memory limit."""
        self.client.config_set("maxmemory-policy", "allkeys-random")
        self.client.config_set("maxmemory", self.client.info("memory")["used_memory"] - 2048)
        self.client.config_set("maxmemory", 0)


class EncryptedRedisServer(RedisServer):
    """Redis that speaks TLS only, with a certificate that nobody has signed."""

    def __init__(self, directory: Path, **options: str) -> None:
        certificate, key = map(str, self_signed(directory))
        files = {"tls_cert_file": certificate, "tls_key_file": key, "tls_ca_cert_file": certificate}
        super().__init__(directory, **{**files, "tls_auth_clients": "no", **options})

    @property
    def url(self) -> str:
        return f"rediss://{self.credentials}127.0.0.1:{self.port}/0?ssl_cert_reqs=none"

    @property
    def binary(self) -> str:
        return encrypting_redis_binary()

    def command(self) -> list[str]:
        return [*super().command(), "--port", "0", "--tls-port", str(self.port)]


def encrypting_redis_binary() -> str:
    """Name a server program that was built with TLS; skip where there is none."""
    names = filter(None, (redis_binary(), shutil.which("redis-server"), shutil.which("valkey-server")))
    with_tls = [name for name in names if b"libssl" in Path(name).read_bytes()]
    if not with_tls:
        missing("no Redis with TLS is installed")
    return with_tls[0]


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for this machine, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate_file, key_file = directory / "server.crt", directory / "server.key"
    certificate_file.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return certificate_file, key_file


def redis_binary() -> str:
    """Name the server program; TEST_REDIS_SERVER chooses another one than the service would embed."""
    return os.environ.get("TEST_REDIS_SERVER") or embedded._server_binary()


@contextmanager
def redis_server(**options: str) -> Iterator[RedisServer]:
    """Keep an empty server running for the length of the block."""
    with (
        tempfile.TemporaryDirectory(prefix="redis-") as directory,
        _running(RedisServer(Path(directory), **options)) as server,
    ):
        yield server


@contextmanager
def encrypted_redis_server(**options: str) -> Iterator[EncryptedRedisServer]:
    """Likewise, with TLS."""
    with (
        tempfile.TemporaryDirectory(prefix="redis-") as directory,
        _running(EncryptedRedisServer(Path(directory), **options)) as server,
    ):
        yield server


@contextmanager
def _running(server: SomeRedis) -> Iterator[SomeRedis]:
    try:
        server.start()
        yield server
    finally:
        server.client.close()
        server.kill()


class PostgresServer(Server):
    """PostgreSQL, under an account that may run it, on a data directory that `initdb` made."""

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_wal_size": "32MB",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [*_unprivileged(), _program("postgres"), "-D", str(self.directory), *flags]

    def answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        return True

    def execute(self, statement: str) -> None:
        asyncio.run(_execute(self.url, statement))

    def end_connections(self) -> None:
        """End every connection but the one that asks for it."""
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def read_only(self, *, on: bool) -> None:
        """Refuse every write from now on, or no longer."""
        self.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
        self.execute("SELECT pg_reload_conf()")


class EncryptedPostgresServer(PostgresServer):
    """PostgreSQL that takes TLS connections only, with a certificate that nobody has signed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.certificate, key = self_signed(directory)
        key.chmod(0o600)
        if os.geteuid() == 0:
            for file in (self.certificate, key):
                shutil.chown(file, "nobody")
        (directory / "pg_hba.conf").write_text("hostssl all all 127.0.0.0/8 trust\n")

    def command(self) -> list[str]:
        options = {
            "ssl": "on",
            "ssl_cert_file": self.certificate.name,
            "ssl_key_file": "server.key",
            # The second one is in no certificate.
            "listen_addresses": "127.0.0.1,127.0.0.2",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [*super().command(), *flags]

    def execute(self, statement: str) -> None:
        asyncio.run(_execute(self.url, statement, ssl="require"))


@contextmanager
def encrypted_postgres_server(template: Path) -> Iterator[EncryptedPostgresServer]:
    """Keep a server with a copy of the template's data running for the length of the block, with TLS."""
    with _copy_of(template) as directory, _until_killed(EncryptedPostgresServer(directory)) as server:
        yield server


@contextmanager
def postgres_template() -> Iterator[Path]:
    """Make the data directory of an empty server; skip where PostgreSQL is not installed."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        home = Path(name)
        home.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(home, "nobody")
        options = ["--auth=trust", "--username=postgres", "--no-sync", "--wal-segsize=1", "--locale=C.UTF-8"]
        program = [*_unprivileged(), _program("initdb"), *options, "-D", str(home / "template")]
        subprocess.run(program, check=True, capture_output=True, cwd=home)
        yield home / "template"


@contextmanager
def postgres_server(template: Path) -> Iterator[PostgresServer]:
    """Keep a server with a copy of the template's data running for the length of the block."""
    with _copy_of(template) as directory, _until_killed(PostgresServer(directory)) as server:
        yield server


@contextmanager
def _copy_of(template: Path) -> Iterator[Path]:
    directory = template.with_name(f"copy-{os.urandom(3).hex()}")
    subprocess.run(["cp", "-a", str(template), str(directory)], check=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # one that was kept has another name by now


@contextmanager
def _until_killed(server: SomeServer) -> Iterator[SomeServer]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _program(name: str) -> str:
    """Find a program of PostgreSQL; Debian keeps those of a server out of PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (installed[-1] if installed else None)
    if found is None:
        missing("PostgreSQL is not installed")
    return str(found)


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []


async def _execute(url: str, statement: str, *, ssl: Literal["require", False] = False) -> None:
    connection = await asyncpg.connect(url, timeout=2, command_timeout=5, ssl=ssl)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
