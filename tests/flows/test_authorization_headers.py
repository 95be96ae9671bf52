"""Take a token from one well-formed Authorization header, and from nowhere else."""

import asyncio
import hmac
import json
from typing import Any

import httpx
import pytest
from jwt.utils import base64url_encode

from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import Running, Start

REALM = 'Bearer realm="backoffice"'
GOOD = 200, None
NO_TOKEN = 401, REALM
BAD_TOKEN = 401, f'{REALM}, error="invalid_token"'
BAD_REQUEST = 400, None

# `GOOD` in a line stands for a token that is good.
ONE_HEADER: dict[str, tuple[bytes, tuple[int, str | None]]] = {
    "as it should be": (b"Authorization: Bearer GOOD", GOOD),
    "a small scheme": (b"Authorization: bearer GOOD", GOOD),
    "a capital scheme": (b"Authorization: BEARER GOOD", GOOD),
    "a mixed scheme": (b"Authorization: bEaReR GOOD", GOOD),
    "a small name": (b"authorization: Bearer GOOD", GOOD),
    "a capital name": (b"AUTHORIZATION: Bearer GOOD", GOOD),
    # Blanks around a value are no part of it (RFC 9110 section 5.5).
    "no blank behind the colon": (b"Authorization:Bearer GOOD", GOOD),
    "blanks in front": (b"Authorization: \t  Bearer GOOD", GOOD),
    "a blank behind": (b"Authorization: Bearer GOOD ", GOOD),
    "a tab behind": (b"Authorization: Bearer GOOD\t", GOOD),
    "none": (b"Accept: */*", NO_TOKEN),
    "an empty one": (b"Authorization:", NO_TOKEN),
    "a blank one": (b"Authorization:  \t ", NO_TOKEN),
    "a bare token": (b"Authorization: GOOD", NO_TOKEN),
    "the scheme alone": (b"Authorization: Bearer", NO_TOKEN),
    "the scheme and a blank": (b"Authorization: Bearer ", NO_TOKEN),
    "the scheme and blanks": (b"Authorization: Bearer  \t ", NO_TOKEN),
    "no blank": (b"Authorization: BearerGOOD", NO_TOKEN),
    "a tab": (b"Authorization: Bearer\tGOOD", NO_TOKEN),
    "a tab and a blank": (b"Authorization: Bearer\t GOOD", NO_TOKEN),
    "a colon": (b"Authorization: Bearer: GOOD", NO_TOKEN),
    "an equals sign": (b"Authorization: Bearer=GOOD", NO_TOKEN),
    "a comma": (b"Authorization: Bearer, GOOD", NO_TOKEN),
    "a full-width scheme": ("Authorization: \uff22earer GOOD".encode(), NO_TOKEN),
    "a scheme in quotes": (b'Authorization: "Bearer" GOOD', NO_TOKEN),
    "all in quotes": (b'Authorization: "Bearer GOOD"', NO_TOKEN),
    "another scheme": (b"Authorization: Token GOOD", NO_TOKEN),
    "JWT for a scheme": (b"Authorization: JWT GOOD", NO_TOKEN),
    "DPoP": (b"Authorization: DPoP GOOD", NO_TOKEN),
    "Basic with the token": (b"Authorization: Basic GOOD", NO_TOKEN),
    "Basic with credentials": (b"Authorization: Basic Y2F1c2FzOmNhdXNhczEyMw==", NO_TOKEN),
    "Basic, then Bearer": (b"Authorization: Basic eDp5, Bearer GOOD", NO_TOKEN),
    "Bearer in the middle": (b"Authorization: Token Bearer GOOD", NO_TOKEN),
    "a control character in front": (b"Authorization: \x01Bearer GOOD", NO_TOKEN),
    "NUL in the scheme": (b"Authorization: Bea\0rer GOOD", BAD_REQUEST),
    "two blanks": (b"Authorization: Bearer  GOOD", BAD_TOKEN),
    "a blank and a tab": (b"Authorization: Bearer \tGOOD", BAD_TOKEN),
    "the scheme twice": (b"Authorization: Bearer Bearer GOOD", BAD_TOKEN),
    "a parameter": (b'Authorization: Bearer GOOD, realm="backoffice"', BAD_TOKEN),
    "the token as a parameter": (b"Authorization: Bearer token=GOOD", BAD_TOKEN),
    "the token in quotes": (b'Authorization: Bearer "GOOD"', BAD_TOKEN),
    "the token in angle brackets": (b"Authorization: Bearer <GOOD>", BAD_TOKEN),
    "two tokens, joined by a comma": (b"Authorization: Bearer GOOD,GOOD", BAD_TOKEN),
    "two schemes, joined by a comma": (b"Authorization: Bearer GOOD, Bearer GOOD", BAD_TOKEN),
    "two tokens, joined by a blank": (b"Authorization: Bearer GOOD GOOD", BAD_TOKEN),
    "Bearer, then Basic": (b"Authorization: Bearer GOOD, Basic eDp5", BAD_TOKEN),
    "a comma behind": (b"Authorization: Bearer GOOD,", BAD_TOKEN),
    "a semicolon behind": (b"Authorization: Bearer GOOD;", BAD_TOKEN),
    "a comment behind": (b"Authorization: Bearer GOOD (mine)", BAD_TOKEN),
    "a word": (b"Authorization: Bearer null", BAD_TOKEN),
    "a template": (b"Authorization: Bearer {{token}}", BAD_TOKEN),
    "percent-encoding": (b"Authorization: Bearer GOOD%20", BAD_TOKEN),
    "NUL behind": (b"Authorization: Bearer GOOD\0", BAD_REQUEST),
    "NUL in front of the token": (b"Authorization: Bearer \0GOOD", BAD_REQUEST),
    "a bell behind": (b"Authorization: Bearer GOOD\x07", BAD_TOKEN),
    "DEL behind": (b"Authorization: Bearer GOOD\x7f", BAD_TOKEN),
    "a vertical tab behind": (b"Authorization: Bearer GOOD\x0b", BAD_TOKEN),
    "a form feed behind": (b"Authorization: Bearer GOOD\x0c", BAD_TOKEN),
    "a lone carriage return": (b"Authorization: Bearer GOOD\rX-Other: 1", BAD_REQUEST),
    "a lone line feed": (b"Authorization: Bearer GOOD\nX-Other: 1", BAD_REQUEST),
    "a no-break space behind": ("Authorization: Bearer GOOD\u00a0".encode(), BAD_TOKEN),
    "an accent": ("Authorization: Bearer GOOD\u00e9".encode(), BAD_TOKEN),
    "an accent in Latin-1": (b"Authorization: Bearer GOOD\xe9", BAD_TOKEN),
    "a face": ("Authorization: Bearer \U0001f600".encode(), BAD_TOKEN),
    "bytes that are no text": (b"Authorization: Bearer \xff\xfe.\x80.\xc0", BAD_TOKEN),
    "full-width letters": ("Authorization: Bearer \uff45\uff59\uff2a".encode(), BAD_TOKEN),
    "another header's name": (b"X-Authorization: Bearer GOOD", NO_TOKEN),
    "the proxy's header": (b"Proxy-Authorization: Bearer GOOD", NO_TOKEN),
    "an underscore for a name": (b"Authorization_: Bearer GOOD", NO_TOKEN),
    "X-Access-Token": (b"X-Access-Token: GOOD", NO_TOKEN),
    "a cookie": (b"Cookie: token=GOOD; access_token=GOOD; Authorization=Bearer GOOD", NO_TOKEN),
    "a folded line": (b"Authorization: Bearer\r\n GOOD", BAD_REQUEST),
    "no colon": (b"Authorization Bearer GOOD", BAD_REQUEST),
}

