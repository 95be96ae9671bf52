"""`make run` is one command from nothing to a service, and its end is the end of everything it started."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service import VERSION
from tests.backoffice import PASSWORD
from tests.conftest import need
from tests.process.running import RunningService, clean_env, free_port, needs_proc, run, running
from tests.timing import wait_until

pytestmark = needs_proc

NewDirectory = Callable[[], Path]


@pytest.fixture
def new_directory(tmp_path_factory: pytest.TempPathFactory) -> NewDirectory:
    """Make a data directory with a path short enough for a socket, whatever the test is called."""
    return lambda: tmp_path_factory.mktemp("made")


def test_make_killed_outright_leaves_nothing_running(new_directory: NewDirectory) -> None:
    with make_run(new_directory()) as service:
        assert len(service.processes()) == 6  # make, the parent, two workers, the guard and its server

        service.process.kill()
        service.process.wait()

        wait_until(lambda: not service.processes(), seconds=3)


def test_ctrl_c_ends_make_run_soon_and_leaves_nothing(new_directory: NewDirectory) -> None:
    with make_run(new_directory()) as service:
        assert len(service.processes()) == 6

        os.killpg(service.process.pid, signal.SIGINT)

        service.exit_code_within(2)
        assert not service.processes()
        assert "Traceback" not in service.log()


def test_it_says_in_plain_lines_what_runs_where_and_how_to_sign_in(new_directory: NewDirectory) -> None:
    data_dir = new_directory()

    with make_run(data_dir) as service:
        said = service.log().splitlines()

    for line in (
        "Demo user: created.",
        f"version    {VERSION}",
        f"data       {data_dir}",
        "database   SQLite, embedded",
        "Redis      a private server, embedded",
        "workers    2",
        f"login at   {service.url}/v1/backoffice/auth",
        "demo user  causas, password causas123",
    ):
        assert line in said, line


@pytest.mark.thorough
def test_a_second_make_run_keeps_the_users_and_their_sessions(new_directory: NewDirectory) -> None:
    data_dir = new_directory()
    with make_run(data_dir) as first:
        created = first.scripts("users", "create", "ada", "--password-stdin", input=PASSWORD)
        token = first.token("ada", PASSWORD)

    with make_run(data_dir) as second:
        session, login = second.who_am_i(token), second.log_in("ada", PASSWORD)

    assert created.returncode == 0
    assert (session.status_code, login.status_code) == (200, 200)


def test_make_run_ends_with_one_sentence_where_there_is_no_database(new_directory: NewDirectory) -> None:
    env = clean_env(new_directory(), DATABASE_URL="postgres://127.0.0.1:1/x", JWT_SECRET="s" * 32)

    done = run(make_run_program(), env)

    sentence, word_of_make = done.stderr.splitlines()
    assert done.returncode != 0
    assert "DATABASE_URL" in sentence
    assert word_of_make.startswith("make: ***")
    assert not done.stdout


@contextmanager
def make_run(data_dir: Path) -> Iterator[RunningService]:
    env = clean_env(data_dir, PORT=str(free_port()), WEB_CONCURRENCY="2")
    with running(make_run_program(), data_dir, env) as service:
        yield service


def make_run_program() -> list[str]:
    """Give `make run` in the environment that runs the tests, which is set up already."""
    return [need("make"), "--assume-old=.venv/run", f"BIN={Path(sys.executable).parent}", "run"]
