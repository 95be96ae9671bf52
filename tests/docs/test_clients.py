"""The clients of docs/clients.md, as they are printed but for the address, with services that refuse."""

import functools
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import need
from tests.docs.browser import browser
from tests.process.running import ROOT, RunningService, missing, running_service
from tests.process.test_published_examples import GUZZLE
from tests.process.web import serving
from tests.timing import wait_until

pytestmark = pytest.mark.thorough

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
SIGNED_IN = "Signed in as Causas."
TRIES = 4
PATIENCE_SECONDS = 40


def snippet(heading: str, language: str) -> str:
    """Give the block in that language below that heading."""
    section = re.split(rf"^#+ {heading}$", PAGE, flags=re.MULTILINE)[1]
    found = re.search(
        rf"^```{language}\n(.*?)^```$",
        re.split(r"^## ", section, flags=re.MULTILINE)[0],
        re.DOTALL | re.MULTILINE,
    )
    assert found is not None, (heading, language)
    return found[1]


def write(directory: Path, name: str, text: str, url: str) -> str:
    (directory / name).write_text(text.replace("http://localhost:8000", url), encoding="utf-8")
    return name


# What a client said, and whether it got to its end.
Said = tuple[str, bool]


def php(directory: Path, url: str) -> Said:
    program = need("php")
    if not GUZZLE.exists():
        missing("Guzzle is not installed")
    code = snippet("PHP", "php").replace("vendor/autoload.php", str(GUZZLE))
    return run(directory, program, write(directory, "client.php", code, url))


def node(directory: Path, url: str) -> Said:
    program = need("node")
    (directory / "package.json").write_text('{"type": "module"}')
    write(directory, "backoffice.js", snippet("JavaScript", "javascript"), url)
    return run(directory, program, write(directory, "client.js", snippet("Node", "javascript"), url))


def python(directory: Path, url: str) -> Said:
    return run(directory, sys.executable, write(directory, "client.py", snippet("Python", "python"), url))


def java(directory: Path, url: str) -> Said:
    return run(directory, need("java"), write(directory, "Backoffice.java", snippet("Java", "java"), url))


def bash(directory: Path, url: str) -> Said:
    program, _, _ = need("bash"), need("curl"), need("jq")
    credentials = directory / "credentials.json"
    credentials.write_text('{"user": "causas", "password": "causas123"}')
    return run(directory, program, write(directory, "client.sh", snippet("Shell", "bash"), url))


def run(directory: Path, *program: str) -> Said:
    done = subprocess.run(
        program, cwd=directory, env=os.environ, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr, done.returncode == 0


def in_browser(directory: Path, url: str) -> Said:
    """Sign in and out as somebody at the page would, who gives up where the page does."""
    write(directory, "backoffice.js", snippet("JavaScript", "javascript"), url)
    write(directory, "page.js", snippet("Browser", "javascript"), url)
    write(directory, "index.html", f"<!doctype html>{snippet('Browser', 'html')}", url)
    told = "document.querySelector('output').textContent"
    with served(directory) as address, browser(directory / "profile") as tab:
        tab.open(address)
        for name, text in {"user": "causas", "password": "causas123"}.items():
            tab.click(f"document.querySelector('[name={name}]')")
            tab.type(text)
        tab.click("document.querySelector('form button')")
        said = str(tab.wait_for(told))
        if said == SIGNED_IN:
            tab.click("document.querySelector('#sign-out')")
            tab.wait_for(f"{told} !== '{SIGNED_IN}'")
        return said, tab.value(told) == "Signed out."


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve the files of a directory on an origin of their own."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with serving(functools.partial(Handler, directory=str(directory))) as address:
        yield address


CLIENTS: dict[str, Callable[[Path, str], Said]] = {
    "php": php,
    "browser": in_browser,
    "node": node,
    "python": python,
    "java": java,
    "bash": bash,
}
each_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
Client = Callable[[Path, str], Said]

REQUEST = re.compile(r"method=(\w+) route=/v1/backoffice/auth(/\w+)? status=(\d+)")


@contextmanager
def heard(service: RunningService) -> Iterator[list[tuple[str, int]]]:
    """Note what the service is asked for within the block, and how it answers; preflights aside."""
    before = len(service.log())
    requests: list[tuple[str, int]] = []
    yield requests
    found = REQUEST.findall(service.log()[before:])
    requests += [(method + path, int(status)) for method, path, status in found if method != "OPTIONS"]


def statuses(requests: list[tuple[str, int]], asked: str) -> list[int]:
    return [status for name, status in requests if name == asked]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Run a service that lets a session ask once in two seconds."""
    with running_service(tmp_path_factory.mktemp("strict"), LIMIT_SESSION="1/2+0") as running:
        yield running


@pytest.fixture(scope="module")
def blocking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Run a service where a login failed, and the next may come in ten minutes."""
    with running_service(tmp_path_factory.mktemp("blocking"), LIMIT_LOGIN="1/600") as running:
        assert running.log_in(password="wrong").status_code == 401
        yield running


@pytest.fixture(scope="module")
def frail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Run a service whose database others lock."""
    with running_service(tmp_path_factory.mktemp("frail")) as running:
        yield running


@contextmanager
def locked_database(service: RunningService) -> Iterator[None]:
    with closing(sqlite3.connect(service.data_dir / "backoffice.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@each_client
def test_a_client_waits_when_it_asks_too_often(
    strict: RunningService, tmp_path: Path, client: Client
) -> None:
    with heard(strict) as requests:
        said, ended = client(tmp_path, strict.url)

    assert SIGNED_IN in said
    assert ended
    refused = [name for name, status in requests if status == 429]
    # Who sleeps what Retry-After says gets through the next time: nothing is refused twice.
    assert refused
    assert len(refused) == len(set(refused)), requests
    assert statuses(requests, "DELETE")[-1] == 204


@each_client
def test_a_client_outlasts_a_service_that_is_down_for_a_moment(
    frail: RunningService, tmp_path: Path, client: Client
) -> None:
    def unlock_soon() -> None:
        with locked_database(frail):
            refusing.append(True)
            wait_until(lambda: frail.log().count("status=503") > before, PATIENCE_SECONDS)

    before = frail.log().count("status=503")
    refusing: list[bool] = []
    outage = Thread(target=unlock_soon)
    outage.start()
    wait_until(lambda: bool(refusing), 5)

    with heard(frail) as requests:
        said, ended = client(tmp_path, frail.url)
    outage.join()

    assert SIGNED_IN in said
    assert ended
    assert statuses(requests, "POST")[0] == 503
    assert statuses(requests, "POST")[-1] == 200
    assert statuses(requests, "DELETE") == [204]


@each_client
def test_a_client_does_not_try_for_ever(frail: RunningService, tmp_path: Path, client: Client) -> None:
    began = time.monotonic()

    with locked_database(frail), heard(frail) as requests:
        _, ended = client(tmp_path, frail.url)

    assert not ended
    assert requests == [("POST", 503)] * TRIES
    assert time.monotonic() - began > TRIES - 1


@each_client
def test_a_client_does_not_wait_longer_than_anybody_would(
    blocking: RunningService, tmp_path: Path, client: Client
) -> None:
    with heard(blocking) as requests:
        said, ended = client(tmp_path, blocking.url)

    assert not ended
    assert requests == [("POST", 429)]
    assert client is not in_browser or said.startswith("Too many login attempts. Please try again in ")


def test_the_page_has_no_token_in_a_storage() -> None:
    code = "".join(re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))

    assert code.count("Backoffice") > 10
    assert re.findall(r"localStorage|sessionStorage|document\.cookie", code) == []
