"""A gateway asks on behalf of whoever calls it: it hears 204 and a name, 401 or 503, nothing else."""

import asyncio
from datetime import timedelta
from urllib.parse import unquote

import httpx
import pytest

from service.settings import Rate
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start
from tests.flows.test_authorization_headers import GOOD, NO_TOKEN, ONE_HEADER, TWO_HEADERS

VERIFY = f"{AUTH}/verify"
NAMES = ("x-auth-id", "x-auth-user", "x-auth-session")
METHODS = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "PURGE",
    "M-SEARCH", "get", "WHATEVER",
]  # fmt: skip


async def verify(client: Backoffice, token: str | None = None, method: str = "GET") -> httpx.Response:
    return await client.request(method, VERIFY, token)


async def send(client: Backoffice, *lines: bytes, token: str, path: str = VERIFY) -> int:
    """Send a request byte by byte as it is; return the status."""
    head = [f"GET {path} HTTP/1.1".encode(), b"Host: localhost", *lines, b"Connection: close", b"", b""]
    answer = await client.raw(b"\r\n".join(head).replace(b"GOOD", token.encode()))
    return int(answer.split()[1])


def told(answer: httpx.Response) -> tuple[int, list[str | None]]:
    return answer.status_code, [answer.headers.get(name) for name in NAMES]


def refused(answer: httpx.Response) -> bool:
    return told(answer) == (401, [None] * 3)


async def test_a_good_token_names_its_user_and_session(client: Backoffice) -> None:
    token = await client.token()
    claims = claims_of(token)

    answer = await verify(client, token)

    assert told(answer) == (204, [claims["sub"], "causas", claims["sid"]])
    assert answer.content == b""
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", METHODS)
async def test_whatever_the_gateway_was_asked_with_the_answer_is_the_same(
    client: Backoffice, method: str
) -> None:
    token = await client.token()

    with_token, without, forged = [await verify(client, each, method) for each in (token, None, f"{token}A")]

    assert told(with_token) == (204, [claims_of(token)["sub"], "causas", claims_of(token)["sid"]])
    assert refused(without)
    assert refused(forged)


async def test_a_preflight_lets_nobody_through(client: Backoffice) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}

    answer = await client.request("OPTIONS", VERIFY, headers=headers)

    assert refused(answer)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/orders", "/orders/1/", "//orders", "/../password", "/%2e%2e/%2F", "/a%00b", "/%ff",
     "/?token=x", "/v1/backoffice/auth", "/verify", "/<sid:str>", "?a=b&a=c", "/" + "x" * 4000],
)  # fmt: skip
async def test_the_path_the_gateway_was_asked_for_may_stand_behind(client: Backoffice, path: str) -> None:
    token = await client.token()

    with_token = await send(client, b"Authorization: Bearer GOOD", token=token, path=VERIFY + path)
    without = await send(client, token=token, path=VERIFY + path)

    assert (with_token, without) == (204, 401)


async def test_a_path_that_only_begins_alike_is_not_found(client: Backoffice) -> None:
    answer = await client.request("GET", f"{VERIFY}x", await client.token())

    assert answer.status_code == 404


async def test_only_one_header_of_one_form_is_believed(client: Backoffice) -> None:
    token = await client.token()
    believed = {name for name, (_, answer) in ONE_HEADER.items() if answer == GOOD}
    # The framework reads the framing of a request before anybody sees it.
    framed = {name: line for name, (line, answer) in ONE_HEADER.items() if answer[0] != 400}

    statuses = {name: await send(client, line, token=token) for name, line in framed.items()}
    of_two = {name: await send(client, *lines, token=token) for name, lines in TWO_HEADERS.items()}

    assert statuses == {name: 204 if name in believed else 401 for name in framed}
    assert of_two == dict.fromkeys(TWO_HEADERS, 401)


ODD_HEADERS = {
    "an announced body": b"Content-Length: 0",
    "an upgrade": b"Connection: Upgrade\r\nUpgrade: websocket",
    "a form": b"Content-Type: multipart/form-data; boundary=",
    "no type at all": b"Content-Type: \xff\xfe",
    "a length of the original": b"X-Original-Content-Length: 99999999",
    "a range": b"Range: bytes=0-",
    "a condition": b'If-None-Match: "x"',
    "a method in disguise": b"X-HTTP-Method-Override: DELETE",
    "an origin": b"Origin: null",
    "cookies": b"Cookie: " + b"a=b; " * 1200,
    "a forged identity": b"X-Auth-Id: 1\r\nX-Auth-User: root\r\nX-Auth-Session: 0",
    "a forged address": b"X-Forwarded-For: nonsense, , 999.999.999.999",
    "a forged host": b"X-Forwarded-Host: \r\nForwarded: for=_x;;;",
    "bytes that are no text": b"X-Any: \xff\xfe\x01",
    "a request id that is none": b"X-Request-ID: \xff",
    "a language of its own": b"Accept: application/xml; q=x",
    "a user agent of bytes": b"User-Agent: \xc3\x28",
}