TWO_HEADERS: dict[str, list[bytes]] = {
    "the same twice": [b"Authorization: Bearer GOOD", b"Authorization: Bearer GOOD"],
    "good, then bad": [b"Authorization: Bearer GOOD", b"Authorization: Bearer x.y.z"],
    "bad, then good": [b"Authorization: Bearer x.y.z", b"Authorization: Bearer GOOD"],
    "Basic, then good": [b"Authorization: Basic eDp5", b"Authorization: Bearer GOOD"],
    "good, then Basic": [b"Authorization: Bearer GOOD", b"authorization: Basic eDp5"],
    "empty, then good": [b"Authorization:", b"Authorization: Bearer GOOD"],
    "good, then empty": [b"Authorization: Bearer GOOD", b"Authorization:"],
    "one in small letters": [b"authorization: bearer GOOD", b"AUTHORIZATION: BEARER GOOD"],
    "three": [b"Authorization: Bearer GOOD"] * 3,
}


@pytest.fixture
def service(loop: asyncio.AbstractEventLoop, start: Start) -> Running:
    """The service with causas, and without the limit on bad tokens: here one network tries hundreds."""
    running: Running = loop.run_until_complete(start(limit_network=None))
    loop.run_until_complete(running.use_cases.create_user("causas", "Causas", PASSWORD, by="test"))
    return running


