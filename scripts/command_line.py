"""The groups and commands, and what their ends mean: docs/operations.md lists the exit codes."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from scripts import demo, doctor, events, keys, logins, migrate, prune, sessions, tokens, users, watch
from scripts.running import INTERRUPTED
from service.embedded import EmbeddedError, UnusableDataDir
from service.errors import CannotBeDone, DatabaseRefused, DatabaseUnavailable
from service.settings import SettingsError
from service.use_cases.findings import refused, unreachable


class Interrupted(Exception):
    """Ctrl-C came, at work or at a question."""


class Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """Let Typer, which says "Aborted." and exits with 1, know nothing of Ctrl-C."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort) as error:
            raise Interrupted from error


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What an operator does, and sees, of backoffice authentication.",
)
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="tokens")
app.add_typer(logins.app, name="logins")
app.add_typer(sessions.app, name="sessions")
app.add_typer(keys.app, name="keys", short_help="Rotate the signing keys without signing anybody out.")
app.add_typer(events.app, name="events")
app.command("migrate")(migrate.migrate)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("prune")(prune.prune)
app.command("watch")(watch.watch)

_INTERRUPTED = "Interrupted: a change under way was made as a whole or not at all. Run it again to be sure."


def run() -> NoReturn:
    """Run the command that the arguments name, and exit; an expected failure is one sentence."""
    sys.exit(_exit_code(app))


def _exit_code(command: Callable[[], object]) -> int:
    try:
        command()
    except (SettingsError, UnusableDataDir) as error:
        return _fail(str(error), 2)
    except DatabaseRefused as error:
        return _fail(refused(error), 3)
    except DatabaseUnavailable as error:
        return _fail(unreachable(error.__cause__), 3)
    except (EmbeddedError, CannotBeDone) as error:
        return _fail(str(error), 1)
    except Interrupted:
        return _fail(_INTERRUPTED, INTERRUPTED)
    return 0


def _fail(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code
