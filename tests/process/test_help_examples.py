"""Every command's help has examples, and they work as they are printed.

An example may count on the demo user, and leaves her where she is: the commands run side by side. The
examples of one command run one after the other, so a later one may count on what an earlier one has made.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer

from scripts.command_line import app
from service.security.key_set import KeySet, new_key
from tests.process.running import RunningService, needs_proc, run, running_service

pytestmark = [needs_proc, pytest.mark.thorough]

EXAMPLES = re.compile(r"\x08\nExamples:\n((?:  \S.*\n?)+)\Z")
AT_ONCE = 4

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Keep a service of two keys, of which one can be retired."""
    keys = KeySet((new_key("HS256"), new_key("HS256")))
    with running_service(tmp_path_factory.mktemp("examples"), WEB_CONCURRENCY="1", JWT_KEYS=keys.text) as run:
        yield run


def test_every_command_has_examples_in_its_help() -> None:
    without = [name for name, lines in examples().items() if not lines]

    assert examples()
    assert without == []


def test_every_example_calls_the_command_that_it_is_an_example_of() -> None:
    last = {name: line for name, lines in examples().items() for line in lines[-1:]}

    assert [line for name, line in last.items() if f"-m scripts {name}" not in line] == []


@pytest.mark.timeout(300)  # dozens of commands
def test_the_examples_in_the_help_of_every_command_work(service: RunningService) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{service.env['PATH']}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(partial(run_all, env={**service.env, "PATH": path}), examples().values())
        failed = [each for lines in done for each in lines if not worked(each)]

    assert failed == []


def examples() -> dict[str, Sequence[str]]:
    """Read the examples of every command, by its name."""
    return {name: lines_of(command.help or "") for name, command in commands(typer.main.get_command(app))}


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Walk through the groups; yield the commands in them."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, each in inner.items():
        yield from commands(each, f"{name} {word}".strip())


def lines_of(help_text: str) -> Sequence[str]:
    found = EXAMPLES.search(help_text)
    return [] if found is None else [line.strip() for line in found[1].splitlines()]


def run_all(lines: Sequence[str], env: dict[str, str]) -> Sequence[Done]:
    return [run(["sh", "-c", line], env) for line in lines]


def worked(done: Done) -> bool:
    # A pipe and `|| true` hide how the command ended, but not what it complained of.
    complained = bool(done.stderr) if "|" in done.args[-1] else "Traceback" in done.stderr
    return done.returncode == 0 and not complained
