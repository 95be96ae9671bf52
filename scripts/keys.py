"""Rotate the signing keys: print the next value of JWT_KEYS, and store nothing."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from scripts.output import say
from scripts.running import Json, report
from service import embedded
from service.security.key_ring import KeyRing
from service.security.key_set import KeySet, new_key
from service.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Rotate the signing keys without signing anybody out. The keys are a setting: each command prints"
    " the next value of JWT_KEYS on standard output, on standard error what to do with it, and stores it"
    " nowhere. Finish each step on every process before the next.",
)


class Algorithm(StrEnum):
    HS256 = "HS256"
    EDDSA = "EdDSA"
    ES256 = "ES256"
    RS256 = "RS256"


Alg = Annotated[Algorithm, typer.Option(help="What the new key signs with.")]
Kid = Annotated[str | None, typer.Argument(help="The key's `kid`.", show_default=False)]

_TAKEN_IN = " As this takes your JWT_SECRET in, set JWT_SECRET to nothing in the same step."


@app.command()
def generate(*, alg: Alg = Algorithm.HS256) -> None:
    """Print a first JWT_KEYS, of one new key.

    \b
    Examples:
      python -m scripts keys generate
      python -m scripts keys generate --alg EdDSA
    """
    _give(KeySet((new_key(alg),)), "Set JWT_KEYS to this before the first start. Keep it secret.")


@app.command("list")
def list_keys(*, json: Json = False) -> None:
    """List the keys in force: which one signs, which ones verify. No secret is shown.

    \b
    Examples:
      python -m scripts keys list
      python -m scripts keys list --json
    """
    ring = KeyRing.from_jwks(_current()[0].text)
    rows = [{"kid": key.kid, "alg": key.algorithm, "signs": key is ring.signing_key} for key in ring]
    lines = [f"{'kid':24}  {'alg':6}  does", *(_line(row) for row in rows)]
    report("\n".join(lines), {"keys": rows}, as_json=json)


@app.command()
def stage(*, alg: Alg = Algorithm.HS256) -> None:
    """Step 1: add a new key, which verifies and does not sign yet.

    \b
    Examples:
      python -m scripts keys stage
      python -m scripts keys stage --alg ES256
    """
    current, from_secret = _current()
    key = new_key(alg)
    _give(
        current.staged(key),
        f"Set JWT_KEYS to this, and restart every process.{_TAKEN_IN if from_secret else ''}"
        f" When all of them have it: keys promote {key['kid']}",
    )


@app.command()
def promote(kid: Kid = None) -> None:
    """Step 2: let a staged key sign; the last one, if none is named.

    \b
    Examples:
      python -m scripts keys promote
    """
    current, from_secret = _current()
    before, after = current.keys[0]["kid"], current.promoted(kid)
    _give(
        after,
        f"Set JWT_KEYS to this, and restart every process.{_TAKEN_IN if from_secret else ''}"
        f" When all of them have it, wait for SESSION_TTL, by when the last token of {before} has ended, and"
        f" for a day, which is as long as a block lasts. Then: keys retire {before}",
    )


@app.command()
def retire(kid: Kid = None) -> None:
    """Step 3: drop a key that no longer signs; the last one, if none is named.

    \b
    Examples:
      python -m scripts keys retire
    """
    _give(
        _current()[0].retired(kid),
        "Set JWT_KEYS to this and restart every process. Tokens of the retired key are refused from now on.",
    )


def _current() -> tuple[KeySet, bool]:
    """Return the keys in force, and whether they are a JWT_SECRET."""
    settings = Settings.from_env()
    if settings.jwt_keys is not None:
        return KeySet.from_jwks(settings.jwt_keys), False
    if settings.jwt_secret is not None:
        return KeySet.from_secret(settings.jwt_secret), True
    embedded.prepare(settings.data_dir)
    return KeySet.from_secret(embedded.development_key(settings.data_dir)), False


def _give(keys: KeySet, what_next: str) -> None:
    say(keys.text)
    print(what_next, file=sys.stderr)


def _line(row: dict[str, object]) -> str:
    does = "signs and verifies" if row["signs"] else "verifies"
    return f"{row['kid']!s:24}  {row['alg']!s:6}  {does}"
