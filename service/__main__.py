"""python -m service: bind, fork the workers, replace the dead, drain on SIGTERM."""

import os
import socket
import sys
from functools import partial

from service import wiring, worker
from service.embedded import EmbeddedError
from service.settings import Settings, SettingsError
from service.supervisor import Supervisor
from service.telemetry import logs

_BACKLOG = 1024


class CannotListen(Exception):
    """The address cannot be had; the text is one sentence."""


def main() -> int:
    """Run the service; return 0 after a stop, 1 if it could not start, 2 for wrong settings."""
    try:
        settings = Settings.from_env()
        logs.configure(settings)
        with wiring.embedded_parts(settings), listen(settings.host, settings.port) as listening:
            wiring.key_ring(settings)
            _introduce(settings, listening.getsockname()[1])
            work = partial(worker.serve, settings, listening)
            Supervisor(work, settings.workers, settings.shutdown_grace).run()
    except SettingsError as error:
        return _fail(str(error), 2)
    except (EmbeddedError, CannotListen) as error:
        return _fail(str(error), 1)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Bind one socket, shared by all workers; an empty host is every address, IPv6 and IPv4 alike."""
    try:
        if host == "" and socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        where = f"{host or 'every address'}, port {port}"
        raise CannotListen(
            f"Cannot listen on {where}: {os.strerror(error.errno or 0)}. Set PORT or HOST."
        ) from error


def _introduce(settings: Settings, port: int) -> None:
    """Say in plain lines what runs and where, for somebody who has just typed `make run`."""
    data = settings.data_dir
    host = settings.host if settings.host not in {"", "127.0.0.1", "0.0.0.0"} else "localhost"  # noqa: S104
    lines = [
        f"database   {'SQLite, embedded' if settings.database_url is None else 'DATABASE_URL'}",
        f"Redis      {'a private server, embedded' if settings.redis_url is None else 'REDIS_URL'}",
        f"workers    {settings.workers}",
        f"login at   http://{f'[{host}]' if ':' in host else host}:{port}/v1/backoffice/auth",
    ]
    if settings.database_url is None or settings.redis_url is None:
        lines.insert(0, f"data       {data.absolute()}")
    if settings.demo_allowed:
        lines.append("demo user  causas, password causas123")
    print("\n".join(lines), flush=True)


def _fail(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
