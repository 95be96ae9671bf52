"""A table for people stays readable in 80 columns, whatever is in it."""

from scripts.output import table

HEADINGS = ("session", "user", "since", "address", "agent")
SHORT = ("0a1b2c3d", "causas", "11-24 13:20", "203.0.113.7", "curl/8.14.1")
LONG = (*SHORT[:4], "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Safari/605.1.15")


def test_a_long_last_column_takes_nothing_from_the_others() -> None:
    lines = table(HEADINGS, [SHORT, LONG]).splitlines()

    assert [line.split()[:5] for line in lines[1:]] == [[*SHORT[:2], "11-24", "13:20", SHORT[3]]] * 2
    assert max(map(len, lines)) == 80
    assert lines[2].endswith("\N{HORIZONTAL ELLIPSIS}")


def test_what_has_no_room_at_all_is_80_columns_wide_all_the_same() -> None:
    row = ("0a1b2c3d", "x" * 64, "11-24 13:20", "2001:db8:1234:5678:9abc:def0:1:2", "a" * 64)

    assert max(map(len, table(HEADINGS, [row]).splitlines())) == 80


def test_a_table_without_rows_is_its_headings() -> None:
    assert table(HEADINGS, []).split() == list(HEADINGS)