async def who_am_i(client: Backoffice, token: str, *lines: bytes) -> tuple[int, str | None]:
    """Send header lines byte by byte as they are; return the status and the challenge."""
    head = [f"GET {AUTH} HTTP/1.1".encode(), b"Host: localhost", *lines, b"Connection: close", b"", b""]
    answer = await client.raw(b"\r\n".join(head).replace(b"GOOD", token.encode()))
    status, *received = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in received)])
    return int(status.split()[1]), headers.get("WWW-Authenticate")


async def test_one_header_of_one_form_is_read_and_no_other(client: Backoffice) -> None:
    token = await client.token()

    answers = {name: await who_am_i(client, token, line) for name, (line, _) in ONE_HEADER.items()}

    assert answers == {name: answer for name, (_, answer) in ONE_HEADER.items()}


async def test_of_two_headers_neither_is_believed(client: Backoffice) -> None:
    token = await client.token()

    answers = {name: await who_am_i(client, token, *lines) for name, lines in TWO_HEADERS.items()}

    assert answers == dict.fromkeys(TWO_HEADERS, BAD_TOKEN)


@pytest.mark.parametrize(
    ("length", "answer"), [(4095, GOOD), (4096, GOOD), (4097, BAD_TOKEN), (7000, BAD_TOKEN)]
)
async def test_a_token_of_more_than_4096_characters_is_not_read(
    service: Running, client: Backoffice, length: int, answer: tuple[int, str | None]
) -> None:
    token = lengthened(service, await client.token(), length)

    assert await who_am_i(client, token, b"Authorization: Bearer GOOD") == answer


def lengthened(service: Running, token: str, length: int) -> str:
    """Sign the claims once more, among blanks that make the token exactly so long."""
    key = service.use_cases.authenticate.codec._keys.signing_key
    header = json.dumps({"typ": "JWT", "alg": key.algorithm, "kid": key.kid}).encode()
    payload = json.dumps(claims_of(token)).encode()
    # Base64 has no string of 4n+1 characters: some lengths need a blank or two in the header.
    for blanks in (b"", b" ", b"  "):
        head = base64url_encode(header + blanks)
        room = (length - len(head) - len("..") - 43) * 3 // 4
        signed = head + b"." + base64url_encode(payload.ljust(room))
        longer = signed + b"." + base64url_encode(hmac.digest(key.signing, signed, "sha256"))
        if len(longer) == length:
            return longer.decode()
    raise AssertionError(length)


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "jwt", "bearer"])
async def test_a_token_in_the_address_is_not_looked_at(client: Backoffice, name: str) -> None:
    token = await client.token()

    answer = await client.request("GET", AUTH, params={name: token})

    assert (answer.status_code, answer.headers["www-authenticate"]) == NO_TOKEN


@pytest.mark.parametrize("form", ["json", "data"])
async def test_a_token_in_the_body_is_not_looked_at(client: Backoffice, form: str) -> None:
    token = await client.token()
    body: dict[str, Any] = {form: {"access_token": token, "token": token}}

    answer = await client.request("POST", f"{AUTH}/refresh", **body)

    assert (answer.status_code, answer.headers["www-authenticate"]) == NO_TOKEN