async def test_odd_headers_change_nothing(client: Backoffice) -> None:
    token = await client.token()

    with_token = {
        name: await send(client, line, b"Authorization: Bearer GOOD", token=token)
        for name, line in ODD_HEADERS.items()
    }
    without = {name: await send(client, line, token=token) for name, line in ODD_HEADERS.items()}

    assert with_token == dict.fromkeys(ODD_HEADERS, 204)
    assert without == dict.fromkeys(ODD_HEADERS, 401)


@pytest.mark.parametrize("size", [1, 16 * 1024])
async def test_a_body_that_the_gateway_passes_on_is_not_looked_at(client: Backoffice, size: int) -> None:
    token = await client.token()

    answers = [
        await client.request("POST", VERIFY, each, content=b"{" * size) for each in (token, None, token)
    ]

    assert [answer.status_code for answer in answers] == [204, 401, 204]


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9", b"Content-Length: 99999999", b"Transfer-Encoding: chunked"]
)
async def test_a_body_that_never_comes_is_not_waited_for(client: Backoffice, framing: bytes) -> None:
    token = await client.token()
    address = httpx.URL(client._base)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    head = [f"POST {VERIFY} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", framing.decode(), "", ""]
    writer.write("\r\n".join(head).encode())

    status = await asyncio.wait_for(reader.readline(), timeout=1)

    writer.close()
    await writer.wait_closed()
    assert status.split()[1] == b"204"


async def test_the_token_is_taken_from_its_header_only(client: Backoffice) -> None:
    token = await client.token()
    headers, path = {"Cookie": f"token={token}"}, f"{VERIFY}?token={token}&access_token={token}"

    answer = await client.request("POST", path, data={"token": token}, headers=headers)

    assert refused(answer)


async def test_a_revoked_token_is_refused_on_the_next_question(client: Backoffice) -> None:
    token = await client.token()
    before = (await verify(client, token)).status_code

    await client.log_out(token)

    assert before == 204
    assert refused(await verify(client, token))


async def test_an_expired_token_is_refused(client: Backoffice, clock: FakeClock) -> None:
    token = await client.token()

    clock.advance(hours=8, seconds=6)

    assert refused(await verify(client, token))


async def test_no_limit_applies_neither_to_a_session_nor_to_a_network(start: Start) -> None:
    one = Rate(1, timedelta(hours=1), burst=1)
    running = await start(limit_session=one, limit_network=one)
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    token = await running.client.token()

    answers = [await verify(running.client, each) for each in (token, "x.y.z", None) * 5]
    afterwards = await running.client.who_am_i(token)

    assert [answer.status_code for answer in answers] == [204, 401, 401] * 5
    assert not any("ratelimit" in name for answer in answers for name in answer.headers)
    # Nor was anything charged to anybody: what the session may ask elsewhere is still its own.
    assert afterwards.status_code == 200


@pytest.mark.parametrize(
    "user",
    [
        "josé",
        "名前",
        "a b",
        "100%",
        "ada@example.com",
        "a\tb",
        "x\r\nX-Auth-Id: 1",
        'o"neill, jr',
        "\U0001f600",
    ],
)
async def test_a_name_of_any_characters_is_a_legal_header(service: Running, user: str) -> None:
    await service.use_cases.create_user(user, "Name", PASSWORD, by="test")
    token = await service.client.token(user)

    answer = await verify(service.client, token)

    sent = answer.headers["x-auth-user"]
    assert (answer.status_code, unquote(sent)) == (204, user)
    assert sent.isascii()
    assert sent.isprintable()
    assert not set(sent) & set(' ",;')
    assert answer.headers.get_list("x-auth-id") == [claims_of(token)["sub"]]


async def test_a_name_of_usual_characters_needs_no_decoding(service: Running) -> None:
    await service.use_cases.create_user("ada.lovelace@example.com", "Ada", PASSWORD, by="test")

    answer = await verify(service.client, await service.client.token("ada.lovelace@example.com"))

    assert answer.headers["x-auth-user"] == "ada.lovelace@example.com"


async def test_a_session_that_is_used_behind_a_gateway_was_seen(service: Running, clock: FakeClock) -> None:
    token = await service.client.token()
    clock.advance(minutes=10)

    await verify(service.client, token)
    await service.use_cases.last_seen.write()

    [session] = (await service.client.sessions(token)).json()["data"]
    assert session["last_seen_at"] > session["issued_at"]


async def test_a_refusal_is_told_as_everywhere(client: Backoffice) -> None:
    answers = {token: await verify(client, token) for token in (None, "x.y.z")}

    for token, answer in answers.items():
        assert answer.json() == {"message": "Unauthenticated."}
        assert ("invalid_token" in answer.headers["www-authenticate"]) is (token is not None)
    assert answers[None].headers["www-authenticate"] == NO_TOKEN[1]
