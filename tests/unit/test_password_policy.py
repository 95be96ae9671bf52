"""New passwords: long enough, not known to everybody, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.security.password_policy import PASSWORD_MAX_LENGTH, PasswordPolicy

SHORT = "The password field must be at least 15 characters."
LONG = "The password field must not be greater than 1024 characters."
COMMON = "The given password is too common. Please choose a different password."

policy = PasswordPolicy(15)


@pytest.mark.parametrize(
    ("password", "complaints"),
    [
        ("", [SHORT]),
        ("a horse so wet", [SHORT]),
        ("a horse so very", []),
        ("correct horse battery staple", []),
        ("only small letters and blanks", []),
        ("🐎" * 7 + "🔋" * 8, []),
        ("   fifteen chars", []),
        ("0123456789 horses" * 60, []),
    ],
)
def test_a_password_is_long_enough_or_not(password: str, complaints: list[str]) -> None:
    assert policy.complaints(password) == complaints


def test_the_longest_password_has_1024_characters() -> None:
    longest = "correct horse battery staple".ljust(PASSWORD_MAX_LENGTH, "!")

    assert PASSWORD_MAX_LENGTH == 1024
    assert policy.complaints(longest) == []
    assert policy.complaints(longest + "!") == [LONG]


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "PasswordPassword",
        "qwertyqwertyqwerty",
        "aaaaaaaaaaaaaaa",
        "123412341234123412341234",
        "🐎" * 15,
    ],
)
def test_a_common_password_is_common_however_often_it_is_repeated(password: str) -> None:
    assert policy.complaints(password) == [COMMON]


@pytest.mark.parametrize("password", ["password", "PASSWORD", "12345678"])
def test_a_lower_limit_does_not_let_common_passwords_in(password: str) -> None:
    assert PasswordPolicy(8).complaints(password) == [COMMON]


@given(st.text(max_size=1100))
def test_there_is_at_most_one_complaint_about_any_text(password: str) -> None:
    assert policy.complaints(password) in ([], [SHORT], [LONG], [COMMON])
