"""Password storage: nothing is lost of a password, and a refusal's time tells nothing."""

import warnings

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.security.passwords import Passwords

with warnings.catch_warnings():
    # Before Python 3.13, passlib's first line imports the `crypt` module that 3.13 removed.
    warnings.filterwarnings("ignore", "'crypt' is deprecated", DeprecationWarning)
    import passlib.hash

COST = 4
# The hash of "password" in every Laravel's user factory.
LARAVEL = "$2y$10$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi"
SALT, DIGEST = "." * 22, "a" * 31

passwords = Passwords(COST)
quickly = settings(deadline=None, max_examples=40)
texts = st.text(max_size=120)


@pytest.fixture
def passlib_bcrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have passlib compute bcrypt by its own Python code: a judge that shares no line with ours.

    Its other backend, the very library we use, fails passlib 1.7.4's self-test since version 5.
    """
    monkeypatch.setenv("PASSLIB_BUILTIN_BCRYPT", "enabled")
    passlib.hash.bcrypt.set_backend("builtin")
    passlib.hash.bcrypt_sha256.set_backend("builtin")


@pytest.mark.usefixtures("passlib_bcrypt")
@pytest.mark.parametrize("password", ["correct horse battery staple", "", "pässwörd 🐎", "x" * 1024])
def test_passlib_verifies_our_hashes(password: str) -> None:
    ours = passwords.hash(password)

    assert passlib.hash.bcrypt_sha256.verify(password, ours)
    assert not passlib.hash.bcrypt_sha256.verify(password + "x", ours)


@pytest.mark.usefixtures("passlib_bcrypt")
@pytest.mark.parametrize("password", ["correct horse battery staple", "", "pässwörd 🐎", "x" * 1024])
def test_we_verify_passlibs_hashes(password: str) -> None:
    theirs = passlib.hash.bcrypt_sha256.using(rounds=COST).hash(password)

    assert passwords.verify(password, theirs)
    assert not passwords.verify(password + "x", theirs)


@quickly
@given(texts)
def test_any_text_can_be_a_password(password: str) -> None:
    stored = passwords.hash(password)

    assert passwords.verify(password, stored)


@quickly
@given(texts, texts)
def test_two_passwords_never_pass_for_one_another(one: str, other: str) -> None:
    stored = passwords.hash(one)

    assert passwords.verify(other, stored) == (one == other)


@quickly
@given(st.text(st.characters(max_codepoint=127), min_size=72, max_size=200), st.characters(codec="utf-8"))
def test_nothing_is_cut_off_at_72_bytes(password: str, more: str) -> None:
    stored = passwords.hash(password)

    assert not passwords.verify(password + more, stored)
    assert not passwords.verify(password[:72], stored) or len(password) == 72


@quickly
@given(texts, st.sampled_from([" ", "\t", "\n", "\u00a0", "\u3000"]))
def test_nothing_is_trimmed(password: str, blank: str) -> None:
    stored = passwords.hash(password)

    assert not passwords.verify(password + blank, stored)
    assert not passwords.verify(blank + password, stored)


@quickly
@given(texts, texts)
def test_what_follows_a_nul_counts(before: str, after: str) -> None:
    stored = passwords.hash(f"{before}\0{after}")

    assert passwords.verify(f"{before}\0{after}", stored)
    assert not passwords.verify(before, stored)
    assert not passwords.verify(f"{before}\0{after}x", stored)


def test_two_hashes_of_one_password_share_no_salt() -> None:
    one, other = passwords.hash("x"), passwords.hash("x")

    assert one != other


def test_the_hash_that_every_laravel_has_verifies() -> None:
    assert passwords.verify("password", LARAVEL)


@pytest.mark.usefixtures("passlib_bcrypt")
@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_hashes_of_other_bcrypts_verify(prefix: str) -> None:
    theirs = passlib.hash.bcrypt.using(rounds=COST, ident=prefix).hash("pässwörd")

    assert passwords.verify("pässwörd", theirs)
    assert not passwords.verify("passwörd", theirs)


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_php_looks_at_the_first_72_bytes_of_a_password(prefix: str) -> None:
    stored = bcrypt_hash("ä" * 36, prefix)

    assert passwords.verify("ä" * 36, stored)
    assert passwords.verify("ä" * 36 + "whatever", stored)
    assert not passwords.verify("ä" * 35, stored)


@pytest.mark.parametrize("prefix", ["2a", "2b", "2y"])
def test_a_nul_is_no_way_around_a_hash_of_php(prefix: str) -> None:
    stored = bcrypt_hash("x", prefix)

    assert not passwords.verify("x\0y", stored)
    assert not passwords.verify("x\0", stored)
    assert not passwords.verify("\0", bcrypt_hash("", prefix))


MALFORMED = [
    "",
    "x",
    "password",
    "*0",
    "$2y$10$",
    "$2y$10$tooshort",
    LARAVEL[:-1],
    LARAVEL + "a",
    LARAVEL + "\n",
    LARAVEL.replace("$2y$", "$2x$"),
    LARAVEL.replace("$10$", "$03$"),
    LARAVEL.replace("$10$", "$17$"),
    LARAVEL.replace("$10$", "$31$"),
    LARAVEL.replace("$10$", "$٠٤$"),
    f"$2y$04${'z' * 22}{DIGEST}",  # bits set that a salt of 16 bytes does not have
    f"$bcrypt-sha256$v=1,t=2b,r=4${SALT}${DIGEST}",
    f"$bcrypt-sha256$v=2,t=2a,r=4${SALT}${DIGEST}",
    f"$bcrypt-sha256$v=2,t=2b,r=3${SALT}${DIGEST}",
    f"$bcrypt-sha256$v=2,t=2b,r=17${SALT}${DIGEST}",
    f"$bcrypt-sha256$v=2,t=2b,r=99${SALT}${DIGEST}",
    f"$bcrypt-sha256$v=2,t=2b,r=٤${SALT}${DIGEST}",
    f"$bcrypt-sha256$v=2,t=2b,r=4${'z' * 22}${DIGEST}",
    f"$bcrypt-sha256$v=2,t=2b,r=4${SALT}",
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
    "\0",
]


@pytest.mark.parametrize("stored", MALFORMED)
def test_a_malformed_hash_refuses_everything(stored: str) -> None:
    assert passwords.verify("password", stored) is False


@pytest.mark.parametrize(
    ("stored", "needed"),
    [
        (passwords.hash("x"), False),
        (Passwords(COST + 1).hash("x"), True),
        (bcrypt.hashpw(b"x", bcrypt.gensalt(COST)).decode(), True),
        (LARAVEL, True),
    ],
    ids=["ours", "at another cost", "plain", "of Laravel"],
)
def test_all_but_our_own_hashes_at_the_current_cost_are_to_be_replaced(stored: str, needed: bool) -> None:
    assert passwords.needs_rehash(stored) is needed


class Meter:
    """Counts the work bcrypt does, in hashes of cost 0."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.spent = 0
        hashpw, checkpw = bcrypt.hashpw, bcrypt.checkpw

        def metered_hashpw(password: bytes, salt: bytes) -> bytes:
            hashed = hashpw(password, salt)
            self.spent += 2 ** int(salt[4:6])
            return hashed

        def metered_checkpw(password: bytes, hashed: bytes) -> bool:
            matches = checkpw(password, hashed)
            self.spent += 2 ** int(hashed[4:6])
            return matches

        patch.setattr(bcrypt, "hashpw", metered_hashpw)
        patch.setattr(bcrypt, "checkpw", metered_checkpw)


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    return Meter(monkeypatch)


@pytest.mark.parametrize("stored", [None, *MALFORMED])
def test_an_account_without_a_good_hash_costs_what_one_with_a_hash_costs(
    meter: Meter, stored: str | None
) -> None:
    refusing = Passwords(7)

    assert not refusing.verify("wrong", stored)

    assert meter.spent == 2**7


@pytest.mark.parametrize("password", ["wrong", "", "nul\0inside", "x" * 1024])
@pytest.mark.parametrize(
    "stored",
    [
        *(Passwords(cost).hash("x") for cost in (4, 5, 6, 7)),
        *(bcrypt.hashpw(b"x", bcrypt.gensalt(cost)).decode() for cost in (4, 5, 6, 7)),
    ],
    ids=[f"{kind} at {cost}" for kind in ("ours", "plain") for cost in (4, 5, 6, 7)],
)
def test_a_wrong_password_costs_one_hash_at_todays_cost_whatever_the_stored_one_costs(
    meter: Meter, stored: str, password: str
) -> None:
    refusing = Passwords(7)

    assert not refusing.verify(password, stored)

    assert meter.spent == 2**7


def bcrypt_hash(password: str, prefix: str) -> str:
    return (
        bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST, b"2b")).decode().replace("$2b$", f"${prefix}$")
    )
