"""Send what no honest client sends; each answer is a documented one, to the letter."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backoffice import AUTH, PASSWORD, Backoffice
from tests.conftest import Running, Start

Answer = tuple[int, Any]

JSON = "application/json"
BODY_MAX = 16 * 1024

BAD_JSON = 400, {"message": "The body is not valid JSON."}
REFUSED = 401, {"message": "These credentials do not match our records."}
UNAUTHENTICATED = 401, {"message": "Unauthenticated."}
TOO_LARGE = 413, {"message": "The request is too large."}
NOT_JSON = 415, {"message": "Send the body as application/json."}
SUCCESS = 200, ["token"]

USER_REQUIRED = "The user field is required."
USER_NO_STRING = "The user field must be a string."
USER_TOO_LONG = "The user field must not be greater than 100 characters."
PASSWORD_REQUIRED = "The password field is required."
PASSWORD_NO_STRING = "The password field must be a string."
PASSWORD_TOO_LONG = "The password field must not be greater than 1024 characters."
CURRENT_REQUIRED = "The current password field is required."
CURRENT_NO_STRING = "The current password field must be a string."
CURRENT_TOO_LONG = "The current password field must not be greater than 1024 characters."


def invalid(message: str, **errors: str) -> Answer:
    return 422, {"message": message, "errors": {field: [sentence] for field, sentence in errors.items()}}


NEITHER = invalid(f"{USER_REQUIRED} (and 1 more error)", user=USER_REQUIRED, password=PASSWORD_REQUIRED)
NO_STRINGS = invalid(f"{USER_NO_STRING} (and 1 more error)", user=USER_NO_STRING, password=PASSWORD_NO_STRING)


@pytest.fixture
def tireless(loop: asyncio.AbstractEventLoop, start: Start) -> Running:
    """The service with causas and without limits, so that a whole table can be tried on her."""
    running: Running = loop.run_until_complete(start(limit_login=None, limit_network=None))
    loop.run_until_complete(running.use_cases.create_user("causas", "Causas", PASSWORD, by="test"))
    return running


@pytest.fixture
def client(tireless: Running) -> Backoffice:
    return tireless.client


def seen(answer: httpx.Response) -> Answer:
    """Reduce an answer to its status and body; of a success only the names, since no two tokens are alike."""
    if not answer.content:
        return answer.status_code, None
    body = answer.json()
    return answer.status_code, list(body) if answer.status_code == 200 else body


async def post(client: Backoffice, body: Any, content_type: str | None = JSON, **headers: str) -> Answer:
    if content_type is not None:
        headers["Content-Type"] = content_type
    return seen(await client.request("POST", AUTH, content=body, headers=headers))


async def post_all(client: Backoffice, bodies: Mapping[str, bytes]) -> dict[str, Answer]:
    return {name: await post(client, body) for name, body in bodies.items()}


def login(**fields: Any) -> bytes:
    """Write a login of causas with some fields changed or added; the non-ASCII ones escaped."""
    return json.dumps({"user": "causas", "password": PASSWORD} | fields).encode()


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


NOT_EVEN_JSON = {
    "blanks only": b" \t\r\n",
    "a word": b"causas",
    "an open object": b"{",
    "an open array": b"[",
    "an open string": b'{"user":"causas',
    "a closing brace": b"}",
    "a missing colon": b'{"user" "causas"}',
    "a missing value": b'{"user":}',
    "a missing comma": b'{"user":"causas" "password":"x"}',
    "a trailing comma": b'{"user":"causas","password":"x",}',
    "a trailing comma in an array": b"[1,]",
    "a leading comma": b'{,"user":"causas"}',
    "a hole in an array": b"[1,,2]",
    "single quotes": b"{'user':'causas','password':'x'}",
    "backticks": b"{`user`:`causas`}",
    "typographic quotes": "{\u201cuser\u201d:\u201ccausas\u201d}".encode(),
    "a bare key": b'{user:"causas"}',
    "a numeric key": b'{1:"causas"}',
    "a null key": b'{null:"causas"}',
    "a block comment": b'{/* hello */"user":"causas","password":"x"}',
    "a line comment": b'{"user":"causas","password":"x"} // hello',
    "a hash comment": b'# hello\n{"user":"causas","password":"x"}',
    "garbage behind": login() + b" x",
    "a brace behind": login() + b"}",
    "a NUL behind": login() + b"\0",
    "a NUL in front": b"\0" + login(),
    "two objects": login() + login(),
    "two lines of JSON": login() + b"\n" + login(),
    "a JSON text sequence": b"\x1e" + login() + b"\n",
    "JSONP": b"callback(" + login() + b")",
    "an anti-hijacking prefix": b")]}',\n" + login(),
    "NaN": b'{"user":NaN,"password":"x"}',
    "NaN in a field that nobody wants": login()[:-1] + b',"other":NaN}',
    "NaN alone": b"NaN",
    "Infinity": b'{"user":Infinity,"password":"x"}',
    "-Infinity": b'{"user":"causas","password":-Infinity}',
    "undefined": b'{"user":undefined}',
    "Python's None": b'{"user":None}',
    "Python's True": b'{"user":True}',
    "a shouted null": b'{"user":NULL}',
    "a leading zero": b'{"user":01}',
    "a plus sign": b'{"user":+1}',
    "a naked fraction": b'{"user":.5}',
    "a naked point": b'{"user":1.}',
    "a naked exponent": b'{"user":1e}',
    "a lone minus": b'{"user":-}',
    "a hexadecimal number": b'{"user":0x1F}',
    "Arabic digits": '{"user":\u0661}'.encode(),
    "a raw newline in a string": b'{"user":"cau\nsas","password":"x"}',
    "a raw tab in a string": b'{"user":"cau\tsas","password":"x"}',
    "a raw NUL in a string": b'{"user":"causas\0","password":"x"}',
    "an unknown escape": rb'{"user":"\x41","password":"x"}',
    "a short escape": rb'{"user":"\u12","password":"x"}',
    "a JavaScript escape": rb'{"user":"\u{41}","password":"x"}',
    "a backslash at the end": b'{"user":"\\',
    "a no-break space in front": "\u00a0{}".encode(),
    "a form feed in front": b"\x0c{}",
    "a vertical tab in front": b"\x0b{}",
    "a byte order mark": b"\xef\xbb\xbf" + login(),
    "two byte order marks": b"\xef\xbb\xbf" * 2 + login(),
    "UTF-16 with its mark": login().decode().encode("utf-16"),
    "UTF-16 little-endian": login().decode().encode("utf-16-le"),
    "UTF-16 big-endian": login().decode().encode("utf-16-be"),
    "UTF-32 with its mark": login().decode().encode("utf-32"),
    "UTF-32 big-endian": login().decode().encode("utf-32-be"),
    "UTF-7": b"+AHs-+AH0-",
    "EBCDIC": login().decode().encode("cp037"),
    "Latin-1": '{"user":"jos\u00e9","password":"x"}'.encode("latin-1"),
    "a byte that is never UTF-8": b'{"user":"\xff","password":"x"}',
    "a byte that is never UTF-8, in an unknown field": login()[:-1] + b',"other":"\xff"}',
    "a lone continuation byte": b'{"user":"\x80","password":"x"}',
    "a sequence cut short": b'{"user":"\xe2\x82","password":"x"}',
    "an overlong slash": b'{"user":"\xc0\xaf","password":"x"}',
    "an overlong NUL": b'{"user":"causas\xc0\x80","password":"x"}',
    "a surrogate in bytes": b'{"user":"\xed\xa0\x80","password":"x"}',
    "CESU-8": b'{"user":"\xed\xa0\xbd\xed\xb8\x80","password":"x"}',
    "beyond Unicode": b'{"user":"\xf4\x90\x80\x80","password":"x"}',
    "a duplicate key": b'{"user":"causas","user":"causas","password":"x"}',
    "a duplicate password": b'{"user":"causas","password":"x","password":"y"}',
    "a duplicate key, once escaped": rb'{"user":"causas","\u0075ser":"admin","password":"x"}',
    "a duplicate key that nobody wants": login(other=1)[:-1] + b',"other":1}',
    "a duplicate empty key": b'{"":1,"":2}',
    "a duplicate key in a field": b'{"user":"causas","password":"x","other":{"a":1,"a":2}}',
    "a duplicate key in an array": b'[[{"a":1},{"a":1,"a":1}]]',
    "33 arrays": nested(33).encode(),
    "33 objects": (nested(33, '{"a":', "}").replace(":}", ":1}", 1)).encode(),
    "33 levels in user": f'{{"user":{nested(32)},"password":"x"}}'.encode(),
    "33 levels in a field that nobody wants": login()[:-1] + f',"other":{nested(32)}}}'.encode(),
    "a thousand arrays": nested(1000).encode(),
    "arrays as deep as fit": nested(BODY_MAX // 2).encode(),
    "arrays that never close": b"[" * BODY_MAX,
    "objects that never close": b'{"a":' * (BODY_MAX // 5),
    "a form": b"user=causas&password=x",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><user>causas</user>',
    "YAML": b"user: causas\npassword: x",
    "MessagePack": b"\x82\xa4user\xa6causas\xa8password\xa1x",
    "gzip": gzip.compress(login(), mtime=0),
    "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01x\x94.",
}


async def test_what_is_no_strict_json_is_refused_whatever_it_holds(client: Backoffice) -> None:
    answers = await post_all(client, NOT_EVEN_JSON)

    assert answers == dict.fromkeys(NOT_EVEN_JSON, BAD_JSON)


WITHOUT_FIELDS = {
    "nothing": b"",
    "an empty object": b"{}",
    "an empty object among blanks": b" \t\r\n{ } \n",
    "null": b"null",
    "true": b"true",
    "false": b"false",
    "zero": b"0",
    "a number": b"12.5",
    "a number too big for a float": b"1e999999",
    "a number of fifteen thousand digits": b"9" * 15_000,
    "a fraction of fifteen thousand digits": b"0." + b"9" * 15_000,
    "an exponent of five thousand digits": b"1e" + b"9" * 5000,
    "a string": b'"causas"',
    "an empty string": b'""',
    "a lone surrogate": rb'"\ud800"',
    "an empty array": b"[]",
    "an array of the two": b'["causas","correct horse battery staple"]',
    "an array of an object": b"[" + login() + b"]",
    "32 arrays": nested(32).encode(),
    "32 objects": nested(32, '{"a":', "}").replace(":}", ":1}", 1).encode(),
    "null fields": b'{"user":null,"password":null}',
    "empty fields": b'{"user":"","password":""}',
    "shouted names": b'{"USER":"causas","PASSWORD":"x"}',
    "names among blanks": b'{" user":"causas","password ":"x"}',
    "names ending in NUL": rb'{"user\u0000":"causas","password\u0000":"x"}',
    "full-width names": '{"\uff55\uff53\uff45\uff52":"causas"}'.encode(),
    "a Cyrillic letter in a name": '{"us\u0435r":"causas","p\u0430ssword":"x"}'.encode(),
    "names as PHP writes them": b'{"user[]":"causas","password[$ne]":""}',
    "fields inside another": b'{"data":{"user":"causas","password":"x"}}',
    "a prototype": b'{"__proto__":{"user":"causas","password":"x"}}',
    "a constructor": b'{"constructor":{"prototype":{"user":"causas","password":"x"}}}',
    "a class": b'{"__class__":"User","user":null}',
    "thousands of other fields": json.dumps({f"{number}": 0 for number in range(1500)}).encode(),
    "thousands of objects": b"[" + b"{}," * 5000 + b"{}]",
}


async def test_what_names_neither_field_lacks_both(client: Backoffice) -> None:
    answers = await post_all(client, WITHOUT_FIELDS)

    assert answers == dict.fromkeys(WITHOUT_FIELDS, NEITHER)


NO_STRING = {
    "true": b"true",
    "false": b"false",
    "zero": b"0",
    "minus zero": b"-0",
    "a number": b"1",
    "a fraction": b"1.5",
    "a number beyond 64 bits": b"18446744073709551616",
    "a number too big for a float": b"-1e999",
    "a number of seven thousand digits": b"7" * 7000,
    "an empty array": b"[]",
    "an array of a string": b'["causas"]',
    "an array of arrays": b"[[],[[]]]",
    "an array 31 deep": nested(31).encode(),
    "an empty object": b"{}",
    "an operator": b'{"$ne":null}',
    "a regular expression": b'{"$regex":".*"}',
    "an object like a string": b'{"length":6,"0":"c"}',
    "a lone high surrogate": rb'"\ud800"',
    "a lone low surrogate": rb'"\udc00"',
    "surrogates the wrong way round": rb'"\ude00\ud83d"',
    "a lone surrogate behind a name": rb'"causas\udfff"',
    "a lone surrogate, and long": rb'"\ud800' + b"x" * 2000 + b'"',
}


async def test_a_field_that_is_no_string_is_refused_wherever_it_stands(client: Backoffice) -> None:
    answers = {
        name: (
            await post(client, b'{"user":%b,"password":"x"}' % value),
            await post(client, b'{"user":"causas","password":%b}' % value),
            await post(client, b'{"user":%b,"password":%b}' % (value, value)),
        )
        for name, value in NO_STRING.items()
    }

    expected = (
        invalid(USER_NO_STRING, user=USER_NO_STRING),
        invalid(PASSWORD_NO_STRING, password=PASSWORD_NO_STRING),
        NO_STRINGS,
    )
    assert answers == dict.fromkeys(NO_STRING, expected)


ONE_FAULT_OR_TWO = {
    "no user": (b'{"password":"x"}', invalid(USER_REQUIRED, user=USER_REQUIRED)),
    "a null user": (login(user=None), invalid(USER_REQUIRED, user=USER_REQUIRED)),
    "an empty user": (login(user=""), invalid(USER_REQUIRED, user=USER_REQUIRED)),
    "a blank user": (login(user=" \t\n"), invalid(USER_REQUIRED, user=USER_REQUIRED)),
    "a user of no-break spaces": (
        login(user="\u00a0\u3000\u2003"),
        invalid(USER_REQUIRED, user=USER_REQUIRED),
    ),
    "200 blanks": (login(user=" " * 200), invalid(USER_REQUIRED, user=USER_REQUIRED)),
    "no password": (b'{"user":"causas"}', invalid(PASSWORD_REQUIRED, password=PASSWORD_REQUIRED)),
    "a null password": (login(password=None), invalid(PASSWORD_REQUIRED, password=PASSWORD_REQUIRED)),
    "an empty password": (login(password=""), invalid(PASSWORD_REQUIRED, password=PASSWORD_REQUIRED)),
    "NUL for a user": (login(user="\0"), invalid(USER_NO_STRING, user=USER_NO_STRING)),
    "NUL behind the user": (login(user="causas\0"), invalid(USER_NO_STRING, user=USER_NO_STRING)),
    "NUL in a long user": (login(user="\0" + "x" * 100), invalid(USER_NO_STRING, user=USER_NO_STRING)),
    "101 characters": (login(user="x" * 101), invalid(USER_TOO_LONG, user=USER_TOO_LONG)),
    "101 characters among blanks": (login(user=f" {'x' * 101} "), invalid(USER_TOO_LONG, user=USER_TOO_LONG)),
    "101 faces": (login(user="\U0001f600" * 101), invalid(USER_TOO_LONG, user=USER_TOO_LONG)),
    "101 marks on one letter": (login(user="a" + "\u0301" * 100), invalid(USER_TOO_LONG, user=USER_TOO_LONG)),
    "a user as long as fits": (login(user="x" * 16_000), invalid(USER_TOO_LONG, user=USER_TOO_LONG)),
    "1,025 characters": (login(password="x" * 1025), invalid(PASSWORD_TOO_LONG, password=PASSWORD_TOO_LONG)),
    "1,025 blanks": (login(password=" " * 1025), invalid(PASSWORD_TOO_LONG, password=PASSWORD_TOO_LONG)),
    "1,025 NULs": (login(password="\0" * 1025), invalid(PASSWORD_TOO_LONG, password=PASSWORD_TOO_LONG)),
    "both too long": (
        login(user="x" * 101, password="x" * 1025),
        invalid(f"{USER_TOO_LONG} (and 1 more error)", user=USER_TOO_LONG, password=PASSWORD_TOO_LONG),
    ),
    "an array and nothing": (
        b'{"user":[]}',
        invalid(f"{USER_NO_STRING} (and 1 more error)", user=USER_NO_STRING, password=PASSWORD_REQUIRED),
    ),
    "nothing and an array": (
        b'{"password":[]}',
        invalid(f"{USER_REQUIRED} (and 1 more error)", user=USER_REQUIRED, password=PASSWORD_NO_STRING),
    ),
    "blank and too long": (
        login(user=" ", password="x" * 1025),
        invalid(f"{USER_REQUIRED} (and 1 more error)", user=USER_REQUIRED, password=PASSWORD_TOO_LONG),
    ),
}


async def test_every_fault_of_a_field_has_its_sentence(client: Backoffice) -> None:
    answers = await post_all(client, {name: body for name, (body, _) in ONE_FAULT_OR_TWO.items()})

    assert answers == {name: answer for name, (_, answer) in ONE_FAULT_OR_TWO.items()}


WRONG_CREDENTIALS = {
    "NUL for a password": login(password="\0"),
    "NUL behind the password": login(password=PASSWORD + "\0"),
    "the password behind a NUL": login(password="\0" + PASSWORD),
    "a blank password": login(password=" "),
    "1,024 characters": login(password="x" * 1024),
    "1,024 faces": '{{"user":"causas","password":"{}"}}'.format("\U0001f600" * 1024).encode(),
    "1,024 NULs": login(password="\0" * 1024),
    "72 bytes and more": login(password=PASSWORD + "x" * 72),
    "a user of 100 characters": login(user="x" * 100),
    "a user of 100 characters among blanks": login(user=f"  {'x' * 100}  "),
    "a user of 100 faces": login(user="\U0001f600" * 100),
    "a user of one invisible character": login(user="\u200b"),
    "an invisible character in the name": login(user="cau\u200bsas"),
    "text direction turned": login(user="\u202esasuac"),
    "a Cyrillic letter": login(user="c\u0430usas"),
    "a mark on the last letter": login(user="causas\u0301"),
    "a noncharacter": login(user="\uffff\U0010ffff"),
    "a byte order mark for a user": login(user="\ufeff"),
    "a control character": login(user="causas\x07\x1b[31m"),
    "a line of the log": login(user='causas"\r\n{"event": "login_ok"}'),
    "a percent sign": login(user="%"),
    "an SQL wildcard": login(user="causa_"),
    "an SQL injection": login(user="causas' OR '1'='1' -- "),
    "a stacked query": login(user="'; DROP TABLE users; --"),
    "a Redis command": login(user="causas\r\nFLUSHALL\r\n"),
    "a Redis pattern": login(user="*"),
    "an LDAP filter": login(user="*)(uid=*))(|(uid=*"),
    "a template": login(user="{{7*7}}${7*7}%s%n{0.__class__}"),
    "a lookup": login(user="${jndi:ldap://example.com/a}"),
    "a path": login(user="../../../etc/passwd"),
    "the word null": login(user="null", password="null"),
    "the hash of the password": login(password="$2b$12$" + "x" * 53),
}


async def test_strange_strings_are_merely_wrong(client: Backoffice) -> None:
    answers = await post_all(client, WRONG_CREDENTIALS)

    assert answers == dict.fromkeys(WRONG_CREDENTIALS, REFUSED)


async def test_a_user_name_that_folds_to_far_more_characters_is_merely_unknown(client: Backoffice) -> None:
    names = {f"{18 * times} characters": login(user="\ufdfa" * times) for times in (22, 23, 100)}

    assert await post_all(client, names) == dict.fromkeys(names, REFUSED)


def padded(size: int) -> bytes:
    """Write a good login of exactly so many bytes."""
    return login(other="x" * (size - len(login(other=""))))


GOOD_IN_SPITE_OF_IT = {
    "unknown fields": login(other=1, more=[{}], remember=True),
    "a prototype": login(__proto__={"user": "admin"}, constructor=None),
    "an admin flag": login(admin=True, id=1, scope="*", user_id=7, session="0" * 32),
    "a key that is a lone surrogate": login()[:-1] + rb',"\ud800":1}',
    "a key that differs in case": login(USER="admin"),
    "a key that folds to one of ours": login()[:-1] + ',"\uff55\uff53\uff45\uff52":"admin"}'.encode(),
    "an empty key": login()[:-1] + b',"":"admin"}',
    "a field 31 deep": login()[:-1] + f',"other":{nested(31)}}}'.encode(),
    "a brace in a string": login(other="}]{[" * 1000),
    "a gigantic number": login()[:-1] + b',"other":' + b"9" * 15_000 + b"}",
    "a gigantic exponent": login()[:-1] + b',"other":1e999999999999999999}',
    "escapes all over": b'{"\\u0075ser":"%b","password":"%b"}'
    % tuple(b"".join(b"\\u%04x" % byte for byte in text.encode()) for text in ("causas", PASSWORD)),
    "blanks around everything": b'\r\n\t { "user" : " causas\\t" ,\n"password" : "%b" } \n'
    % PASSWORD.encode(),
    "one byte below 16 KiB": padded(BODY_MAX - 1),
    "exactly 16 KiB": padded(BODY_MAX),
}


async def test_a_good_login_is_none_the_worse_for_its_company(client: Backoffice) -> None:
    answers = await post_all(client, GOOD_IN_SPITE_OF_IT)

    assert answers == dict.fromkeys(GOOD_IN_SPITE_OF_IT, SUCCESS)


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


async def test_a_chunked_body_counts_like_any_other(client: Backoffice) -> None:
    bodies = {"16 KiB": padded(BODY_MAX), "more": padded(BODY_MAX + 1), "junk": b"[" * 2000, "none": b""}

    answers = {name: await post(client, chunks(body)) for name, body in bodies.items()}

    assert answers == {"16 KiB": SUCCESS, "more": TOO_LARGE, "junk": BAD_JSON, "none": NEITHER}


async def test_a_body_above_16_kib_is_not_even_parsed(client: Backoffice) -> None:
    bodies = {
        "one byte above": padded(BODY_MAX + 1),
        "four times": padded(4 * BODY_MAX),
        "brackets": b"[" * (BODY_MAX + 1),
        "NULs": bytes(BODY_MAX + 1),
    }

    assert await post_all(client, bodies) == dict.fromkeys(bodies, TOO_LARGE)


CONTENT_TYPES: dict[str, Answer] = {
    "application/json": SUCCESS,
    "Application/JSON; charset=UTF-8": SUCCESS,
    "application/json;charset=utf-8": SUCCESS,
    'application/json; charset="utf-8"': SUCCESS,
    "application/json ; charset=utf-8": SUCCESS,
    "application/json;": SUCCESS,
    "application/json;charset=latin-1": NOT_JSON,
    "application/json; charset=utf-16": NOT_JSON,
    "application/json; charset=utf-8; charset=latin-1": NOT_JSON,
    "application/json, text/plain": NOT_JSON,
    "application/json text/plain": NOT_JSON,
    "application/jsonp": NOT_JSON,
    "application/json5": NOT_JSON,
    "application/x-json": NOT_JSON,
    "application/vnd.api+json": NOT_JSON,
    "application/problem+json": NOT_JSON,
    "application/javascript": NOT_JSON,
    "application/xml": NOT_JSON,
    "application/x-www-form-urlencoded": NOT_JSON,
    "application/octet-stream": NOT_JSON,
    "application/*": NOT_JSON,
    "multipart/form-data; boundary=x": NOT_JSON,
    "text/json": NOT_JSON,
    "text/plain": NOT_JSON,
    "text/plain; application/json": NOT_JSON,
    "text/html": NOT_JSON,
    "*/*": NOT_JSON,
    "json": NOT_JSON,
    ";": NOT_JSON,
    "; charset=utf-8": NOT_JSON,
    "": NOT_JSON,
}


async def test_a_body_must_be_declared_as_json(client: Backoffice) -> None:
    answers = {declared: await post(client, login(), declared) for declared in CONTENT_TYPES}

    assert answers == CONTENT_TYPES


async def test_a_body_declared_as_nothing_is_not_guessed_at(client: Backoffice) -> None:
    assert await post(client, login(), None) == NOT_JSON


async def test_a_form_is_refused_for_what_it_is_declared_as(client: Backoffice) -> None:
    form = await client.request("POST", AUTH, data={"user": "causas", "password": PASSWORD})
    upload = await client.request("POST", AUTH, files={"user": b"causas", "password": PASSWORD.encode()})

    assert [seen(form), seen(upload)] == [NOT_JSON, NOT_JSON]


async def test_an_empty_body_needs_no_declaration(client: Backoffice) -> None:
    assert [await post(client, b"", None), await post(client, b"", "text/plain")] == [NEITHER, NEITHER]


async def test_a_compressed_body_is_not_unpacked(client: Backoffice) -> None:
    body = gzip.compress(login(), mtime=0)

    assert await post(client, body, **{"Content-Encoding": "gzip"}) == BAD_JSON


async def test_credentials_in_the_address_are_not_looked_at(client: Backoffice) -> None:
    query = {"user": "causas", "password": PASSWORD}

    answer = await client.request("POST", AUTH, params=query)

    assert seen(answer) == NEITHER


NEW = "a different horse altogether"


def change(**fields: Any) -> bytes:
    return json.dumps({"current_password": PASSWORD, "password": NEW} | fields).encode()


NEITHER_PASSWORD = invalid(
    f"{CURRENT_REQUIRED} (and 1 more error)", current_password=CURRENT_REQUIRED, password=PASSWORD_REQUIRED
)
TOO_SHORT = "The password field must be at least 15 characters."
TOO_COMMON = "The given password is too common. Please choose a different password."
PASSWORD_CHANGES: dict[str, tuple[bytes, Answer]] = {
    "nothing": (b"", NEITHER_PASSWORD),
    "an empty object": (b"{}", NEITHER_PASSWORD),
    "an array": (b"[" + change() + b"]", NEITHER_PASSWORD),
    "a scalar": (b"17", NEITHER_PASSWORD),
    "the name in camel case": (
        b'{"currentPassword":"x","password":"%b"}' % NEW.encode(),
        invalid(CURRENT_REQUIRED, current_password=CURRENT_REQUIRED),
    ),
    "a null": (change(current_password=None), invalid(CURRENT_REQUIRED, current_password=CURRENT_REQUIRED)),
    "an empty one": (
        change(current_password=""),
        invalid(CURRENT_REQUIRED, current_password=CURRENT_REQUIRED),
    ),
    "a number": (change(current_password=1), invalid(CURRENT_NO_STRING, current_password=CURRENT_NO_STRING)),
    "a list": (
        change(current_password=["x"]),
        invalid(CURRENT_NO_STRING, current_password=CURRENT_NO_STRING),
    ),
    "a lone surrogate": (
        change(current_password="\ud800"),
        invalid(CURRENT_NO_STRING, current_password=CURRENT_NO_STRING),
    ),
    "1,025 characters": (
        change(current_password="x" * 1025),
        invalid(CURRENT_TOO_LONG, current_password=CURRENT_TOO_LONG),
    ),
    "no new one": (change(password=None), invalid(PASSWORD_REQUIRED, password=PASSWORD_REQUIRED)),
    "an object for a new one": (
        change(password={}),
        invalid(PASSWORD_NO_STRING, password=PASSWORD_NO_STRING),
    ),
    "a surrogate in the new one": (
        change(password=NEW + "\udfff"),
        invalid(PASSWORD_NO_STRING, password=PASSWORD_NO_STRING),
    ),
    "a new one of 1,025 characters": (
        change(password="x" * 1025),
        invalid(PASSWORD_TOO_LONG, password=PASSWORD_TOO_LONG),
    ),
    "both of 1,025 characters": (
        change(current_password="x" * 1025, password="y" * 1025),
        invalid(
            f"{CURRENT_TOO_LONG} (and 1 more error)",
            current_password=CURRENT_TOO_LONG,
            password=PASSWORD_TOO_LONG,
        ),
    ),
    "a new one of 14 characters": (change(password="x1!" * 4 + "yz"), invalid(TOO_SHORT, password=TOO_SHORT)),
    "a new one of 14 faces": (change(password="\U0001f600" * 14), invalid(TOO_SHORT, password=TOO_SHORT)),
    "a new one of NULs": (change(password="\0" * 15), invalid(TOO_COMMON, password=TOO_COMMON)),
    "a new one of blanks": (change(password=" " * 15), invalid(TOO_COMMON, password=TOO_COMMON)),
    "NUL behind the current one": (change(current_password=PASSWORD + "\0"), REFUSED),
    "a blank behind the current one": (change(current_password=PASSWORD + " "), REFUSED),
    "1,024 NULs": (change(current_password="\0" * 1024), REFUSED),
    "a duplicate key": (change()[:-1] + b',"password":"x"}', BAD_JSON),
    "invalid UTF-8": (change()[:-1] + b',"other":"\xff"}', BAD_JSON),
    "33 levels": (change()[:-1] + f',"other":{nested(32)}}}'.encode(), BAD_JSON),
    "NaN": (b'{"current_password":NaN}', BAD_JSON),
    "too large": (change(other="x" * BODY_MAX), TOO_LARGE),
}


async def put(client: Backoffice, token: str | None, body: bytes, content_type: str = JSON) -> Answer:
    headers = {"Content-Type": content_type}
    return seen(await client.request("PUT", f"{AUTH}/password", token, content=body, headers=headers))


async def test_a_hostile_password_change_is_refused_and_changes_nothing(client: Backoffice) -> None:
    token = await client.token()

    answers = {name: await put(client, token, body) for name, (body, _) in PASSWORD_CHANGES.items()}

    assert answers == {name: answer for name, (_, answer) in PASSWORD_CHANGES.items()}
    assert (await client.who_am_i(token)).status_code == 200


async def test_a_password_change_must_be_declared_as_json(client: Backoffice) -> None:
    token = await client.token()

    assert await put(client, token, change(), "text/plain") == NOT_JSON


async def test_without_a_token_no_body_is_looked_at(client: Backoffice) -> None:
    bodies = {name: body for name, (body, _) in PASSWORD_CHANGES.items() if len(body) <= BODY_MAX}

    answers = {name: await put(client, None, body) for name, body in bodies.items()}

    assert answers == dict.fromkeys(bodies, UNAUTHENTICATED)


@pytest.mark.parametrize("declared", [JSON, "text/plain", None])
async def test_a_log_out_does_not_mind_its_body(client: Backoffice, declared: str | None) -> None:
    bodies = [
        b"",
        b"{}",
        b"[",
        b"null",
        b"\xff\xfe\0",
        b'{"scope":"all"}',
        nested(5000).encode(),
        b"x" * BODY_MAX,
    ]
    headers = {} if declared is None else {"Content-Type": declared}
    witness = await client.token()

    for body in bodies:
        token = await client.token()
        answer = await client.request("DELETE", AUTH, token, content=body, headers=headers)
        assert seen(answer) == (204, None), body[:20]

    assert (await client.who_am_i(witness)).status_code == 200


SCOPES = {
    "empty": "",
    "in capitals": "ALL",
    "a blank behind": "all%20",
    "a plus for a blank": "+current",
    "NUL behind": "all%00",
    "no UTF-8": "%ff",
    "a surrogate": "%ed%a0%80",
    "invalid percent-encoding": "%zz",
    "twice encoded": "%2561ll",
    "full-width letters": "%EF%BD%81%EF%BD%8C%EF%BD%8C",
    "a list": "current,others",
    "the name of the constant": "Scope.ALL",
    "null": "null",
    "a number": "0",
    "a line break": "current%0d%0aSet-Cookie:%20a=b",
    "long": "a" * 4000,
}


async def test_a_scope_that_is_none_ends_nothing(client: Backoffice) -> None:
    tokens = [await client.token(), await client.token()]

    answers = {
        name: seen(await ask(client, "DELETE", f"{AUTH}?scope={scope}", tokens[0]))
        for name, scope in SCOPES.items()
    }

    sentence = "The selected scope is invalid."
    assert answers == dict.fromkeys(SCOPES, invalid(sentence, scope=sentence))
    assert [(await client.who_am_i(token)).status_code for token in tokens] == [200, 200]


PAGES = {
    "zero": "0",
    "negative": "-1",
    "a plus sign": "%2B1",
    "a blank in front": "%201",
    "a fraction": "1.5",
    "an exponent": "1e3",
    "hexadecimal": "0x1",
    "an underscore": "1_0",
    "ten digits": "1000000000",
    "four thousand digits": "1" * 4000,
    "Arabic digits": "%D9%A1",
    "full-width digits": "%EF%BC%91",
    "a superscript": "%C2%B2",
    "NUL behind": "1%00",
    "no UTF-8": "%ff",
    "invalid percent-encoding": "%",
    "a word": "last",
    "an injection": "1;DROP%20TABLE%20sessions",
}


async def test_a_page_that_is_no_number_is_refused(client: Backoffice) -> None:
    token = await client.token()

    answers = {
        name: seen(await ask(client, "GET", f"{AUTH}/sessions?page={page}", token))
        for name, page in PAGES.items()
    }

    sentence = "The page field must be a whole number of at least 1."
    assert answers == dict.fromkeys(PAGES, invalid(sentence, page=sentence))


QUERIES = [
    "page=999999999", "page=", "page", "page[]=0", "PAGE=0", "pag%65=1", "=&&==&", "%ff=%fe", "%zz",
    "&" * 4000, "?" * 100, "page=1&other=" + "%00" * 1000, "a[b][c]=1&__proto__[page]=0", ";page=0", "#",
]  # fmt: skip


async def test_a_query_that_names_no_page_gets_the_first(client: Backoffice) -> None:
    token = await client.token()

    answers = {query: seen(await ask(client, "GET", f"{AUTH}/sessions?{query}", token)) for query in QUERIES}

    assert answers == dict.fromkeys(QUERIES, (200, ["data", "meta"]))


async def ask(client: Backoffice, method: str, target: str, token: str | None = None) -> httpx.Response:
    """Send a request target as it is written: httpx would mend it."""
    return await client.request(method, "/", token, extensions={"target": target.encode()})


PATHS = {
    "/v1/backoffice/%": "v1/backoffice/%",
    "/v1/backoffice/%zz": "v1/backoffice/%zz",
    "/v1/backoffice/%2": "v1/backoffice/%2",
    "/v1/backoffice/%00": "v1/backoffice/\0",
    "/v1/backoffice/auth%00": "v1/backoffice/auth\0",
    "/v1/backoffice/%ff": "v1/backoffice/\ufffd",
    "/v1/backoffice/%ed%a0%80": "v1/backoffice/\ufffd\ufffd\ufffd",
    "/v1/backoffice/%c0%af": "v1/backoffice/\ufffd\ufffd",
    "/v1/backoffice/%0d%0aSet-Cookie:a=b": "v1/backoffice/\r\nSet-Cookie:a=b",
    "/v1/backoffice/<script>alert(1)</script>": "v1/backoffice/<script>alert(1)</script>",
    "/v1/backoffice/%22,%22a%22:%22": 'v1/backoffice/","a":"',
    "/v1/backoffice/%7Bpath%7D": "v1/backoffice/{path}",
    "/v1/backoffice/../auth": "v1/backoffice/../auth",
    "/v1/backoffice/auth/./": "v1/backoffice/auth/.",
    "/v1/backoffice/auth/%2e%2e/%2e%2e/%2e%2e/etc/passwd": "v1/backoffice/auth/../../../etc/passwd",
    "/v1/backoffice/auth;a=b": "v1/backoffice/auth;a=b",
    "/V1/backoffice/auth": "V1/backoffice/auth",
    "/v1%2Fbackoffice%2Fauth%2Fnothing": "v1/backoffice/auth/nothing",
    "/v1/backoffice/" + "a" * 6000: "v1/backoffice/" + "a" * 6000,
    "/v1/backoffice" + "/a" * 3000: "v1/backoffice" + "/a" * 3000,
    "/v1/backoffice/" + "%F0%9F%98%80" * 500: "v1/backoffice/" + "\U0001f600" * 500,
}


async def test_a_path_that_leads_nowhere_is_named_as_text(client: Backoffice) -> None:
    answers = {path: seen(await ask(client, "GET", path)) for path in PATHS}

    assert answers == {
        path: (404, {"message": f"The route {name} could not be found."}) for path, name in PATHS.items()
    }


async def test_an_address_beyond_the_header_limit_is_too_large(client: Backoffice) -> None:
    assert seen(await ask(client, "GET", "/" + "a" * 9000)) == TOO_LARGE


SESSION_IDS = [
    "%00", "0" * 29 + "%00", "%ff", "%ed%a0%80", "%zz", "%", "*", "0", "'%20OR%20'1'='1", "%F0%9F%98%80",
    "%0d%0aDEL%20x", "current", "{sid}",
]  # fmt: skip


@pytest.mark.parametrize("sids", [SESSION_IDS, ["0" * 33, "a" * 6000]], ids=["malformed", "too long"])
async def test_a_session_id_that_is_none_is_not_found(client: Backoffice, sids: list[str]) -> None:
    token = await client.token()

    answers = {sid: seen(await ask(client, "DELETE", f"{AUTH}/sessions/{sid}", token)) for sid in sids}

    paths = {sid: unquote(f"{AUTH}/sessions/{sid}").strip("/") for sid in sids}
    assert answers == {
        sid: (404, {"message": f"The route {path} could not be found."}) for sid, path in paths.items()
    }


ANY_TEXT = st.text(st.characters(), max_size=20)  # lone surrogates among them
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=10,
)
ANY_LOGIN = st.fixed_dictionaries({}, optional={"user": ANY_JSON, "password": ANY_JSON, "other": ANY_JSON})
ANY_BODY = (
    st.binary(max_size=200)
    | ANY_TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | (ANY_JSON | ANY_LOGIN).map(lambda value: json.dumps(value).encode())
    | ANY_LOGIN.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
)
ANY_DECLARATION = st.sampled_from([JSON, JSON, JSON, "Application/JSON; charset=utf-8", "text/plain", None])


def test_no_body_whatever_gets_an_answer_that_is_not_in_the_contract(
    loop: asyncio.AbstractEventLoop, client: Backoffice
) -> None:
    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(body=ANY_BODY, declared=ANY_DECLARATION)
    def holds(body: bytes, declared: str | None) -> None:
        status, answer = loop.run_until_complete(post(client, body, declared))

        assert status in {400, 401, 413, 415, 422, 429}
        assert isinstance(answer["message"], str)

    holds()
