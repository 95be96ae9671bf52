"""The configurations that operators copy work as they stand."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.telemetry.events import NAMES
from tests.backoffice import AUTH
from tests.faults.servers import self_signed
from tests.process.running import DEMO_PASSWORD, RunningService, free_port, running_service
from tests.timing import wait_until

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
A_CLIENT = "127.0.0.5"
FORGED = "203.0.113.9"
# The events only, not the fields behind them.
WARNS = re.compile(r"\b_?log\.(?:warning|error|exception)\(([^,)]*)")


def block(language: str) -> str:
    """Give the first block in that language."""
    found = re.search(f"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def need_or_skip(program: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed here")
    return path


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    program = need_or_skip("systemd-analyze")
    unit = tmp_path / "backoffice.service"
    # What is not on this machine is no fault of the unit.
    unit.write_text(block("ini").replace("/opt/backoffice/.venv/bin/python", "/bin/true"))

    done = subprocess.run(
        [program, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30, check=False
    )

    assert [line for line in done.stderr.splitlines() if "backoffice.service" in line] == []


def test_the_unit_leaves_time_to_finish() -> None:
    grace = re.search(r"TimeoutStopSec=([0-9]+)", block("ini"))

    assert grace is not None
    assert int(grace[1]) > 25 + 5


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    settings = {"TRUSTED_PROXY_HOPS": "1", "FORCE_HTTPS": "1", "HOST": "127.0.0.1"}
    with running_service(tmp_path_factory.mktemp("nginx"), WEB_CONCURRENCY="1", **settings) as service:
        yield service


@contextmanager
def nginx(directory: Path, service: RunningService) -> Iterator[str]:
    """Run nginx with the documented configuration, with ports and certificate of the test's own."""
    program, port = need_or_skip("nginx"), free_port()
    certificate, key = self_signed(directory)
    config = block("nginx").replace("127.0.0.1:8000", f"127.0.0.1:{service.env['PORT']}")
    config = config.replace("listen 443", f"listen 127.0.0.1:{port}")
    config = re.sub(r"ssl_certificate .*;", f"ssl_certificate {certificate};", config)
    config = re.sub(r"ssl_certificate_key .*;", f"ssl_certificate_key {key};", config)
    paths = "".join(
        f"{name}_temp_path {directory};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    head = f"daemon off; pid {directory}/nginx.pid; events {{}}\n"
    (directory / "nginx.conf").write_text(f"{head}http {{ access_log off;\n{paths}{config} }}")
    command = [program, "-e", f"{directory}/error.log", "-p", str(directory), "-c", "nginx.conf"]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30, check=False)
    assert tested.returncode == 0, tested.stderr
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: _listens(port), 10, (directory / "error.log").read_text)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        return httpx.get(f"https://127.0.0.1:{port}/health/live", verify=False).status_code == 200  # noqa: S501
    except httpx.TransportError:
        return False


def test_behind_nginx_clients_are_told_apart_whatever_they_claim(
    service: RunningService, tmp_path: Path
) -> None:
    way = httpx.HTTPTransport(local_address=A_CLIENT, verify=False)
    with nginx(tmp_path, service) as url, httpx.Client(transport=way, headers=forged()) as client:
        answer = client.post(url + AUTH, json={"user": "causas", "password": DEMO_PASSWORD})
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}

        sessions = client.get(f"{url}{AUTH}/sessions", headers=bearer).json()["data"]

    assert [session["ip"] for session in sessions] == [A_CLIENT]
    assert "max-age" in answer.headers["strict-transport-security"]


def forged() -> dict[str, str]:
    return {"X-Forwarded-For": FORGED, "X-Real-IP": FORGED, "Forwarded": f"for={FORGED}"}


def test_after_a_restore_everything_that_was_done_to_users_is_done_again() -> None:
    table = PAGE.partition("## Backup and restore")[2].partition("\n## ")[0]
    again = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^ +\| (`[^|]*) \|", table, re.MULTILINE))))

    assert again == {name for name in NAMES if name.startswith(("user", "password_"))}


def test_every_warning_of_the_service_is_in_the_table_of_the_log() -> None:
    table = PAGE.partition("Of the lines in [the log]")[2].partition("\n\n")[2].partition("\n\n")[0]
    explained = set(re.findall(r"`(\w+)`", table))
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "service").rglob("*.py")]
    said = {event for text in code for line in WARNS.findall(text) for event in re.findall(r'"(\w+)"', line)}

    assert {"worker_died", "login_limits_local", "background_work_failed"} <= said
    assert said <= explained
