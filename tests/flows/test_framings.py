"""Where a request ends is read in one way, or not at all: nothing can be smuggled behind another request."""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_string
from email.message import Message

import pytest

from tests.backoffice import AUTH, PASSWORD, Backoffice
from tests.conftest import Running, Start
from tests.timing import assert_within

HOST = b"Host: localhost\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n"
LOGIN = b"POST %b HTTP/1.1\r\n" % AUTH.encode() + HOST + b"Content-Type: application/json\r\n"
CREDENTIALS = json.dumps({"user": "causas", "password": PASSWORD}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(CREDENTIALS)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(CREDENTIALS), CREDENTIALS)
LAST_CHUNK = b"0\r\n\r\n"
# What a second answer would be to, if one were to be had.
SMUGGLED = LIVE + HOST + b"\r\n"
HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [ -~]*")


def get(headers: bytes, line: bytes = LIVE) -> bytes:
    """Make a request without a body, and another one behind it."""
    return line + headers + b"\r\n" + SMUGGLED


def log_in(headers: bytes, body: bytes) -> bytes:
    """Make a login, and another request behind it."""
    return LOGIN + headers + b"\r\n" + body + SMUGGLED


def chunked(body: bytes) -> bytes:
    return log_in(CHUNKED, body)


BROKEN: dict[str, bytes] = {
    # Lines
    "a bare LF after the request line": LIVE[:-2] + b"\n" + HOST + b"\r\n" + SMUGGLED,
    "a bare LF between headers": get(b"Accept: */*\n" + HOST),
    "bare LFs and nothing else": b"GET /health/live HTTP/1.1\nHost: localhost\n\n",
    "a bare CR in a header": get(HOST + b"X-One: 1\rX-Two: 2\r\n"),
    "a bare CR at the end of a header": get(HOST + b"X-One: 1\r\r\n"),
    "NUL in a header": get(HOST + b"X-One: 1\0 2\r\n"),
    "NUL in a name": get(HOST + b"X-\0One: 1\r\n"),
    "a folded header": get(HOST + b"X-One: 1\r\n 2: 3\r\n"),
    "a header folded with a tab": get(HOST + b"X-One: 1\r\n\tTransfer-Encoding: chunked\r\n"),
    "a first header that is folded": get(b" X-One: 1\r\n" + HOST),
    "a line without a colon": get(HOST + b"X-One\r\n"),
    "a URL without a path": b"GET http://localhost HTTP/1.1\r\n" + HOST + b"\r\n",
    "a URL without a path, but with a query": b"POST http://localhost?x=1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a URL without a path, of another scheme": b"OPTIONS foo://localhost HTTP/1.1\r\n" + HOST + b"\r\n",
    # Names
    "a blank before a colon": get(HOST + b"X-One : 1\r\n"),
    "a tab before a colon": get(HOST + b"X-One\t: 1\r\n"),
    "a blank in a name": get(HOST + b"X One: 1\r\n"),
    "no name": get(HOST + b": 1\r\n"),
    "a name in brackets": get(HOST + b"(X-One): 1\r\n"),
    "a name that is not ASCII": get(HOST + b"X-\xc3\xa4: 1\r\n"),
    # Transfer-Encoding
    "Transfer-Encoding with a blank before the colon": log_in(
        b"Transfer-Encoding : chunked\r\n", CHUNK + LAST_CHUNK
    ),
    "Transfer-Encoding beside Content-Length": log_in(LENGTH + CHUNKED, CHUNK + LAST_CHUNK),
    "Content-Length beside Transfer-Encoding": log_in(CHUNKED + LENGTH, CHUNK + LAST_CHUNK),
    "chunked twice": log_in(CHUNKED + CHUNKED, CHUNK + LAST_CHUNK),
    "chunked, chunked": log_in(b"Transfer-Encoding: chunked, chunked\r\n", CHUNK + LAST_CHUNK),
    "gzip, chunked": log_in(b"Transfer-Encoding: gzip, chunked\r\n", CHUNK + LAST_CHUNK),
    "identity": log_in(b"Transfer-Encoding: identity\r\n", CHUNK + LAST_CHUNK),
    "xchunked": log_in(b"Transfer-Encoding: xchunked\r\n", CHUNK + LAST_CHUNK),
    "chunked in quotes": log_in(b'Transfer-Encoding: "chunked"\r\n', CHUNK + LAST_CHUNK),
    "chunked behind a vertical tab": log_in(b"Transfer-Encoding: \x0bchunked\r\n", CHUNK + LAST_CHUNK),
    "chunked behind a wide blank": log_in(b"Transfer-Encoding: \xc2\xa0chunked\r\n", CHUNK + LAST_CHUNK),
    "an empty Transfer-Encoding": log_in(b"Transfer-Encoding:\r\n", CHUNK + LAST_CHUNK),
    "chunked in HTTP/1.0": log_in(CHUNKED, CHUNK + LAST_CHUNK).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    # Content-Length
    "two lengths": log_in(LENGTH + b"Content-Length: 5\r\n", CREDENTIALS),
    "one length twice": log_in(LENGTH + LENGTH, CREDENTIALS),
    "a list of lengths": log_in(LENGTH[:-2] + b", " + LENGTH[16:], CREDENTIALS),
    "a negative length": log_in(b"Content-Length: -1\r\n", CREDENTIALS),
    "a length with a sign": log_in(b"Content-Length: +5\r\n", CREDENTIALS),
    "a length in hex": log_in(b"Content-Length: 0x5\r\n", CREDENTIALS),
    "a length with an underscore": log_in(b"Content-Length: 1_0\r\n", CREDENTIALS),
    "a length in other digits": log_in("Content-Length: ٤\r\n".encode(), CREDENTIALS),
    "a length behind a vertical tab": log_in(b"Content-Length: \x0b5\r\n", CREDENTIALS),
    "a length behind a wide blank": log_in(b"Content-Length: \xc2\xa05\r\n", CREDENTIALS),
    "a length with a fraction": log_in(b"Content-Length: 5.0\r\n", CREDENTIALS),
    "an empty length": log_in(b"Content-Length:\r\n", CREDENTIALS),
    "a length of 5,000 digits": log_in(b"Content-Length: " + 5_000 * b"9" + b"\r\n", CREDENTIALS),
    "a length that is too large": log_in(b"Content-Length: 99999999999\r\n", CREDENTIALS),
    # Chunks
    "a size with a sign": chunked(b"+" + CHUNK + LAST_CHUNK),
    "a size that is negative": chunked(b"-1\r\n" + LAST_CHUNK),
    "a size with 0x": chunked(b"0x" + CHUNK + LAST_CHUNK),
    "a size with an underscore": chunked(b"0_" + CHUNK + LAST_CHUNK),
    "a size behind a blank": chunked(b" " + CHUNK + LAST_CHUNK),
    "a size before a blank": chunked(CHUNK.replace(b"\r\n", b" \r\n", 1) + LAST_CHUNK),
    "no size": chunked(b"\r\n" + CREDENTIALS + b"\r\n" + LAST_CHUNK),
    "a size that is no number": chunked(b"zz\r\n" + CREDENTIALS + b"\r\n" + LAST_CHUNK),
    "a size of many digits": chunked(20 * b"0" + CHUNK + LAST_CHUNK),
    "a size that is too large": chunked(b"ffffffff\r\n" + CREDENTIALS),
    "an extension": chunked(CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + LAST_CHUNK),
    "an extension with a bare LF": chunked(CHUNK.replace(b"\r\n", b";\nx\r\n", 1) + LAST_CHUNK),
    "a bare LF behind a size": chunked(CHUNK.replace(b"\r\n", b"\n", 1) + LAST_CHUNK),
    "a chunk that is longer than its size": chunked(CHUNK[:-2] + b"XX" + LAST_CHUNK),
    "a chunk without its end": chunked(CHUNK[:-2] + LAST_CHUNK),
    "a chunk that ends in bare LFs": chunked(CHUNK[:-2] + b"\n\n" + LAST_CHUNK),
    "a trailer": chunked(CHUNK + b"0\r\nX-One: 1\r\n\r\n"),
    "a trailer that is a request": chunked(CHUNK + b"0\r\n" + SMUGGLED),
    # Host
    "no Host": get(b""),
    "two Hosts": get(HOST + b"Host: elsewhere\r\n"),
    "a Host that is not ASCII": get("Host: é\r\n".encode()),
    "a Host that is not UTF-8": get(b"Host: \xff\r\n"),
    "two Hosts in HTTP/1.0": get(HOST + HOST, b"GET /health/live HTTP/1.0\r\n"),
    # Request lines
    "HTTP/0.9": b"GET /health/live\r\n\r\n",
    "HTTP/2": get(HOST, b"GET /health/live HTTP/2.0\r\n"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": get(HOST, b"GET /health/live HTTP/1.2\r\n"),
    "a small http": get(HOST, b"GET /health/live http/1.1\r\n"),
    "two blanks": get(HOST, b"GET  /health/live HTTP/1.1\r\n"),
    "tabs for blanks": get(HOST, b"GET\t/health/live\tHTTP/1.1\r\n"),
    "a blank in the path": get(HOST, b"GET /health/ live HTTP/1.1\r\n"),
    "a blank in front": get(HOST, b" GET /health/live HTTP/1.1\r\n"),
    "an empty line in front": b"\r\n" + get(HOST),
    "no method": get(HOST, b"/health/live HTTP/1.1\r\n"),
    "a method in brackets": get(HOST, b"(GET) /health/live HTTP/1.1\r\n"),
    "a method that is not ASCII": get(HOST, "GÉT /health/live HTTP/1.1\r\n".encode()),
    "NUL in the method": get(HOST, b"G\0ET /health/live HTTP/1.1\r\n"),
    "a path that is not ASCII": get(HOST, "GET /healthé HTTP/1.1\r\n".encode()),
    "NUL in the path": get(HOST, b"GET /health/live\0 HTTP/1.1\r\n"),
    "a URL that is none": get(HOST, b"GET http://[ HTTP/1.1\r\n"),
    "a URL that is none, and no Host": get(b"", b"GET http://[ HTTP/1.1\r\n"),
    "CONNECT": get(HOST, b"CONNECT localhost:22 HTTP/1.1\r\n"),
    "a long request line": get(HOST, b"GET /" + 9_000 * b"a" + b" HTTP/1.1\r\n"),
    "a long header": get(HOST + b"X-One: " + 9_000 * b"1" + b"\r\n"),
    "many headers": get(HOST + 2_000 * b"X: 1\r\n"),
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "noise": bytes(range(256)) + b"\r\n\r\n",
    # Expect
    "an expectation that nobody knows": log_in(LENGTH + b"Expect: a wonder\r\n", CREDENTIALS),
}

# What there is no doubt about, and the statuses it gets, one for each request in it.
SOUND: dict[str, tuple[bytes, Sequence[int]]] = {
    "a length": (log_in(LENGTH, CREDENTIALS), [200, 200]),
    "a length between blanks": (
        log_in(b"Content-Length: \t%d \r\n" % len(CREDENTIALS), CREDENTIALS),
        [200, 200],
    ),
    "a length of nothing": (log_in(b"Content-Length: 0\r\n", b""), [422, 200]),
    "chunks": (chunked(CHUNK + LAST_CHUNK), [200, 200]),
    "many chunks": (
        chunked(b"".join(b"01\r\n%c\r\n" % byte for byte in CREDENTIALS) + LAST_CHUNK),
        [200, 200],
    ),
    "a size in capitals": (chunked(CHUNK.upper()[:4] + CHUNK[4:] + LAST_CHUNK), [200, 200]),
    "three requests at once": (SMUGGLED + get(HOST), [200, 200, 200]),
    "a strange name": (get(HOST + b"X!#$%&'*+.^_`|~9: 1\r\n"), [200, 200]),
    "a colon behind a blank in a value": (get(HOST + b"User-Agent: one : two\r\n"), [200, 200]),
    "a tab in a value": (get(HOST + b"X-One: 1\t2\r\n"), [200, 200]),
    "an empty Host": (get(b"Host:\r\n"), [200, 200]),
    "a whole URL": (get(HOST, b"GET http://localhost/health/live HTTP/1.1\r\n"), [200, 200]),
    "HTTP/1.0 without a Host": (LIVE.replace(b"/1.1", b"/1.0") + b"\r\n", [200]),
    "HTTP/1.0 ends its connection": (get(HOST, LIVE.replace(b"/1.1", b"/1.0")), [200]),
    "the last request": (get(HOST + b"Connection: close\r\n"), [200]),
    "a method that nobody knows": (get(HOST, b"BREW /health/live HTTP/1.1\r\n"), [405, 200]),
    "a small get": (get(HOST, b"get /health/live HTTP/1.1\r\n"), [405, 200]),
    "a method of many letters": (get(HOST, 5_000 * b"A" + b" /health/live HTTP/1.1\r\n"), [405, 200]),
    "a body that nobody asked for": (
        LIVE + HOST + b"Content-Length: 4\r\n\r\n1234" + SMUGGLED,
        [200, 200],
    ),
}


@dataclass(frozen=True)
class Answered:
    status: int
    headers: "Message[str, str]"
    body: bytes


async def send(
    client: Backoffice, request: bytes, *more: bytes, answers: int = 1
) -> tuple[list[Answered], bool]:
    """Send bytes; return what was answered, and whether the service closed the connection.

    So many answers, or the end, are waited for with patience; what comes beyond them comes in a moment.
    """
    reader, writer = await connect(client)
    given: list[Answered] = []
    try:
        for part in (request, *more):
            writer.write(part)
            await asyncio.sleep(0.02 if more else 0)
        while (answered := await read_answer(reader, 5 if len(given) < answers else 0.3)) is not None:
            given.append(answered)
    except TimeoutError:
        return given, False
    finally:
        writer.close()
    return given, True


async def connect(client: Backoffice) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = client._base.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def read_answer(reader: asyncio.StreamReader, within: float = 5) -> Answered | None:
    """Read one answer, None if there is none any more; raise TimeoutError if none comes."""
    async with asyncio.timeout(within):
        head = await read_head(reader)
        if head is None:
            return None
        line, _, fields = head.partition(b"\r\n")
        matched = STATUS_LINE.fullmatch(line)
        assert matched, head
        headers = message_from_string(fields.decode())
        return Answered(
            int(matched[1]), headers, await reader.readexactly(int(headers["content-length"] or 0))
        )


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        head = end.partial
    except ConnectionResetError:
        head = b""
    assert not head or head.endswith(b"\r\n\r\n"), head
    return head.removesuffix(b"\r\n\r\n") or None


@pytest.mark.parametrize("name", BROKEN)
async def test_what_could_be_read_in_two_ways_is_refused_once_and_nothing_behind_it_is_read(
    client: Backoffice, name: str
) -> None:
    begun = time.monotonic()

    given, closed = await send(client, BROKEN[name], answers=2)

    assert closed
    assert len(given) == 1, given
    (answered,) = given
    message = json.loads(answered.body)["message"]
    assert (answered.status, message) in {(400, "Bad Request."), (413, "The request is too large.")}
    assert {field: answered.headers[field] for field in HEADERS} == HEADERS
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["x-request-id"]
    assert answered.headers["connection"] == "close"
    assert_within(5, time.monotonic() - begun)


@pytest.mark.parametrize("name", SOUND)
async def test_what_can_be_read_in_one_way_is_answered(client: Backoffice, name: str) -> None:
    request, statuses = SOUND[name]

    given, _ = await send(client, request, answers=len(statuses))

    assert [answered.status for answered in given] == statuses


async def test_a_client_that_waits_for_it_is_told_to_go_on(client: Backoffice) -> None:
    for headers, body in ((LENGTH, CREDENTIALS), (CHUNKED, CHUNK + LAST_CHUNK)):
        reader, writer = await connect(client)
        writer.write(LOGIN + headers + b"Expect: 100-continue\r\n\r\n")
        assert await asyncio.wait_for(read_head(reader), 1) == b"HTTP/1.1 100 Continue"

        writer.write(body)

        answered = await read_answer(reader, within=1)
        writer.close()
        assert answered is not None
        assert answered.status == 200


@pytest.mark.parametrize("request_", [log_in(LENGTH, CREDENTIALS), chunked(CHUNK + LAST_CHUNK), get(HOST)])
async def test_a_request_is_read_the_same_in_whatever_pieces_it_comes(
    client: Backoffice, request_: bytes
) -> None:
    pieces = [request_[at : at + 16] for at in range(0, len(request_), 16)]

    given, _ = await send(client, *pieces, answers=2)

    assert [answered.status for answered in given] == [200, 200]


async def test_a_broken_request_is_no_attempt(start: Start) -> None:
    running: Running = await start()
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    for _ in range(10):
        await send(running.client, log_in(LENGTH + CHUNKED, CHUNK + LAST_CHUNK))

    assert (await running.client.log_in()).status_code == 200
