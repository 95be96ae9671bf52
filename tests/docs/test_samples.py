"""The example requests of the page work as they are printed, but for the address and what a login answers."""

import html
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.routes.schemas import SID
from tests.conftest import need
from tests.docs.test_page import CLIENT_ID, CLIENT_SECRET
from tests.process.running import RunningService, running_service
from tests.process.test_published_examples import output_of, run_php

pytestmark = pytest.mark.thorough

NODE = """
const f = fetch;
globalThis.fetch = async (...a) => { const r = await f(...a); console.log(r.status); return r; };
"""


def bash(example: str, directory: Path) -> int:
    need("curl")
    (directory / ".curlrc").write_text('silent\nwrite-out = "\\n%{http_code}"\n')
    return int(output_of(["sh", "-c", example], CURL_HOME=str(directory)).rsplit("\n", 1)[1])


def javascript(example: str, _directory: Path) -> int:
    return int(output_of([need("node"), "-e", NODE + example]).split("\n")[0])


def php(example: str, _directory: Path) -> int:
    return run_php(example)[0][0]


def python(example: str, _directory: Path) -> int:
    return int(output_of([sys.executable, "-c", f"{example}\nprint(response.status_code)"]).split()[-1])


RUNNERS: dict[str, Callable[[str, Path], int]] = {
    "bash": bash,
    "javascript": javascript,
    "php": php,
    "python": python,
}


# Every operation of the page, and the status of its example.
OPERATIONS = {
    "log_in": 200,
    "who_am_i": 200,
    "log_out": 204,
    "refresh": 200,
    "change_password": 200,
    "list_sessions": 200,
    "end_session": 204,
    "introspect": 200,
    "revoke": 200,
    "verify": 204,
    "jwks": 200,
    "live": 200,
    "ready": 200,
    "show": 200,
}
# What the examples of the page say: of a login, and of a change of password.
PASSWORD = "causas123"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Run a service that lets anybody have the password of the examples."""
    env = {"CLIENTS": f"{CLIENT_ID}:{CLIENT_SECRET}", "PASSWORD_MIN_LENGTH": "8"}
    with running_service(tmp_path_factory.mktemp("samples"), **env) as running:
        yield running


@pytest.fixture(scope="module")
def page(service: RunningService) -> str:
    return service.http.get(f"{service.url}/docs").text


def sample(page: str, operation: str, language: str) -> str:
    found = re.search(rf'id="{operation}-{language}".*?<code>(.*?)</code>', page, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]+>", "", found[1]))


def aimed(example: str, service: RunningService, user: str) -> str:
    """Put in what the page leaves to its reader: where the service is, and what a login answered."""
    token = service.token(user, PASSWORD)
    sid = service.who_am_i(token).json()["session"]["id"]
    places = {
        "http://localhost": service.url,
        "{token}": token,
        "eyJ0e...": token,
        "{client_id}": CLIENT_ID,
        "{client_secret}": CLIENT_SECRET,
        SID: sid,
    }
    for place, value in places.items():
        example = example.replace(place, value)
    return example


@pytest.mark.parametrize("language", RUNNERS)
@pytest.mark.parametrize(("operation", "status"), OPERATIONS.items())
def test_an_example_of_the_page_works(
    service: RunningService,
    page: str,
    tmp_path: Path,
    operation: str,
    status: int,
    language: str,
) -> None:
    user = "causas"
    if operation == "change_password":  # afterwards, she has another one
        user = f"user-of-{language}"
        service.scripts("users", "create", user, "--password-stdin", input=PASSWORD).check_returncode()
    example = aimed(sample(page, operation, language), service, user)

    assert RUNNERS[language](example, tmp_path) == status


def test_every_operation_of_the_page_has_an_example_that_is_tried(page: str) -> None:
    assert set(re.findall(r'id="try-(\w+)"', page)) == set(OPERATIONS)
