"""Forge tokens in every way that has ever worked on somebody; only those the service issued open anything."""

import asyncio
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwt.algorithms import get_default_algorithms
from jwt.utils import base64url_decode, base64url_encode

from models import IssuedToken, Session
from service.uncancelled import finish_all
from tests.backoffice import AUTH, PASSWORD, Backoffice, claims_of
from tests.conftest import FakeClock, Running, Start

REFUSED = 401, {"message": "Unauthenticated."}, 'Bearer realm="backoffice", error="invalid_token"'
CLIENT = ("orders", "a secret of thirty-two characters".replace(" ", "-"))
CLIENTS = (":".join(CLIENT),)
CONTROL = "the one that is good"
MISSING = object()


@pytest.fixture
def service(loop: asyncio.AbstractEventLoop, start: Start) -> Running:
    """The service with causas, and without the limit on bad tokens: here one network tries hundreds."""
    running: Running = loop.run_until_complete(start(limit_network=None, clients=CLIENTS))
    loop.run_until_complete(running.use_cases.create_user("causas", "Causas", PASSWORD, by="test"))
    return running


@dataclass(frozen=True)
class Login:
    """A good token, and what makes another one: nobody but a test ever holds its key."""

    token: str
    kid: str
    key: Any

    @property
    def header(self) -> dict[str, Any]:
        return dict(jwt.get_unverified_header(self.token))

    @property
    def claims(self) -> dict[str, Any]:
        return claims_of(self.token)

    def with_header(self, key: bytes | None = None, digest: str = "sha256", **changes: Any) -> str:
        return forge(changed(self.header, changes), self.claims, self.key if key is None else key, digest)

    def with_claims(self, **changes: Any) -> str:
        return forge(self.header, changed(self.claims, changes), self.key)


async def a_login(running: Running) -> Login:
    key = running.use_cases.authenticate.codec._keys.signing_key
    return Login(await running.client.token(), key.kid, key.signing)


def changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not MISSING}


def forge(header: Any, payload: Any, key: bytes, digest: str = "sha256") -> str:
    """Sign anything with an HMAC, by hand: PyJWT would refuse most of it."""
    signed = f"{segment(header)}.{segment(payload)}"
    return f"{signed}.{segment(hmac.digest(key, signed.encode(), digest))}"


def segment(content: Any) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64url_encode(raw).decode()


async def let_in(client: Backoffice, login: Login, forged: Mapping[str, str]) -> dict[str, int]:
    """Try every token, and last the good one; name those that are not refused in the documented words.

    Other services are told the same of each of them, and gateways as well.
    """
    found = {}
    for name, token in {**forged, CONTROL: login.token}.items():
        answer = await client.who_am_i(token)
        if (answer.status_code, answer.json(), answer.headers.get("www-authenticate")) != REFUSED:
            found[name] = answer.status_code
        assert (await introspected(client, token) == {"active": False}) is (name not in found), name
        vouched_for = (await client.request("GET", f"{AUTH}/verify", token)).status_code
        assert vouched_for == (204 if name in found else 401), name
    return found


async def introspected(client: Backoffice, token: str) -> dict[str, Any]:
    answer = await client.request("POST", f"{AUTH}/introspect", json={"token": token}, auth=CLIENT)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


ONLY_THE_GOOD_ONE = {CONTROL: 200}


