"""The description judged by others: is it OpenAPI, do its examples fit, is it what the service does?"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.running import ROOT, RunningService, missing, running_service

# In an environment of their own, which `make test-docs` sets up.
pytestmark = pytest.mark.slow

_PROGRAMS = ROOT / ".venv-docs" / "bin"
_HERE = Path(__file__).parent
_CLIENT = "schemathesis:a-secret-of-32-characters-at-least"
# So high that none is met, but not off: their headers are part of what is described.
_LIMITS = dict.fromkeys(("LIMIT_LOGIN", "LIMIT_LOGIN_ACCOUNT", "LIMIT_LOGIN_NETWORK"), "100000/1")
_RATES = dict.fromkeys(("LIMIT_SESSION", "LIMIT_NETWORK"), "100000/1+100000")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    env = _LIMITS | _RATES | {"WEB_CONCURRENCY": "1", "CLIENTS": _CLIENT}
    with running_service(tmp_path_factory.mktemp("conformance"), **env) as running:
        yield running


def judge(program: str, *args: str, input: str = "", **env: str) -> subprocess.CompletedProcess[str]:  # noqa: A002
    """Run a program of the other environment to its end."""
    path = _PROGRAMS / program
    if not path.exists():
        missing(f"no {program} is in .venv-docs (make test-docs)")
    return subprocess.run(
        [str(path), *args],
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"} | env,
        input=input,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def description_of(service: RunningService) -> str:
    return service.http.get(f"{service.url}/docs/openapi.json").text


def test_the_description_is_valid_openapi_3_1(service: RunningService) -> None:
    done = judge("openapi-spec-validator", "--schema", "3.1", "-", input=description_of(service))

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_fits_its_schema(service: RunningService) -> None:
    done = judge("python", str(_HERE / "examples.py"), input=description_of(service))

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["misfits"] == []
    assert found["judged"] > 90


@pytest.mark.timeout(300)
def test_the_service_answers_as_it_is_described(service: RunningService, tmp_path: Path) -> None:
    # As a file: read from the service, it would leave out the operation that it was read by.
    description = tmp_path / "openapi.json"
    description.write_text(description_of(service))
    paths = json.loads(description.read_text())["paths"]

    done = judge(
        "schemathesis",
        f"--config-file={_HERE / 'schemathesis.toml'}",
        "run",
        f"--report-dir={tmp_path}",
        f"--url={service.url}",
        str(description),
        SCHEMATHESIS_HOOKS="tests.docs.credentials",
        SERVICE_URL=service.url,
        CLIENTS=_CLIENT,
    )

    assert done.returncode == 0, done.stdout[-20_000:]
    assert re.findall(r"Tested: +([0-9]+)", done.stdout) == [str(sum(map(len, paths.values())))]
