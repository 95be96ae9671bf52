"""Another service asks what a token is worth: it has to say who it is, and hears exactly what is so."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.settings import Rate
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start

INTROSPECT, REVOKE = f"{AUTH}/introspect", f"{AUTH}/revoke"
SECRET, ODD_SECRET = "s" * 32, "a+b/c=%41&d:e~" * 3
CLIENT = ("orders", SECRET)
CLIENTS = (f"orders:{SECRET}", f"billing:{ODD_SECRET}")
DEAD = 200, {"active": False}
UNAUTHENTICATED = {"message": "Unauthenticated."}
CHALLENGE = 'Basic realm="backoffice"'
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
REQUIRED, NO_STRING = "The token field is required.", "The token field must be a string."


@pytest.fixture
def service(loop: asyncio.AbstractEventLoop, start: Start) -> Running:
    running: Running = loop.run_until_complete(start(clients=CLIENTS))
    loop.run_until_complete(running.use_cases.create_user("causas", "Causas", PASSWORD, by="test"))
    return running


async def ask(client: Backoffice, token: Any, path: str = INTROSPECT) -> httpx.Response:
    return await client.request("POST", path, json={"token": token}, auth=CLIENT)


def seen(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()


def invalid(sentence: str) -> tuple[int, Any]:
    return 422, {"message": sentence, "errors": {"token": [sentence]}}


def basic(content: bytes) -> str:
    return "Basic " + base64.b64encode(content).decode()


@pytest.mark.parametrize("form", ["json", "data"])
async def test_a_good_token_is_active_and_tells_what_it_says(client: Backoffice, form: str) -> None:
    token = await client.token()
    claims = claims_of(token)
    body: dict[str, Any] = {form: {"token": token, "token_type_hint": "refresh_token"}}

    answer = await client.request("POST", INTROSPECT, auth=CLIENT, **body)

    assert seen(answer) == (
        200,
        {
            "active": True,
            "sub": claims["sub"],
            "username": "causas",
            "jti": claims["jti"],
            "iat": claims["iat"],
            "exp": claims["exp"],
            "iss": "backoffice",
            "aud": "backoffice",
            "token_type": "Bearer",
        },
    )


async def test_the_issuer_is_the_one_that_was_set(start: Start) -> None:
    running = await start(clients=CLIENTS, jwt_issuer="https://id.example")
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")

    answer = await ask(running.client, await running.client.token())

    assert answer.json()["iss"] == "https://id.example"


async def test_of_two_tokens_of_a_session_each_tells_its_own(client: Backoffice, clock: FakeClock) -> None:
    first = await client.token()
    clock.advance(minutes=5)
    second = (await client.refresh(first)).json()["token"]

    answers = [(await ask(client, token)).json() for token in (first, second)]

    for token, answer in zip((first, second), answers, strict=True):
        assert [answer[name] for name in ("jti", "iat", "exp")] == [
            claims_of(token)[name] for name in ("jti", "iat", "exp")
        ]


async def test_a_token_is_dead_on_the_next_question_after_its_logout(client: Backoffice) -> None:
    token = await client.token()
    before = (await ask(client, token)).json()["active"]

    await client.log_out(token)

    assert before is True
    assert seen(await ask(client, token)) == DEAD


@pytest.mark.parametrize(("seconds", "active"), [(4, True), (6, False)])
async def test_it_is_active_for_as_long_as_it_would_be_accepted(
    client: Backoffice, clock: FakeClock, seconds: int, active: bool
) -> None:
    token = await client.token()

    clock.advance(hours=8, seconds=seconds)

    assert (await ask(client, token)).json()["active"] is active
    assert ((await client.who_am_i(token)).status_code == 200) is active


async def test_the_token_of_a_disabled_user_is_dead(service: Running) -> None:
    token = await service.client.token()

    await service.use_cases.disable_user("causas", by="test")

    assert seen(await ask(service.client, token)) == DEAD


DEAD_TOKENS = [
    "x",
    "x.y.z",
    " ",
    "..",
    "null",
    "\0",
    "é",
    "名前",
    "Bearer x",
    "a" * 4096,
    "a" * 16_000,
    "%00",
    "{}",
]


@pytest.mark.parametrize("content_type", [JSON, FORM])
async def test_what_is_no_token_of_ours_is_merely_dead(client: Backoffice, content_type: str) -> None:
    def body_of(token: str) -> str:
        return json.dumps({"token": token}) if content_type == JSON else f"token={quote_plus(token)}"

    bodies = [body for token in DEAD_TOKENS if len(body := body_of(token)) < 16_384]

    answers = [await post(client, body.encode(), content_type) for body in bodies]

    assert answers == [DEAD] * len(bodies)


async def post(
    client: Backoffice, body: bytes, content_type: str | None, path: str = INTROSPECT
) -> tuple[int, Any]:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return seen(await client.request("POST", path, content=body, headers=headers, auth=CLIENT))


BAD_JSON = 400, {"message": "The body is not valid JSON."}
TOO_LARGE = 413, {"message": "The request is too large."}
NOT_JSON = 415, {"message": "Send the body as application/json."}
HOSTILE_BODIES: dict[str, tuple[bytes, str | None, tuple[int, Any]]] = {
    "nothing": (b"", None, invalid(REQUIRED)),
    "nothing, said to be a form": (b"", FORM, invalid(REQUIRED)),
    "nothing, said to be JSON": (b"", JSON, invalid(REQUIRED)),
    "an empty object": (b"{}", JSON, invalid(REQUIRED)),
    "an empty token": (b'{"token":""}', JSON, invalid(REQUIRED)),
    "an empty token in a form": (b"token=", FORM, invalid(REQUIRED)),
    "a name alone": (b"token", FORM, invalid(REQUIRED)),
    "another field": (b"access_token=x&refresh_token=y", FORM, invalid(REQUIRED)),
    "the hint alone": (b"token_type_hint=access_token", FORM, invalid(REQUIRED)),
    "a shouted name": (b"TOKEN=x", FORM, invalid(REQUIRED)),
    "a name as PHP writes it": (b"token[]=x&token[a]=y", FORM, invalid(REQUIRED)),
    "null": (b'{"token":null}', JSON, invalid(REQUIRED)),
    "a number": (b'{"token":1}', JSON, invalid(NO_STRING)),
    "a huge number": (b'{"token":1e999999}', JSON, invalid(NO_STRING)),
    "true": (b'{"token":true}', JSON, invalid(NO_STRING)),
    "an array": (b'{"token":["x"]}', JSON, invalid(NO_STRING)),
    "an object": (b'{"token":{"token":"x"}}', JSON, invalid(NO_STRING)),
    "a lone surrogate": (rb'{"token":"\ud800"}', JSON, invalid(NO_STRING)),
    "two tokens in a form": (b"token=x&token=y", FORM, invalid(NO_STRING)),
    "the same token twice": (b"token=x&token=x", FORM, invalid(NO_STRING)),
    "a token and an empty one": (b"token=x&token=", FORM, invalid(NO_STRING)),
    "thousands of tokens": (b"token=x&" * 1500, FORM, invalid(NO_STRING)),
    "thousands of fields": (b"".join(b"%d=&" % n for n in range(2500)) + b"token=x", FORM, DEAD),
    "separators only": (b"&&&===&;;", FORM, invalid(REQUIRED)),
    "a semicolon is none": (b"a=b;token=x", FORM, invalid(REQUIRED)),
    "bytes that are no text": (b"token=\xff\xfe", FORM, DEAD),
    "escapes that are no text": (b"token=%ff%fe%zz%", FORM, DEAD),
    "an escaped name": (b"%74oken=x", FORM, DEAD),
    "a surrogate in a form": (b"token=%ed%a0%80", FORM, DEAD),
    "a NUL": (b"token=%00", FORM, DEAD),
    "a blank for a plus": (b"token=+", FORM, DEAD),
    "a hint of another kind": (b"token=x&token_type_hint=&token_type_hint=%00", FORM, DEAD),
    "a hint that is no string": (b'{"token":"x","token_type_hint":[1]}', JSON, DEAD),
    "a charset": (b"token=x", f"{FORM}; charset=UTF-8", DEAD),
    "a shouted type": (b"token=x", FORM.upper(), DEAD),
    "another charset": (b"token=x", f"{FORM}; charset=utf-16", NOT_JSON),
    "JSON, said to be a form": (b'{"token":"x"}', FORM, invalid(REQUIRED)),
    "a form, said to be JSON": (b"token=x", JSON, BAD_JSON),
    "a key twice": (b'{"token":"x","token":"y"}', JSON, BAD_JSON),
    "half an object": (b'{"token":"x"', JSON, BAD_JSON),
    "NaN": (b'{"token":NaN}', JSON, BAD_JSON),
    "JSON that is no text": (b'{"token":"\xff"}', JSON, BAD_JSON),
    "33 levels": (b'{"token":' + b"[" * 33 + b"]" * 33 + b"}", JSON, BAD_JSON),
    "several parts": (b"--x\r\n\r\nx\r\n--x--", "multipart/form-data; boundary=x", NOT_JSON),
    "plain text": (b"token=x", "text/plain", NOT_JSON),
    "no type": (b"token=x", None, NOT_JSON),
    "a JWT by its type": (b"x.y.z", "application/jwt", NOT_JSON),
    "16 KiB and a byte": (b"token=" + b"x" * (16 * 1024 - 5), FORM, TOO_LARGE),
}  # fmt: skip


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_a_hostile_body_is_told_what_is_wrong_with_it(client: Backoffice, path: str) -> None:
    answers = {name: await post(client, body, kind, path) for name, (body, kind, _) in HOSTILE_BODIES.items()}

    dead = DEAD if path == INTROSPECT else (200, {})
    assert answers == {
        name: dead if answer == DEAD else answer for name, (_, _, answer) in HOSTILE_BODIES.items()
    }


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
def test_no_body_whatever_is_a_server_error(
    loop: asyncio.AbstractEventLoop, service: Running, path: str
) -> None:
    async def tried(body: bytes, kind: str) -> tuple[int, Any]:
        return await post(service.client, body, kind, path)

    fields = st.text('token=&%[]{}":,+;\\u0d8\0\x7fé ', max_size=60).map(str.encode) | st.binary(max_size=60)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(body=fields, kind=st.sampled_from([JSON, FORM]))
    def each(body: bytes, kind: str) -> None:
        status, answer = loop.run_until_complete(tried(body, kind))

        assert status in {200, 400, 422}
        assert isinstance(answer, dict)

    each()


GOOD = basic(f"orders:{SECRET}".encode())
REFUSED_CREDENTIALS: dict[str, list[str]] = {
    "none": [],
    "an empty header": [""],
    "the scheme alone": ["Basic"],
    "padding alone": ["Basic ===="],
    "no blank": [GOOD.replace(" ", "")],
    "two blanks": [GOOD.replace(" ", "  ")],
    "Bearer with the credentials": [GOOD.replace("Basic", "Bearer")],
    "in clear": [f"Basic orders:{SECRET}"],
    "no base64": ["Basic %%%%"],
    "base64 cut short": [GOOD.rstrip("=")[:-1]],
    "something behind": [GOOD + ", Bearer x"],
    "a parameter": [GOOD + ' realm="x"'],
    "bytes that are no text": ["Basic \u00ff\u00fe"],
    "twice": [GOOD, GOOD],
    "good, then bad": [GOOD, basic(b"x:y")],
    "no colon": [basic(b"orders")],
    "no secret": [basic(b"orders:")],
    "no id": [basic(f":{SECRET}".encode())],
    "another id": [basic(f"nobody:{SECRET}".encode())],
    "another's secret": [basic(f"billing:{SECRET}".encode())],
    "another case": [basic(f"ORDERS:{SECRET}".encode())],
    "half the secret": [basic(f"orders:{SECRET[:16]}".encode())],
    "more than the secret": [basic(f"orders:{SECRET}s".encode())],
    "a line behind": [basic(f"orders:{SECRET}\n".encode())],
    "a NUL behind": [basic(f"orders:{SECRET}\0".encode())],
    "a person's": [basic(f"causas:{PASSWORD}".encode())],
    "text in another encoding": [basic(f"orders:{SECRET}".encode("utf-16"))],
    "kilobytes": [basic(b"orders:" + b"s" * 5000)],
}


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_whoever_does_not_say_who_it_is_is_told_nothing(client: Backoffice, path: str) -> None:
    token = await client.token()

    for kind, values in REFUSED_CREDENTIALS.items():
        fields = [("Content-Type", JSON), *(("Authorization", value) for value in values)]
        headers = [(name.encode(), value.encode("latin-1")) for name, value in fields]
        answer = await client._session.request(
            "POST", client._base + path, headers=headers, content=json.dumps({"token": token})
        )

        assert (answer.status_code, answer.json()) == (401, UNAUTHENTICATED), kind
        assert answer.headers["www-authenticate"] == CHALLENGE, kind
    assert (await client.who_am_i(token)).status_code == 200


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_neither_a_token_nor_credentials_in_the_body_are_client_credentials(
    client: Backoffice, path: str
) -> None:
    token = await client.token()
    body = {"token": token, "client_id": "orders", "client_secret": SECRET}

    answers = [await client.request("POST", path, each, data=body) for each in (None, token)]

    assert [seen(answer) for answer in answers] == [(401, UNAUTHENTICATED)] * 2
    assert (await client.who_am_i(token)).status_code == 200


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_where_no_clients_are_set_there_are_none(start: Start, path: str) -> None:
    client = (await start()).client

    answers = [
        await client.request("POST", path, json={"token": "x"}, headers={"Authorization": credentials})
        for credentials in ("Basic", basic(b":"), basic(b"orders:"), GOOD)
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {CHALLENGE}


@pytest.mark.parametrize(
    "credentials",
    [
        GOOD,
        GOOD.replace("Basic", "bASIC"),
        basic(f"billing:{ODD_SECRET}".encode()),
        basic(f"billing:{quote_plus(ODD_SECRET)}".encode()),
    ],
)
async def test_good_credentials_are_taken_in_every_legal_form(client: Backoffice, credentials: str) -> None:
    headers = {"Authorization": credentials}

    answer = await client.request("POST", INTROSPECT, json={"token": "x"}, headers=headers)

    assert seen(answer) == DEAD


async def test_a_client_is_no_user(client: Backoffice) -> None:
    answers = [
        await client.request(method, path, auth=CLIENT)
        for method, path in (
            ("GET", AUTH),
            ("DELETE", AUTH),
            ("GET", f"{AUTH}/sessions"),
            ("GET", f"{AUTH}/verify"),
        )
    ]

    assert {answer.status_code for answer in answers} == {401}


TWO_AN_HOUR = Rate(2, timedelta(hours=1), burst=2)


async def test_bad_credentials_are_charged_to_the_network_and_good_ones_to_nobody(start: Start) -> None:
    running = await start(clients=CLIENTS, limit_network=TWO_AN_HOUR, limit_session=TWO_AN_HOUR)
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    token = await running.client.token()

    good = [await ask(running.client, token) for _ in range(5)]
    bad = [
        await running.client.request("POST", INTROSPECT, json={"token": token}, auth=("orders", "x"))
        for _ in range(3)
    ]
    still_good = await ask(running.client, token)

    assert [answer.json()["active"] for answer in good] == [True] * 5
    assert [answer.status_code for answer in bad] == [401, 401, 429]
    assert bad[0].headers["x-ratelimit-remaining"] == "1"
    assert int(bad[2].headers["retry-after"]) > 0
    assert still_good.json()["active"] is True
    # The session has paid nothing for being asked about.
    assert (await running.client.who_am_i(token)).headers["x-ratelimit-remaining"] == "1"


async def test_asking_about_a_token_is_not_using_it(service: Running, clock: FakeClock) -> None:
    token = await service.client.token()
    clock.advance(minutes=10)

    await ask(service.client, token)
    await service.use_cases.last_seen.write()

    other = await service.client.token()
    rows = (await service.client.sessions(other)).json()["data"]
    [asked_about] = [row for row in rows if not row["current"]]
    assert asked_about["last_seen_at"] == asked_about["issued_at"]
