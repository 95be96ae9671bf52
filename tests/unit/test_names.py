"""What a user may be called, and which reason is given for what she may not."""

import pytest

from service.errors import CannotBeDone
from service.use_cases.names import Names

NO_TEXT = ["ada\0", "\0", "\ud83d", "caf\udce9"]


def test_names_are_trimmed_and_folded() -> None:
    assert Names.of(" Ada ", " Ada L. ") == ("Ada", "ada", "Ada L.")


@pytest.mark.parametrize("text", NO_TEXT)
def test_what_is_no_text_is_not_accused_of_its_length(text: str) -> None:
    with pytest.raises(CannotBeDone, match=r"^A user name cannot hold NUL, half of a surrogate pair"):
        Names.of(text, "Ada")
    with pytest.raises(CannotBeDone, match=r"^A name cannot hold NUL, half of a surrogate pair"):
        Names.of("ada", text)


@pytest.mark.parametrize("text", ["", " ", "x" * 101])
def test_what_is_too_short_or_too_long_is(text: str) -> None:
    with pytest.raises(CannotBeDone, match=r"^A user name has 1 to 100 characters\.$"):
        Names.of(text, "Ada")
    with pytest.raises(CannotBeDone, match=r"^A name has 1 to 100 characters\.$"):
        Names.of("ada", text)
