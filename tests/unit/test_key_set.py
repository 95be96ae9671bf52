"""The next value of JWT_KEYS is one that every process can live with."""

import json

import pytest

from service.errors import CannotBeDone
from service.security.key_ring import KeyRing
from service.security.key_set import ALGORITHMS, KeySet, new_key

SECRET = "a secret of more than thirty-two bytes"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_new_key_is_one_that_the_service_takes_and_signs_with(algorithm: str) -> None:
    text = KeySet((new_key(algorithm),)).text

    assert KeyRing.from_jwks(text).signing_key.algorithm == algorithm


def test_a_secret_is_taken_in_as_the_same_key() -> None:
    taken_in = KeyRing.from_jwks(KeySet.from_secret(SECRET).text)

    assert taken_in.signing_key == KeyRing.from_secret(SECRET).signing_key
    assert taken_in.derive("anything") == KeyRing.from_secret(SECRET).derive("anything")


def test_a_staged_key_does_not_sign_yet() -> None:
    old, new = new_key("HS256"), new_key("EdDSA")

    staged = KeySet((old,)).staged(new)

    assert kids(staged) == [old["kid"], new["kid"]]


def test_the_key_staged_last_is_promoted_and_none_is_lost() -> None:
    first, second, third = (new_key("HS256") for _ in range(3))

    promoted = KeySet((first, second, third)).promoted(None)

    assert kids(promoted) == [third["kid"], first["kid"], second["kid"]]


def test_a_named_key_is_promoted() -> None:
    first, second, third = (new_key("HS256") for _ in range(3))

    assert kids(KeySet((first, second, third)).promoted(second["kid"]))[0] == second["kid"]


def test_the_key_that_signs_does_not_retire() -> None:
    only = new_key("HS256")

    with pytest.raises(CannotBeDone, match="signs"):
        KeySet((only,)).retired(None)


def test_a_retired_key_is_gone() -> None:
    first, second = new_key("HS256"), new_key("HS256")

    assert kids(KeySet((first, second)).retired(None)) == [first["kid"]]


def test_a_key_that_is_not_there_cannot_be_promoted_or_retired() -> None:
    keys = KeySet((new_key("HS256"),))

    for step in (keys.promoted, keys.retired):
        with pytest.raises(CannotBeDone, match="There is no key x"):
            step("x")


def test_public_halves_stay_as_they_are() -> None:
    old = new_key("ES256")
    public = {name: value for name, value in old.items() if name != "d"}
    text = json.dumps({"keys": [new_key("HS256"), public]})

    assert json.loads(KeySet.from_jwks(text).staged(new_key("HS256")).text)["keys"][1] == public


def kids(keys: KeySet) -> list[str]:
    return [key["kid"] for key in json.loads(keys.text)["keys"]]
