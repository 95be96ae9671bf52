"""What every answer has in common, whatever was asked for."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from sanic import HTTPResponse, Request, Sanic

from service.app import create_app
from service.routes.answers import json_answer
from service.settings import Settings
from service.telemetry import logs
from service.uncancelled import finish_all
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start

pytestmark = pytest.mark.documented

HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
CREDENTIALS = {"user": "causas", "password": PASSWORD}
BLOCKED = {"user": "blocked", "password": "wrong"}
CLIENT = ("orders", "s" * 32)
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Case:
    """A request that provokes an answer of one status."""

    status: int
    method: str
    path: str
    with_token: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.method} {self.path}"

    async def send(self, client: Backoffice, headers: dict[str, str] | None = None) -> httpx.Response:
        token = await client.token() if self.with_token else None
        options = {**self.options, "headers": {**self.options.get("headers", {}), **(headers or {})}}
        answer = await client.request(self.method, self.path, token, **options)
        assert answer.status_code == self.status, answer.text
        return answer


BROKEN = Case(500, "GET", "/broken")
SUCCESSES = [
    Case(200, "POST", AUTH, options={"json": CREDENTIALS}),
    Case(200, "GET", AUTH, with_token=True),
    Case(200, "HEAD", AUTH, with_token=True),
    Case(200, "GET", f"{AUTH}/sessions", with_token=True),
    Case(200, "POST", f"{AUTH}/refresh", with_token=True),
    Case(204, "DELETE", AUTH, with_token=True),
    Case(204, "OPTIONS", AUTH),
    Case(200, "POST", f"{AUTH}/introspect", options={"json": {"token": "x"}, "auth": CLIENT}),
    Case(200, "POST", f"{AUTH}/revoke", options={"data": {"token": "x"}, "auth": CLIENT}),
    Case(204, "GET", f"{AUTH}/verify", with_token=True),
    Case(204, "HEAD", f"{AUTH}/verify", with_token=True),
    Case(200, "GET", "/health/live"),
    Case(200, "HEAD", "/health/live"),
    Case(200, "GET", "/health/ready"),
    Case(200, "GET", "/docs/openapi.json"),
]
ERRORS = [
    Case(400, "POST", AUTH, options={"content": "{", "headers": {"Content-Type": "application/json"}}),
    Case(401, "POST", AUTH, options={"json": CREDENTIALS | {"password": "wrong"}}),
    Case(401, "GET", AUTH),
    Case(401, "GET", AUTH, options={"headers": {"Authorization": "Bearer x.y.z"}}),
    Case(401, "PUT", f"{AUTH}/password", options={"json": {}}),
    Case(400, "POST", f"{AUTH}/revoke", options={"content": "{", "headers": JSON, "auth": CLIENT}),
    Case(401, "POST", f"{AUTH}/introspect", options={"json": {"token": "x"}}),
    Case(401, "POST", f"{AUTH}/revoke", options={"data": {"token": "x"}, "auth": ("orders", "x")}),
    Case(401, "GET", f"{AUTH}/verify"),
    Case(401, "OPTIONS", f"{AUTH}/verify"),
    Case(415, "POST", f"{AUTH}/introspect", options={"content": "token=x", "auth": CLIENT}),
    Case(422, "POST", f"{AUTH}/introspect", options={"json": {}, "auth": CLIENT}),
    Case(404, "GET", "/v1/backoffice/nothing"),
    Case(404, "GET", "/nothing"),
    Case(404, "GET", "/docs/nothing"),
    Case(404, "DELETE", f"{AUTH}/sessions/{'0' * 32}", with_token=True),
    Case(405, "GET", f"{AUTH}/refresh"),
    Case(405, "POST", "/health/live"),
    Case(413, "POST", AUTH, options={"json": CREDENTIALS | {"password": "x" * 17_000}}),
    Case(415, "POST", AUTH, options={"content": "user=causas&password=x", "headers": FORM}),
    Case(422, "POST", AUTH, options={"json": {}}),
    Case(422, "DELETE", f"{AUTH}?scope=everything", with_token=True),
    Case(429, "POST", AUTH, options={"json": BLOCKED}),
    BROKEN,
]


@pytest.fixture
def app(settings: Settings, clock: FakeClock) -> Callable[..., Sanic[Any, Any]]:
    """Make the application with two routes more: one broken, and one that nobody marked as public."""

    async def broken(_request: Request) -> HTTPResponse:
        raise LookupError("this is nobody's business")

    async def forgotten(_request: Request) -> HTTPResponse:
        return json_answer({"secret": "for principals only"})

    def make(**changes: Any) -> Sanic[Any, Any]:
        made = create_app(replace(settings, clients=(":".join(CLIENT),), **changes), clock)
        made.add_route(broken, "/broken", ctx_public=True)
        made.add_route(forgotten, "/v1/backoffice/forgotten")
        return made

    return make


@pytest.fixture
def start_app(sanic_client: Any, app: Callable[..., Sanic[Any, Any]]) -> Start:
    """Start it with one user, causas, whose password is PASSWORD."""

    async def start_with(**changes: Any) -> Running:
        running = Running(await sanic_client(app(**changes), verify=False))
        await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
        return running

    return start_with


async def answers(
    start_app: Start, cases: list[Case], headers: dict[str, str] | None = None, **changes: Any
) -> list[tuple[Case, httpx.Response]]:
    """Start the service, spend the attempts of one account, and send every case."""
    running = await start_app(**changes)
    for _ in range(5):
        await running.client.request("POST", AUTH, json=BLOCKED)
    return [(case, await case.send(running.client, headers)) for case in cases]


async def test_every_answer_carries_the_standard_headers(start_app: Start) -> None:
    for case, answer in await answers(start_app, [*SUCCESSES, *ERRORS]):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, case
        assert REQUEST_ID.fullmatch(answer.headers["x-request-id"]), case


async def test_no_answer_tells_what_it_was_made_with(start_app: Start) -> None:
    for case, answer in await answers(start_app, [*SUCCESSES, *ERRORS]):
        assert not {"server", "via", "x-powered-by"} & set(answer.headers), case
        assert "sanic" not in str(answer.headers).lower(), case


async def test_no_answer_sets_a_cookie(start_app: Start) -> None:
    for case, answer in await answers(start_app, [*SUCCESSES, *ERRORS]):
        assert "set-cookie" not in answer.headers, case


async def test_every_error_is_a_sentence_in_compact_json(start_app: Start) -> None:
    for case, answer in await answers(start_app, ERRORS):
        body = answer.json()
        assert answer.headers["content-type"] == "application/json", case
        assert set(body) == ({"message", "errors"} if case.status in {422, 429} else {"message"}), case
        assert answer.text == compact(body), case


async def test_every_success_is_compact_json_or_nothing(start_app: Start) -> None:
    for case, answer in await answers(start_app, SUCCESSES):
        if case.status == 204 or case.method == "HEAD":
            assert answer.content == b"", case
        else:
            assert answer.headers["content-type"] == "application/json", case
            assert answer.text == compact(answer.json()), case


async def test_a_bug_is_a_server_error_that_tells_nothing(start_app: Start) -> None:
    [(_, answer)] = await answers(start_app, [BROKEN])

    assert answer.json() == {"message": "Server Error"}


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was written to the log since the test began, as production writes it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs._Json())
    logger = logging.getLogger("service")
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_every_line_of_a_request_carries_its_id_and_that_of_a_bug_its_traceback(
    start_app: Start, log: Callable[[], list[dict[str, Any]]]
) -> None:
    client = (await start_app()).client
    began = len(log())

    asked = [("POST", AUTH, CREDENTIALS), ("POST", AUTH, BLOCKED), ("GET", BROKEN.path, None)]
    for number, (method, path, body) in enumerate(asked):
        await client.request(method, path, json=body, headers={"X-Request-ID": f"the-id-of-{number}"})
    await finish_all()

    told = [(line["event"], line["request_id"]) for line in log()[began:]]
    assert sorted(told) == [
        ("login_ok", "the-id-of-0"),
        ("login_refused", "the-id-of-1"),
        ("request", "the-id-of-0"),
        ("request", "the-id-of-1"),
        ("request", "the-id-of-2"),
        ("server_error", "the-id-of-2"),
    ]
    (bug,) = (line for line in log() if line["event"] == "server_error")
    assert "Traceback" in bug["traceback"]


OF_AUTH = "Supported methods: DELETE, GET, HEAD, POST."
SENTENCES = [
    ("GET", "/v1/x", 404, "The route v1/x could not be found."),
    ("GET", "/v1/backoffice/x/", 404, "The route v1/backoffice/x could not be found."),
    ("GET", "/x", 404, "The route x could not be found."),
    ("POST", "/x%20y", 404, "The route x y could not be found."),
    (
        "GET",
        f"{AUTH}/refresh",
        405,
        "The GET method is not supported for route v1/backoffice/auth/refresh. Supported methods: POST.",
    ),
    (
        "PATCH",
        AUTH,
        405,
        f"The PATCH method is not supported for route v1/backoffice/auth. {OF_AUTH}",
    ),
    (
        "DELETE",
        "/health/live",
        405,
        "The DELETE method is not supported for route health/live. Supported methods: GET, HEAD.",
    ),
]


async def test_a_route_that_is_not_there_is_named(client: Backoffice) -> None:
    for method, path, status, sentence in SENTENCES:
        answer = await client.request(method, path)

        assert (answer.status_code, answer.json()) == (status, {"message": sentence})


METHODS = {
    AUTH: {"DELETE", "GET", "HEAD", "POST"},
    f"{AUTH}/": {"DELETE", "GET", "HEAD", "POST"},
    f"{AUTH}/refresh": {"POST"},
    f"{AUTH}/password": {"PUT"},
    f"{AUTH}/introspect": {"POST"},
    f"{AUTH}/revoke": {"POST"},
    "/.well-known/jwks.json": {"GET", "HEAD"},
    f"{AUTH}/sessions": {"GET", "HEAD"},
    f"{AUTH}/sessions/{'0' * 32}": {"DELETE"},
    "/health/live": {"GET", "HEAD"},
    "/docs/openapi.json": {"GET", "HEAD"},
}


async def test_a_405_says_which_methods_are_allowed(client: Backoffice) -> None:
    for path, methods in METHODS.items():
        answer = await client.request("PATCH", path)

        assert answer.status_code == 405, path
        assert set(answer.headers["allow"].split(", ")) == methods | {"OPTIONS"}, path


async def test_options_works_everywhere_and_needs_no_token(client: Backoffice) -> None:
    for path, methods in METHODS.items():
        answer = await client.request("OPTIONS", path)

        assert (answer.status_code, answer.content) == (204, b""), path
        assert set(answer.headers["allow"].split(", ")) == methods | {"OPTIONS"}, path


@pytest.mark.parametrize(
    "request_line_and_headers",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["length", "nonsense", "long"],
)
async def test_broken_framing_is_told_in_json_with_every_header(
    client: Backoffice, request_line_and_headers: bytes
) -> None:
    status, headers, body = await send_bytes(client, request_line_and_headers)

    assert 400 <= status < 500
    assert set(json.loads(body)) == {"message"}
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert REQUEST_ID.fullmatch(headers["x-request-id"])


async def test_a_request_that_never_ends_is_told_so_with_every_header(
    sanic_client: Any, app: Callable[..., Sanic[Any, Any]]
) -> None:
    impatient = app()
    impatient.config.REQUEST_TIMEOUT = 0.2
    client = Running(await sanic_client(impatient, verify=False)).client

    status, headers, body = await send_bytes(client, b"GET /health/live HTTP/1.1\r\nHost:")

    assert (status, json.loads(body)) == (408, {"message": "Request Timeout."})
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert REQUEST_ID.fullmatch(headers["x-request-id"])


@pytest.mark.parametrize(
    ("force_https", "expected"), [(True, "max-age=31536000; includeSubDomains"), (False, None)]
)
async def test_browsers_are_told_to_stay_with_tls_where_there_is_tls(
    start_app: Start, force_https: bool, expected: str | None
) -> None:
    for case, answer in await answers(start_app, [*SUCCESSES, *ERRORS], force_https=force_https):
        assert answer.headers.get("strict-transport-security") == expected, case


async def test_a_callers_request_id_is_kept(client: Backoffice) -> None:
    for given in ("abcdefgh", "0123-4567_89.ab", "A" * 128, "01890a5d-ac96-774b-bcce-b302099a8057"):
        for path in ("/health/live", "/nothing", AUTH):
            answer = await client.request("GET", path, headers={"X-Request-ID": given})

            assert answer.headers["x-request-id"] == given, path


async def test_what_is_no_request_id_is_replaced(client: Backoffice) -> None:
    for given in ("", "short", "A" * 129, "with a blank", "semi;colon", "<script>", "änderung", "a/b/c/d/e"):
        answer = await client.request("GET", "/health/live", headers={"X-Request-ID": given.encode()})

        assert answer.headers["x-request-id"] != given
        assert REQUEST_ID.fullmatch(answer.headers["x-request-id"]), given


async def test_every_request_gets_an_id_of_its_own(client: Backoffice) -> None:
    ids = {(await client.request("GET", path)).headers["x-request-id"] for path in [AUTH, "/nothing"] * 10}

    assert len(ids) == 20


ALLOWED = "https://backoffice.example"
STRANGER = "https://evil.example"
NOT_ALLOWED = [
    STRANGER,
    "null",
    ALLOWED + ".evil.example",
    ALLOWED.replace("https", "http"),
    ALLOWED + ":8443",
    ALLOWED + "/",
    "*",
    "",
]
EXPOSED = (
    "Retry-After, RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset,"
    " X-Request-ID"
)


async def test_a_page_of_an_allowed_origin_may_read_every_answer(start_app: Start) -> None:
    origins = ("https://other.example", ALLOWED)

    for case, answer in await answers(
        start_app, [*SUCCESSES, *ERRORS], {"Origin": ALLOWED}, cors_allowed_origins=origins
    ):
        assert answer.headers.get("access-control-allow-origin") == ALLOWED, case
        assert answer.headers["access-control-expose-headers"] == EXPOSED, case
        assert answer.headers["vary"] == "Origin", case


@pytest.mark.parametrize("origin", [ALLOWED, "*"])
async def test_no_answer_ever_allows_credentials(start_app: Start, origin: str) -> None:
    for case, answer in await answers(
        start_app, [*SUCCESSES, *ERRORS], {"Origin": ALLOWED}, cors_allowed_origins=(origin,)
    ):
        assert "access-control-allow-credentials" not in answer.headers, case


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_an_origin_that_is_not_allowed_is_never_reflected(start_app: Start, method: str) -> None:
    client = (await start_app(cors_allowed_origins=(ALLOWED,))).client

    for origin in NOT_ALLOWED:
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = await client.request(method, AUTH, headers=headers)

        assert not cross_origin_headers(answer), origin
        # A cache must not hand this answer to an allowed origin, nor the other way round.
        assert answer.headers["vary"] == "Origin", origin


async def test_an_answer_to_no_origin_varies_by_origin_as_well(start_app: Start) -> None:
    client = (await start_app(cors_allowed_origins=(ALLOWED,))).client

    answer = await client.request("GET", AUTH)

    assert answer.headers["vary"] == "Origin"


async def test_any_origin_is_a_star_and_never_the_origin_itself(start_app: Start) -> None:
    for case, answer in await answers(
        start_app, [*SUCCESSES, *ERRORS], {"Origin": STRANGER}, cors_allowed_origins=("*",)
    ):
        assert answer.headers.get("access-control-allow-origin") == "*", case
        assert STRANGER not in str(answer.headers), case


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_without_allowed_origins_there_is_no_word_about_them(start_app: Start, method: str) -> None:
    client = (await start_app(cors_allowed_origins=())).client

    headers = {"Origin": STRANGER, "Access-Control-Request-Method": "GET"}
    answer = await client.request(method, AUTH, headers=headers)

    assert not cross_origin_headers(answer)


@pytest.mark.parametrize("origin", [ALLOWED, "*"])
async def test_a_preflight_is_told_the_methods_of_the_route(start_app: Start, origin: str) -> None:
    client = (await start_app(cors_allowed_origins=(origin,))).client

    for path, methods in METHODS.items():
        asked = {"Origin": ALLOWED, "Access-Control-Request-Method": "POST"}
        answer = await client.request("OPTIONS", path, headers=asked)

        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-headers"] == (
            "Accept, Authorization, Content-Type, X-Request-ID"
        )
        assert set(answer.headers["access-control-allow-methods"].split(", ")) - {"OPTIONS"} == methods
        assert answer.headers["access-control-max-age"] == "600"
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", ["/nothing", f"{AUTH}/verify"])
async def test_a_preflight_of_what_is_no_route_for_pages_is_told_no_methods(
    start_app: Start, path: str
) -> None:
    client = (await start_app(cors_allowed_origins=(ALLOWED,))).client

    asked = {"Origin": ALLOWED, "Access-Control-Request-Method": "POST"}
    answer = await client.request("OPTIONS", path, headers=asked)

    assert answer.status_code in {401, 404}
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert "access-control-allow-methods" not in answer.headers


SAME_RESOURCE = [
    ("GET", AUTH),
    ("POST", AUTH),
    ("POST", f"{AUTH}/refresh"),
    ("PUT", f"{AUTH}/password"),
    ("GET", f"{AUTH}/sessions"),
    ("GET", f"{AUTH}/verify"),
    ("POST", f"{AUTH}/introspect"),
    ("POST", f"{AUTH}/revoke"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/docs"),
    ("GET", "/docs/openapi.json"),
    ("GET", "/docs/collection.json"),
]


async def test_a_trailing_slash_ends_the_same_sessions(client: Backoffice) -> None:
    ended, own = await client.token(), await client.token()

    by_id = await client.request("DELETE", f"{AUTH}/sessions/{claims_of(ended)['sid']}/", own)
    logout = await client.request("DELETE", f"{AUTH}/", own)

    assert (by_id.status_code, logout.status_code) == (204, 204)
    assert [(await client.who_am_i(token)).status_code for token in (ended, own)] == [401, 401]


async def test_a_trailing_slash_is_the_same_resource(client: Backoffice) -> None:
    token = await client.token()

    for method, path in SAME_RESOURCE:
        with_slash, without = [await client.request(method, each, token) for each in (f"{path}/", path)]

        assert with_slash.status_code == without.status_code not in {404, 405}, path
        assert with_slash.text[:100] == without.text[:100], path


@pytest.mark.parametrize(
    "path",
    [
        AUTH,
        f"{AUTH}/sessions",
        f"{AUTH}/verify",
        "/.well-known/jwks.json",
        "/health/live",
        "/health/ready",
        "/docs",
        "/docs/openapi.json",
        "/",
    ],
)
async def test_head_works_where_get_does(client: Backoffice, path: str) -> None:
    token = await client.token()

    head, get = [await client.request(method, path, token) for method in ("HEAD", "GET")]

    assert head.status_code == get.status_code < 400
    assert head.content == b""
    assert head.headers.get("content-type") == get.headers.get("content-type")


async def test_the_root_leads_to_the_documentation(client: Backoffice) -> None:
    answer = await client.request("GET", "/")

    assert answer.status_code in {302, 307, 308}
    assert answer.headers["location"] == "/docs"
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


async def test_the_documentation_page_has_a_strict_policy_of_its_own(client: Backoffice) -> None:
    answer = await client.request("GET", "/docs")

    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


async def test_a_route_that_nobody_marked_is_private(start_app: Start) -> None:
    client = (await start_app()).client

    nobody = await client.request("GET", "/v1/backoffice/forgotten")
    somebody = await client.request("GET", "/v1/backoffice/forgotten", await client.token())

    assert (nobody.status_code, nobody.json()) == (401, {"message": "Unauthenticated."})
    assert nobody.headers["www-authenticate"] == 'Bearer realm="backoffice"'
    assert somebody.status_code == 200


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, 'Bearer realm="backoffice"'),
        ("Basic Y2F1c2FzOng=", 'Bearer realm="backoffice"'),
        ("Bearer x.y.z", 'Bearer realm="backoffice", error="invalid_token"'),
    ],
)
async def test_a_401_speaks_of_an_invalid_token_only_to_who_sent_one(
    client: Backoffice, authorization: str | None, challenge: str
) -> None:
    headers = {"Authorization": authorization} if authorization else {}

    answer = await client.request("GET", AUTH, headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)


def compact(body: Any) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def cross_origin_headers(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]


async def send_bytes(client: Backoffice, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; return the status, the headers and the body that come back."""
    head, _, body = (await client.raw(raw)).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, body
