"""Names of accounts, as limits and blocks know them."""

import re

from hypothesis import given
from hypothesis import strategies as st

from service.security.accounts import AccountHash

account_hash = AccountHash([b"k" * 32])


@given(st.text(max_size=100))
def test_any_name_becomes_32_hexadecimal_digits(user_key: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", account_hash(user_key).hash)


@given(st.text(max_size=50), st.text(max_size=50))
def test_only_the_same_name_is_the_same_account(one: str, other: str) -> None:
    assert (account_hash(one) == account_hash(other)) == (one == other)


def test_who_has_another_key_cannot_tell_which_account_it_is() -> None:
    assert account_hash("causas") != AccountHash([b"l" * 32])("causas")


def test_the_key_is_not_shown_when_it_is_printed() -> None:
    assert "kkk" not in repr(account_hash)


def test_what_was_counted_under_an_earlier_key_is_found_under_the_next() -> None:
    rotated = AccountHash([b"l" * 32, b"k" * 32])("causas")

    assert rotated.hash == AccountHash([b"l" * 32])("causas").hash
    assert rotated.earlier == (account_hash("causas").hash,)
