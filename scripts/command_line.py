"""The groups and commands, and what their ends mean: 0 done, 1 only partly or not, 2 usage, 3 no database."""

import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from scripts import demo, migrate, sessions, tokens, users
from service.embedded import EmbeddedError
from service.errors import DatabaseUnavailable, RedisUnavailable
from service.settings import SettingsError
from service.use_cases.manage_users import UserError
from service.use_cases.revoke import NoSuchTarget

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Backoffice."
)
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="tokens")
app.add_typer(sessions.app, name="sessions")
app.command("migrate")(migrate.migrate)
app.command("demo")(demo.demo)


def run() -> NoReturn:
    """Run the command that the arguments name, and exit; an expected failure is one sentence."""
    sys.exit(_exit_code(app))


def _exit_code(command: Callable[[], object]) -> int:
    try:
        command()
    except SettingsError as error:
        return _fail(str(error), 2)
    except DatabaseUnavailable:
        return _fail("The database cannot be reached: check DATABASE_URL, or whether the server runs.", 3)
    except RedisUnavailable:
        return _fail("Done in the database, but Redis did not confirm it: run the command again.", 1)
    except (EmbeddedError, NoSuchTarget, UserError) as error:
        return _fail(str(error), 1)
    return 0


def _fail(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code
