"""python -m service: bind, fork the workers, replace them where need be, drain on SIGTERM."""

import resource
import signal
import sys
from functools import partial

from service import VERSION, boot, wiring, worker
from service.embedded import EmbeddedError, UnusableDataDir
from service.errors import CannotBeDone
from service.listening import CannotListen, listen, turn_away
from service.security.demo import DEMO_PASSWORD, DEMO_USER
from service.settings import Settings, SettingsError
from service.supervisor import Supervisor
from service.telemetry import logs

# The soft limit of a shell is often 1,024 for everything; a worker's connections want more: see
# routes/connections.py.
_FILES = 4096


class WrongUsage(Exception):
    """The command line cannot be understood; the text is one sentence."""


def main(arguments: list[str]) -> int:
    """Run the service; return 0 after a stop, 1 if it could not start, 2 for wrong settings or usage."""
    # Until the supervisor listens to signals, Ctrl-C ends this as SIGTERM does: at once and without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        owner = parse(arguments)
        settings = Settings.from_env()
        logs.configure(settings)
        _allow_files()
        with (
            wiring.embedded_parts(settings, outlive_others=True),
            listen(settings.host, settings.port) as listening,
        ):
            wiring.check(settings)
            boot.look_over(settings)
            _introduce(settings, listening.getsockname()[1])
            work = partial(worker.serve, settings, listening)
            farewell = partial(turn_away, listening)
            Supervisor(work, settings.workers, settings.shutdown_grace, owner, farewell).run()
    except (WrongUsage, SettingsError, UnusableDataDir) as error:
        return _fail(str(error), 2)
    except (EmbeddedError, CannotListen, CannotBeDone) as error:
        return _fail(str(error), 1)
    return 0


def parse(arguments: list[str]) -> int | None:
    """Return the id of the process that started this one and takes it along when it ends, if one is named."""
    match arguments:
        case []:
            return None
        case ["--owner", pid] if pid.isascii() and pid.isdigit():
            return int(pid)
    raise WrongUsage("Usage: python -m service [--owner PID], where PID is the process to end with.")


def _allow_files() -> None:
    """Raise the soft limit on open files, as far as the hard one lets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


def _introduce(settings: Settings, port: int) -> None:
    """Say in plain lines what runs and where, for somebody who has just typed `make run`."""
    data = settings.data_dir
    host = settings.host if settings.host not in {"", "127.0.0.1", "0.0.0.0"} else "localhost"  # noqa: S104
    lines = [
        f"version    {VERSION}",
        f"database   {'SQLite, embedded' if settings.database_url is None else 'DATABASE_URL'}",
        f"Redis      {'a private server, embedded' if settings.redis_url is None else 'REDIS_URL'}",
        f"workers    {settings.workers}",
        f"login at   http://{f'[{host}]' if ':' in host else host}:{port}/v1/backoffice/auth",
    ]
    if settings.database_url is None or settings.redis_url is None:
        lines.insert(1, f"data       {data.absolute()}")
    if settings.demo_allowed:
        lines.append(f"demo user  {DEMO_USER}, password {DEMO_PASSWORD}")
    print("\n".join(lines), flush=True)


def _fail(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
