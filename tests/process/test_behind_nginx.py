"""The nginx configuration of the operators' manual, as it is printed, between a client and a backend."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.backoffice import claims_of
from tests.conftest import need
from tests.process.running import ROOT, RunningService, free_port, running_service
from tests.timing import wait_until

pytestmark = pytest.mark.thorough

FORGED = {"X-Auth-Id": "1000", "X-Auth-User": "root", "X-Auth-Session": "0" * 32}
SEEN_BY_BACKEND = ("x-auth-id", "x-auth-user", "x-auth-session")
_UP_SECONDS = 10


class Backend(BaseHTTPRequestHandler):
    """Answers with the identity that it was told, and takes it for the truth."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.send_response(200)
        for name in SEEN_BY_BACKEND:
            for value in self.headers.get_all(name, []):
                self.send_header(f"Seen-{name}", value)
        self.send_header("Seen-Body", str(length))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_DELETE = do_OPTIONS = answer  # noqa: N815 - their names are the library's

    def log_message(self, *args: object) -> None:
        """Keep the tests' output to the tests."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("service"), WEB_CONCURRENCY="1") as running:
        yield running


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def gateway(
    service: RunningService, backend: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    with (
        nginx(tmp_path_factory.mktemp("nginx"), service.env["PORT"], backend) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client,
    ):
        yield client


@contextmanager
def nginx(directory: Path, service_port: object, backend_port: object) -> Iterator[int]:
    """Run nginx in the foreground with the documented configuration, for the length of the block."""
    port, config, log = free_port(), directory / "nginx.conf", directory / "error.log"
    config.write_text(configuration(directory, port, str(service_port), str(backend_port)))
    program = [need("nginx"), "-p", str(directory), "-c", str(config), "-e", str(log)]
    process = subprocess.Popen(program)
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, _UP_SECONDS, log.read_text)
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(_UP_SECONDS)


def answers(port: int) -> bool:
    try:
        return bool(httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code)
    except httpx.TransportError:
        return False


def documented() -> str:
    """Take the configuration out of the manual."""
    blocks = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "auth_request" in block]
    return str(block)


def configuration(directory: Path, port: int, service_port: str, backend_port: str) -> str:
    """Put it into a server of its own, with the addresses of this test."""
    block = documented().replace("backoffice:8000", f"127.0.0.1:{service_port}")
    block = block.replace("orders:8080", f"127.0.0.1:{backend_port}")
    temp = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers may belong to a user who cannot write here: bodies stay in memory.
    server = f"server {{\nlisten 127.0.0.1:{port};\n{block}\n}}"
    http = f"http {{\naccess_log off;\nclient_body_buffer_size 1m;\n{temp}{server}\n}}"
    return f"daemon off;\nworker_processes 1;\npid {directory}/nginx.pid;\nevents {{}}\n{http}\n"


@pytest.fixture
def token(service: RunningService) -> str:
    return service.token()


def bearer(token: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **more}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_good_token_reaches_the_backend_with_a_name(gateway: httpx.Client, token: str, method: str) -> None:
    answer = gateway.request(method, "/orders/1?x=y", headers=bearer(token))

    assert answer.status_code == 200, answer.text
    assert identity_in(answer) == ["1", "causas", claims_of(token)["sid"]]


def test_a_body_reaches_the_backend_and_not_the_service(gateway: httpx.Client, token: str) -> None:
    answer = gateway.post("/orders", headers=bearer(token), content=b"x" * 500_000)

    assert (answer.status_code, answer.headers["seen-body"]) == (200, "500000")


def test_nobody_can_name_herself(gateway: httpx.Client, token: str) -> None:
    with_token = gateway.get("/orders", headers=bearer(token, **FORGED))
    without = gateway.get("/orders", headers=FORGED)

    assert identity_in(with_token) == ["1", "causas", claims_of(token)["sid"]]
    assert without.status_code == 401


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic eDp5"}])
def test_without_a_good_token_nothing_reaches_the_backend(
    gateway: httpx.Client, method: str, headers: dict[str, str]
) -> None:
    answer = gateway.request(method, "/orders", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="backoffice"')
    assert "seen-body" not in answer.headers


def test_nobody_is_refused_for_the_haste_of_a_network(gateway: httpx.Client, token: str) -> None:
    statuses = [gateway.get("/orders").status_code for _ in range(120)]

    assert statuses == [401] * 120
    assert gateway.get("/orders", headers=bearer(token)).status_code == 200


def test_the_backends_own_headers_are_none_of_the_services_business(
    gateway: httpx.Client, token: str
) -> None:
    # More than the service reads, and less than nginx does.
    own = {"Cookie": "a=" + "x" * 6000, "X-Page": "x" * 6000}

    answer = gateway.get("/orders", headers=bearer(token, **own))

    assert answer.status_code == 200


def test_a_logout_counts_on_the_next_request(
    gateway: httpx.Client, service: RunningService, token: str
) -> None:
    before = gateway.get("/orders", headers=bearer(token)).status_code

    service.log_out(token)

    assert before == 200
    assert gateway.get("/orders", headers=bearer(token)).status_code == 401


def test_the_question_itself_is_nobody_elses(gateway: httpx.Client, token: str) -> None:
    assert gateway.get("/_verify", headers=bearer(token)).status_code == 404


def test_a_service_that_is_away_lets_nobody_through(
    backend: int, token: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with nginx(tmp_path_factory.mktemp("away"), free_port(), backend) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/orders", headers=bearer(token), trust_env=False)

    assert answer.status_code == 503
    assert answer.json() == {"message": "Service Unavailable"}
    assert answer.headers["retry-after"] == "1"


def identity_in(answer: httpx.Response) -> list[str]:
    return [",".join(answer.headers.get_list(f"seen-{name}")) for name in SEEN_BY_BACKEND]
