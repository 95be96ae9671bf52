"""The three examples of the published documentation work as they are printed, but for host and port."""

import html
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.conftest import need
from tests.docs.browser import CHROMIUM_OPTIONS
from tests.process.running import RunningService, missing
from tests.process.test_make_run import make_run
from tests.process.web import serving

CURL = r"""
curl -X POST \
    "http://localhost/v1/backoffice/auth" \
    -H "Content-Type: application/json" \
    -H "Accept: application/json" \
    -d '{"user":"causas","password":"causas123"}'
"""

PHP = r"""
$client = new \GuzzleHttp\Client();
$response = $client->post(
    'http://localhost/v1/backoffice/auth',
    [
        'headers' => [
            'Accept' => 'application/json',
        ],
        'json' => [
            'user' => 'causas',
            'password' => 'causas123',
        ],
    ]
);
$body = $response->getBody();
print_r(json_decode((string) $body));
"""

JAVASCRIPT = r"""
const url = new URL(
    "http://localhost/v1/backoffice/auth"
);

let headers = {
    "Content-Type": "application/json",
    "Accept": "application/json",
};

let body = {
    "user": "causas",
    "password": "causas123"
}

fetch(url, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
}).then(response => response.json());
"""

# An answer as every harness below hands it over: the status and the text of the body.
Answer = tuple[int, str]

GUZZLE = Path("/usr/share/php/GuzzleHttp/autoload.php")

# The example between these two is run unchanged; what it printed is set apart from what it received.
PHP_HARNESS = """
require '%s';
assert(\\GuzzleHttp\\ClientInterface::MAJOR_VERSION === 7);
ob_start();
try {
%s
} catch (\\GuzzleHttp\\Exception\\ClientException $refusal) {
    $response = $refusal->getResponse();
}
$printed = ob_get_clean();
echo json_encode([
    'status' => $response->getStatusCode(),
    'body' => (string) $response->getBody(),
    'printed' => $printed,
]);
"""

# `eval` gives the value of the example's last statement: the promise that it leaves behind.
PAGE = """<!doctype html>
<script type="text/plain" id="example">%s</script>
<body><script>
    const example = document.getElementById("example").textContent;
    const show = facts => { document.body.textContent = JSON.stringify(facts); };
    const status = new Promise(resolve => {
        const take = list => list.getEntries()
            .filter(entry => entry.initiatorType === "fetch")
            .forEach(entry => resolve(entry.responseStatus));
        new PerformanceObserver(take).observe({type: "resource", buffered: true});
    });
    eval(example).then(
        async body => show({status: await status, body: JSON.stringify(body)}),
        error => show({status: 0, body: String(error)}),
    );
</script></body>
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with make_run(tmp_path_factory.mktemp("printed")) as running:
        yield running


def test_the_curl_example_gets_a_token(service: RunningService, tmp_path: Path) -> None:
    answer = run_curl(aimed_at(service, CURL), tmp_path)

    assert_token(answer)


def test_the_curl_example_with_a_wrong_password_is_refused(service: RunningService, tmp_path: Path) -> None:
    answer = run_curl(with_a_wrong_password(aimed_at(service, CURL)), tmp_path)

    assert_refused(answer)


def test_the_php_example_gets_a_token(service: RunningService) -> None:
    answer, printed = run_php(aimed_at(service, PHP))

    assert_token(answer)
    assert re.fullmatch(r"stdClass Object\s+\(\s+\[token\] => eyJ0e[\w.-]+\s+\)\s+", printed)


def test_the_php_example_with_a_wrong_password_is_refused(service: RunningService) -> None:
    answer, printed = run_php(with_a_wrong_password(aimed_at(service, PHP)))

    assert_refused(answer)
    assert not printed


def test_the_javascript_example_gets_a_token_from_another_origin(
    service: RunningService, tmp_path: Path
) -> None:
    answer = run_javascript(aimed_at(service, JAVASCRIPT), tmp_path)

    assert_token(answer)


def test_the_javascript_example_with_a_wrong_password_can_read_why_it_is_refused(
    service: RunningService, tmp_path: Path
) -> None:
    answer = run_javascript(with_a_wrong_password(aimed_at(service, JAVASCRIPT)), tmp_path)

    assert_refused(answer)


def assert_token(answer: Answer) -> None:
    status, body = answer
    assert status == 200, body
    facts = json.loads(body)
    assert list(facts) == ["token"]
    assert facts["token"].startswith("eyJ0e")


def assert_refused(answer: Answer) -> None:
    status, body = answer
    assert status == 401, body
    assert json.loads(body) == {"message": "These credentials do not match our records."}


def aimed_at(service: RunningService, example: str) -> str:
    assert example.count("http://localhost/") == 1
    return example.replace("http://localhost/", f"{service.url}/")


def with_a_wrong_password(example: str) -> str:
    assert example.count("causas123") == 1
    return example.replace("causas123", "causas124")


def run_curl(example: str, directory: Path) -> Answer:
    need("curl")
    # The example says nothing of the status; curl's own settings file makes it print it.
    (directory / ".curlrc").write_text('silent\nwrite-out = "\\n%{http_code}"\n')
    body, status = output_of(["sh", "-c", example], CURL_HOME=str(directory)).rsplit("\n", 1)
    return int(status), body


def run_php(example: str) -> tuple[Answer, str]:
    php = need("php")
    if not GUZZLE.exists():
        missing("Guzzle is not installed")
    code = PHP_HARNESS % (GUZZLE, example)
    facts = json.loads(output_of([php, "-d", "zend.assertions=1", "-r", code]))
    return (facts["status"], facts["body"]), facts["printed"]


def run_javascript(example: str, directory: Path) -> Answer:
    chromium = need("chromium")
    options = [f"--user-data-dir={directory}", "--virtual-time-budget=10000", "--dump-dom"]
    with served(PAGE % example) as address:
        dom = output_of([chromium, *CHROMIUM_OPTIONS, *options, address])
    shown = re.search(r"<body>(\{.*\})</body>", dom)
    assert shown is not None, dom
    facts = json.loads(html.unescape(shown[1]))
    return facts["status"], facts["body"]


def output_of(program: list[str], **env: str) -> str:
    done = subprocess.run(
        program, env=os.environ | env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def served(page: str) -> Iterator[str]:
    """Serve one page on a port of its own: another origin than the service's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Keep quiet."""

    with serving(Handler) as address:
        yield address