async def test_a_token_that_nobody_signed_is_refused(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    spellings = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "none\0",
        "n\u043ene",
        "null",
        "",
        None,
        MISSING,
    ]
    signatures = {"none": "", "a letter": "A", "two letters": "AA", "its own": login.token.rsplit(".", 1)[1]}

    forged = {
        f"alg {alg!r}, signature {name}": f"{segment(changed(login.header, {'alg': alg}))}"
        f".{segment(login.claims)}.{signature}"
        for alg in spellings
        for name, signature in signatures.items()
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


async def test_a_key_that_anybody_could_guess_signs_nothing(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    guesses = {
        "nothing": b"",
        "a NUL": b"\0",
        "32 NULs": bytes(32),
        "64 NULs": bytes(64),
        "the kid": login.kid.encode(),
        "the kid's bytes": bytes.fromhex(login.kid),
        "the issuer": b"backoffice",
        "the derivation of the kid": b"backoffice kid",
        "the session": login.claims["sid"].encode(),
        "the token id": login.claims["jti"].encode(),
        "the user's id": login.claims["sub"].encode(),
        "the user": b"causas",
        "the password": PASSWORD.encode(),
        "the demo password": b"causas123",
        "the header": login.token.split(".")[0].encode(),
        "the signature": base64url_decode(login.token.split(".")[2]),
        "secret": b"secret",
        "changeme": b"changeme",
        "your-256-bit-secret": b"your-256-bit-secret",
        "null": b"null",
        "undefined": b"undefined",
        "the name of the setting": b"JWT_SECRET",
        "the algorithm": b"HS256",
    }

    forged = {
        f"{name}, {alg}": login.with_header(guess, digest, alg=alg)
        for name, guess in guesses.items()
        for alg, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512"))
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


async def test_the_token_does_not_choose_its_algorithm(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    names = [
        "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
        "ES256K", "EdDSA", "Ed25519", "Ed448", "hs256", "Hs256", "HS256 ", " HS256", "HS256\0", "HS-256",
        "HMAC-SHA256", "HS1", "dir", "A128KW", "RSA-OAEP", "ECDH-ES", "*", "", 256, 0, True, False, None,
        ["HS256"], {"HS256": 1}, MISSING,
    ]  # fmt: skip

    forged = {f"the service's signature under {name!r}": login.with_header(alg=name) for name in names}
    forged |= {
        "HS384 by the service's key": login.with_header(digest="sha384", alg="HS384"),
        "HS512 by the service's key": login.with_header(digest="sha512", alg="HS512"),
        "SHA-384 under HS256": login.with_header(digest="sha384"),
        "SHA-512 under HS256": login.with_header(digest="sha512"),
        "SHA-1 under HS256": login.with_header(digest="sha1"),
        "MD5 under HS256": login.with_header(digest="md5"),
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_stranger_cannot_bring_her_own_key(
    service: Running, client: Backoffice, algorithm: str
) -> None:
    login = await a_login(service)
    jwk = public_jwk(algorithm, stranger=True)
    headers: dict[str, dict[str, Any]] = {
        "the service's kid": {},
        "her own kid": {"kid": "stranger"},
        "her key": {"jwk": jwk},
        "her key, her kid": {"jwk": jwk, "kid": "stranger"},
        "an address of her keys": {"jku": "https://example.com/jwks.json"},
        "an address of her certificate": {"x5u": "https://example.com/chain.pem"},
        "a certificate": {"x5c": ["MIIB"], "x5t": "AA"},
    }

    forged = {
        name: jwt.encode(
            login.claims, private_key(algorithm, stranger=True), algorithm, {"kid": login.kid} | header
        )
        for name, header in headers.items()
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


# Each signed with the service's own key: what is refused here is the header itself.
HEADERS: dict[str, list[Any]] = {
    "kid": [
        MISSING, None, "", " ", 0, 1, True, [], ["{kid}"], {}, {"{kid}": 1}, "0" * 16, "{kid} ", " {kid}",
        "{kid}\0", "{kid}{kid}", "../../../../dev/null", "/dev/null", "' OR '1'='1",
        "' UNION SELECT 'key' -- ", "*", "\ud800", "file:///etc/passwd", "https://example.com/key",
        "a" * 2000, "$(id)", "__proto__", "None", "HS256",
    ],
    "typ": [
        MISSING, None, "", "jwt", "Jwt", "JWT ", "JOSE", "JOSE+JSON", "at+jwt", "application/jwt",
        "dpop+jwt", "id_token", "logout+jwt", "secevent+jwt", "JWE", 1, True, ["JWT"], {"JWT": 1},
    ],
    "jku": ["https://example.com/jwks.json", "http://127.0.0.1/", "file:///dev/null", "", None],
    "jwk": [{"kty": "oct", "k": "AA"}, {}, None, "AA"],
    "x5u": ["https://example.com/chain.pem", None],
    "x5c": [["MIIB"], [], None],
    "x5t": ["AA"],
    "x5t#S256": ["AA"],
    "crit": [[], ["exp"], ["b64"], ["alg"], ["http://example.com/UNDEFINED"], None, "exp", [1], {}],
    "b64": [True, False, None, "false"],
    "zip": ["DEF", "GZIP", None, ""],
    "cty": ["JWT", "json", "", None],
    "enc": ["A128GCM", "A256CBC-HS512"],
    "epk": [{"kty": "EC"}],
    "p2c": [10**9],
    "iv": ["AA"],
    "nonce": ["x"],
    "url": [AUTH],
    "iss": ["backoffice"],
    "exp": [0],
    "__proto__": [{"alg": "none"}],
    "ALG": ["none"],
    "": ["x"],
}  # fmt: skip


async def test_a_header_that_is_not_the_services_own_is_refused(service: Running, client: Backoffice) -> None:
    login = await a_login(service)

    forged = {
        f"{name} {number}: {value!r}"[:80]: login.with_header(**{name: named_after(login, value)})
        for name, values in HEADERS.items()
        for number, value in enumerate(values)
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


def named_after(login: Login, value: Any) -> Any:
    """Put the real kid into a value that wants it."""
    if value is MISSING:
        return value
    return json.loads(json.dumps(value).replace("{kid}", login.kid))


async def test_a_header_that_is_no_object_is_refused(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    whole = json.dumps(login.header).encode()
    headers = {
        "an empty object": b"{}",
        "an array": b"[" + whole + b"]",
        "an array of pairs": json.dumps(list(login.header.items())).encode(),
        "a string": json.dumps(login.header["alg"]).encode(),
        "null": b"null",
        "true": b"true",
        "a number": b"0",
        "NaN": b"NaN",
        "no JSON": b"x",
        "two objects": whole * 2,
        "invalid UTF-8": b'{"alg":"\xff"}',
        "a NUL": b"\0",
        "a deep array": b"[" * 2500,
        "a deep kid": b'{"typ":"JWT","alg":"HS256","kid":' + b"[" * 1000 + b"]" * 1000 + b"}",
        "a deep alg": b'{"typ":"JWT","kid":"x","alg":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}",
        "a number of two thousand digits": b'{"alg":' + b"9" * 2000 + b"}",
    }

    forged = {name: forge(header, login.claims, login.key) for name, header in headers.items()}

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


# Each signed with the service's own key: what is refused here is the claim itself.
ANY_NUMBER = [
    MISSING, None, True, False, "", "1", "x", [], [1], {}, {"a": 1}, 1.5, 0.0, -0.5, 1e300, float("nan"),
    float("inf"), float("-inf"), -1, 0, 2**31, 2**63, 2**64, 10**18, 10**30, 10**300, -(2**63), -(10**30),
    10**2000,
]  # fmt: skip
ANY_ID = [
    MISSING, None, True, 0, 1, 1.5, [], {}, "", " ", "0", "x", "g" * 32, "A" * 32, "0" * 31, "0" * 33,
    "0" * 32 + "\n", "\uff10" * 32, "\u0660" * 32, "\0" * 32, "\ud800" * 32, "*",
    "00000000-0000-0000-0000-000000000000",
]  # fmt: skip
ANY_NAME = [
    MISSING, None, True, 1, 1.5, [], ["backoffice"], ["backoffice", "x"], {}, {"backoffice": 1}, "", " ",
    "x", "Backoffice", "backoffice ", "backoffice\0", "https://backoffice", "*", "b\u0430ckoffice",
]  # fmt: skip
CLAIMS: dict[str, list[Any]] = {
    "iss": ANY_NAME,
    "aud": ANY_NAME,
    "sub": [
        MISSING, None, True, 1, 1.0, [], ["1"], {}, {"1": 1}, "", " ", "0", "-1", "+1", "01", "1.0", "1e0",
        "0x1", " 1", "1 ", "1\n", "1\0", "1_0", "\uff11", "\u0661", "\u00b9", "causas", "2", "999999",
        "9" * 19, "9" * 20, "9" * 2000, "1 OR 1=1", "*", "1:2", "\ud800",
    ],
    # An unknown session and an ill-named one.
    "sid": ["0" * 32, "f" * 32, *ANY_ID],
    "jti": ANY_ID,
    "iat": ANY_NUMBER,
    "nbf": ANY_NUMBER,
    "exp": [value for value in ANY_NUMBER if value != 2**31],  # 2038 has not come yet
    "ver": ANY_NUMBER,
}  # fmt: skip


async def test_a_claim_that_is_missing_or_wrong_is_refused(service: Running, client: Backoffice) -> None:
    login = await a_login(service)

    forged = {
        f"{name} {number}: {value!r}"[:80]: login.with_claims(**{name: value})
        for name, values in CLAIMS.items()
        for number, value in enumerate(values)
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


async def test_claims_that_are_no_object_are_refused(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    whole = json.dumps(login.claims).encode()
    payloads = {
        "an empty object": b"{}",
        "an array": b"[" + whole + b"]",
        "a string": b'"causas"',
        "null": b"null",
        "a number": b"1",
        "no JSON": b"x",
        "two objects": whole * 2,
        "garbage behind": whole + b"x",
        "invalid UTF-8": whole[:-1] + b',"x":"\xff"}',
        "a deep array": b"[" * 2500,
        "a good token": login.token.encode(),
        "a good token in quotes": b'"' + login.token.encode() + b'"',
    }

    forged = {name: forge(login.header, payload, login.key) for name, payload in payloads.items()}

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


async def test_a_token_outside_its_time_is_refused(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    login = await a_login(service)
    now = int(clock.now.timestamp())

    forged = {
        "expired": login.with_claims(exp=now - 5),
        "expired a minute ago": login.with_claims(exp=now - 60),
        "expired at once": login.with_claims(exp=now - 5, iat=now - 5, nbf=now - 5),
        "expired before it was issued": login.with_claims(exp=now - 10, iat=now, nbf=now),
        "older than a session may become": login.with_claims(iat=now - 86_400 - 5, nbf=now - 86_400 - 5),
        "since the first second of the calendar": login.with_claims(iat=-62_135_596_800, nbf=-62_135_596_800),
        "of the future": login.with_claims(iat=now + 7, nbf=now + 7),
        "of next year": login.with_claims(iat=now + 31_536_000, nbf=now + 31_536_000, exp=now + 40_000_000),
        "not before later": login.with_claims(nbf=now + 1),
        "not before earlier": login.with_claims(nbf=login.claims["nbf"] - 1),
        "issued another time": login.with_claims(iat=login.claims["iat"] - 1),
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


async def test_the_services_own_signature_is_taken_to_the_edges_of_time(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    login = await a_login(service)
    now = int(clock.now.timestamp())
    ours = {
        "issued with a slow clock": login.with_claims(exp=now - 4),
        "issued with a fast clock": login.with_claims(iat=now + 5, nbf=now + 5),
        "as old as a session may become": login.with_claims(iat=now - 86_400 - 4, nbf=now - 86_400 - 4),
        "with another token id": login.with_claims(jti="0" * 32),
    }

    assert await let_in(client, login, ours) == dict.fromkeys([*ours, CONTROL], 200)


async def test_nobody_speaks_for_another_user_or_session(
    service: Running, client: Backoffice, clock: FakeClock
) -> None:
    login = await a_login(service)
    other = await service.use_cases.create_user("other", "Other", PASSWORD, by="test")
    theirs = claims_of(await client.token("other"))
    ended = await client.token()
    await client.log_out(ended)

    forged = {
        "another's id": login.with_claims(sub=str(other.id)),
        "another's session": login.with_claims(sid=theirs["sid"]),
        "an unknown user": login.with_claims(sub="1234567"),
        "an unknown session of another": login.with_claims(sub=str(other.id), sid="0" * 32),
        "an ended session": login.with_claims(sid=claims_of(ended)["sid"]),
        "one that outlives its session": login.with_claims(exp=int(clock.now.timestamp()) + 8 * 3600 + 1),
        "one until the last second of the calendar": login.with_claims(exp=253_402_300_799),
        "an older version": login.with_claims(ver=0),
        "a newer version": login.with_claims(ver=2),
        "another's session in a newer version": login.with_claims(
            sid=theirs["sid"], sub=theirs["sub"], ver=2
        ),
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


async def test_no_single_character_can_be_changed(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    token = login.token

    forged = {
        f"character {at}": token[:at] + ALPHABET[(ALPHABET.find(character) + 1) % 64] + token[at + 1 :]
        for at, character in enumerate(token)
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


async def test_no_part_of_a_token_is_a_token(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    token = login.token

    forged = {f"the first {size} characters": token[:size] for size in range(1, len(token), 3)}
    forged |= {f"all but the first {size}": token[size:] for size in range(1, len(token), 3)}

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


async def test_a_token_is_three_segments_and_nothing_else(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    token, stranger = login.token, await client.token()
    header, payload, signature = token.split(".")
    forged = {
        "no dots": token.replace(".", ""),
        "one segment": header,
        "two segments": f"{header}.{payload}",
        "a dot behind": f"{token}.",
        "a dot in front": f".{token}",
        "two dots between": token.replace(".", ".."),
        "only dots": "..",
        "an empty header": f".{payload}.{signature}",
        "an empty payload": f"{header}..{signature}",
        "an empty signature": f"{header}.{payload}.",
        "four segments": f"{token}.{signature}",
        "five segments, as in a JWE": f"{header}.{payload}.{signature}.{payload}.{signature}",
        "five segments, most of them empty": f"{header}....{signature}",
        "an encrypted one": f"{segment({'alg': 'dir', 'enc': 'A256GCM'})}..AAAA.AAAA.AAAA",
        "twice": token + token,
        "twice, with a dot": f"{token}.{token}",
        "the segments in another order": f"{payload}.{header}.{signature}",
        "backwards": token[::-1],
        "in capitals": token.upper(),
        "in small letters": token.lower(),
        "the signature of another": f"{header}.{payload}.{stranger.split('.')[2]}",
        "the payload of another": f"{header}.{stranger.split('.')[1]}.{signature}",
        "a signature of zeros": f"{header}.{payload}.{segment(bytes(32))}",
        "a signature of ones": f"{header}.{payload}.{'_' * 42}8",
        "half a signature": f"{header}.{payload}.{segment(base64url_decode(signature)[:16])}",
        "a signature and a byte": f"{header}.{payload}.{segment(base64url_decode(signature) + bytes(1))}",
        "a signature twice": f"{header}.{payload}.{signature}{signature}",
        "a signature in hexadecimal": f"{header}.{payload}.{base64url_decode(signature).hex()}",
        "padding behind": f"{token}=",
        "more padding behind": f"{token}==",
        "padding behind the header": f"{header}=.{payload}.{signature}",
        "full padding behind the header": f"{header}{'=' * (-len(header) % 4)}.{payload}.{signature}",
        "padding behind the payload": f"{header}.{payload}=.{signature}",
        "full padding behind the payload": f"{header}.{payload}{'=' * (-len(payload) % 4)}.{signature}",
        "a letter behind": f"{token}A",
        "a blank inside": f"{header}. {payload}.{signature}",
        "a tab inside": f"{header}.\t{payload}.{signature}",
        "a blank in the signature": f"{header}.{payload}.{signature[:9]} {signature[9:]}",
        "a plus sign": f"{header}.{payload}.+{signature[1:]}",
        "a slash": f"{header}.{payload}./{signature[1:]}",
        "a percent sign": token.replace(".", "%2E"),
        "colons": token.replace(".", ":"),
        "in double quotes": f'"{token}"',
        "in single quotes": f"'{token}'",
        "in base64": segment(token.encode()),
        "as a nested token": forge(login.header | {"cty": "JWT"}, token.encode(), login.key),
        "as JSON": json.dumps({"protected": header, "payload": payload, "signature": signature}),
        "as compact JSON": f'{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}',
        "as general JSON": f'{{"payload":"{payload}","signatures":[{{"protected":"{header}"}}]}}',
        "as a PASETO": f"v4.public.{payload}",
        "as a SAML assertion": segment(b"<saml:Assertion/>"),
        "the session's id": login.claims["sid"],
        "the token's id": login.claims["jti"],
        "the key's id": login.kid,
    }

    assert await let_in(client, login, forged) == ONLY_THE_GOOD_ONE


async def test_a_disabled_users_good_token_is_refused(service: Running, client: Backoffice) -> None:
    login = await a_login(service)
    before = (await client.who_am_i(login.token)).status_code

    await service.use_cases.disable_user("causas", by="test")

    assert before == 200
    assert await let_in(client, login, {}) == {}


async def test_a_token_whose_session_row_is_gone_is_refused(service: Running, client: Backoffice) -> None:
    login, other = await a_login(service), await a_login(service)
    sid = login.claims["sid"]
    redis = service.use_cases.authenticate.sessions.redis

    await finish_all()
    await IssuedToken.filter(session_id=sid).delete()
    await Session.filter(id=sid).delete()
    await redis.execute("DEL", *await redis.execute("KEYS", f"bo:*{sid}*"))

    assert await let_in(client, other, {"the one whose row is gone": login.token}) == ONLY_THE_GOOD_ONE


ALGORITHMS = ["HS256", "RS256", "ES256", "EdDSA"]
ASYMMETRIC = ["RS256", "ES256", "EdDSA"]


async def with_keys(start: Start, *jwks: dict[str, Any]) -> Running:
    running = await start(jwt_keys=json.dumps({"keys": jwks}), limit_network=None, clients=CLIENTS)
    await running.use_cases.create_user("causas", "Causas", PASSWORD, by="test")
    return running


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_key_of_any_kind_signs_and_verifies(start: Start, algorithm: str) -> None:
    running = await with_keys(start, private_jwk(algorithm))

    token = await running.client.token()

    assert jwt.get_unverified_header(token) == {"typ": "JWT", "alg": algorithm, "kid": algorithm}
    assert (await running.client.who_am_i(token)).status_code == 200


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
async def test_a_public_key_is_no_secret_to_sign_with(start: Start, algorithm: str) -> None:
    running = await with_keys(start, private_jwk(algorithm))
    login = await a_login(running)
    headers = [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512"), (algorithm, "sha256")]

    forged = {
        f"{name}, {alg}": login.with_header(known, digest, alg=alg)
        for name, known in public_forms(algorithm).items()
        for alg, digest in headers
    }

    assert await let_in(running.client, login, forged) == ONLY_THE_GOOD_ONE


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
async def test_a_signature_that_proves_nothing_is_refused(start: Start, algorithm: str) -> None:
    running = await with_keys(start, private_jwk(algorithm))
    login = await a_login(running)
    signed, signature = login.token.rsplit(".", 1)
    raw = base64url_decode(signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve P-256
    signatures = {
        # CVE-2022-21449 took r = s = 0 for anybody's signature, and likewise the order of the curve.
        "zeros": bytes(64),
        "the order of the curve": order.to_bytes(32, "big") * 2,
        "ones": (1).to_bytes(32, "big") * 2,
        "a neutral point": b"\1" + bytes(63),
        "as many zeros as an RSA key": bytes(256),
        "one, as an RSA signature": bytes(255) + b"\1",
        "one byte": b"\0",
        "all but a byte": raw[:-1],
        "a byte more": raw + b"\0",
        "a zero in front": b"\0" + raw,
        "backwards": raw[::-1],
        "in ASN.1": encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")),
        "an HMAC": hmac.digest(b"", signed.encode(), "sha256"),
    }

    forged = {name: f"{signed}.{segment(value)}" for name, value in signatures.items()}
    forged |= {f"alg {alg}": login.token.replace(signed.split(".")[0], segment(login.header | {"alg": alg}))
               for alg in ("none", *ALGORITHMS, "PS256", "RS384", "ES384") if alg != algorithm}  # fmt: skip
    forged["of a stranger"] = jwt.encode(
        login.claims, private_key(algorithm, stranger=True), algorithm, {"kid": login.kid}
    )

    assert await let_in(running.client, login, forged) == ONLY_THE_GOOD_ONE


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
async def test_an_rsa_key_signs_with_one_algorithm_only(start: Start, algorithm: str) -> None:
    running = await with_keys(start, private_jwk("RS256"))
    login = await a_login(running)

    forged = {"by the service's key": jwt.encode(login.claims, login.key, algorithm, {"kid": login.kid})}

    assert await let_in(running.client, login, forged) == ONLY_THE_GOOD_ONE


async def test_every_key_of_the_ring_answers_for_its_own_tokens_only(start: Start) -> None:
    running = await with_keys(start, *(private_jwk(algorithm) for algorithm in ALGORITHMS))
    login = await a_login(running)
    tokens = {
        (algorithm, kid): jwt.encode(login.claims, private_key(algorithm), algorithm, {"kid": kid})
        for algorithm in ALGORITHMS
        for kid in ALGORITHMS
    }

    found = await let_in(
        running.client, login, {f"{alg} as {kid}": token for (alg, kid), token in tokens.items()}
    )

    assert found == {**{f"{algorithm} as {algorithm}": 200 for algorithm in ALGORITHMS}, CONTROL: 200}


@cache
def private_key(algorithm: str, *, stranger: bool = False) -> Any:
    """Make a key once for all tests; a stranger's is another one of the same kind."""
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return b"a secret of thirty-two bytes or so" + bytes([stranger])


def private_jwk(algorithm: str) -> dict[str, Any]:
    key = private_key(algorithm)
    return {**get_default_algorithms()[algorithm].to_jwk(key, as_dict=True), "kid": algorithm}


def public_jwk(algorithm: str, *, stranger: bool = False) -> dict[str, Any]:
    key = private_key(algorithm, stranger=stranger).public_key()
    return dict(get_default_algorithms()[algorithm].to_jwk(key, as_dict=True))


def public_forms(algorithm: str) -> dict[str, bytes]:
    """Give every form in which a public key goes about, as bytes that could be taken for a secret."""
    key, jwk = private_key(algorithm).public_key(), public_jwk(algorithm)
    encoding, form = serialization.Encoding, serialization.PublicFormat
    pem = key.public_bytes(encoding.PEM, form.SubjectPublicKeyInfo)
    named = {**jwk, "kid": algorithm}
    forms = {
        "PEM": pem,
        "PEM without its last line break": pem.rstrip(),
        "PEM with two": pem + b"\n",
        "PEM with carriage returns": pem.replace(b"\n", b"\r\n"),
        "PEM without its frame": b"".join(pem.splitlines()[1:-1]),
        "DER": key.public_bytes(encoding.DER, form.SubjectPublicKeyInfo),
        "OpenSSH": key.public_bytes(encoding.OpenSSH, form.OpenSSH),
        "JWK": json.dumps(jwk).encode(),
        "JWK, compact": json.dumps(jwk, separators=(",", ":")).encode(),
        "JWK, sorted": json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        "JWK with its kid": json.dumps(named).encode(),
        "JWK Set": json.dumps({"keys": [named]}).encode(),
        "a coordinate": jwk["n" if algorithm == "RS256" else "x"].encode(),
        "a coordinate's bytes": base64url_decode(jwk["n" if algorithm == "RS256" else "x"]),
        "nothing": b"",
        "the kid": algorithm.encode(),
    }
    if algorithm == "RS256":
        forms["PKCS 1"] = key.public_bytes(encoding.PEM, form.PKCS1)
        forms["PKCS 1 in DER"] = key.public_bytes(encoding.DER, form.PKCS1)
    if algorithm == "ES256":
        forms["an uncompressed point"] = key.public_bytes(encoding.X962, form.UncompressedPoint)
        forms["a compressed point"] = key.public_bytes(encoding.X962, form.CompressedPoint)
    if algorithm == "EdDSA":
        forms["raw"] = key.public_bytes(encoding.Raw, form.Raw)
    return forms
