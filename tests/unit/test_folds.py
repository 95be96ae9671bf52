"""However often strangers try: few rows, and exact totals."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from service.stores.folds import ACCOUNTS_OF_A_NETWORK, FOLDS_A_MINUTE, Entry, Folds
from service.telemetry.events import Event

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def refused(account: str, network: str, at: datetime = START) -> Event:
    return Event("login_refused", at, account=account, network=network)


def counts(folds: Folds) -> Counter[tuple[str | None, str | None]]:
    return Counter({(e.event.account, e.event.network): e.count for e in folds.unwritten()})


def write(entries: list[Entry]) -> None:
    for entry in entries:
        entry.written = entry.count


def test_guesses_at_one_account_from_one_network_are_one_row_a_minute() -> None:
    folds = Folds()

    for second in range(180):
        folds.add(refused("a", "1.2.3.4", START + timedelta(seconds=second)))

    assert [entry.count for entry in folds.unwritten()] == [60, 60, 60]


def test_beyond_some_accounts_of_a_network_the_account_is_left_out() -> None:
    folds = Folds()

    for number in range(100_000):
        folds.add(refused(f"account {number}", "1.2.3.4"))

    found = counts(folds)
    assert len(found) == ACCOUNTS_OF_A_NETWORK + 1
    assert found[None, "1.2.3.4"] == 100_000 - ACCOUNTS_OF_A_NETWORK


def test_beyond_some_rows_a_minute_the_network_is_left_out_too() -> None:
    folds = Folds()

    for number in range(100_000):
        folds.add(refused("a", f"network {number}"))

    found = counts(folds)
    assert len(found) == FOLDS_A_MINUTE + 1
    assert found[None, None] == 100_000 - FOLDS_A_MINUTE


def test_rows_of_one_minute_are_bounded_though_they_are_written_meanwhile() -> None:
    folds, rows = Folds(), set[str]()

    for number in range(20_000):
        folds.add(refused(f"account {number}", f"network {number}"))
        if number % 100 == 0:
            rows |= {entry.key for entry in folds.unwritten()}
            write(folds.unwritten())
            folds.forget(START)

    assert len(rows) == FOLDS_A_MINUTE + 1


def test_memory_is_bounded_and_totals_are_exact_while_the_database_is_away() -> None:
    folds = Folds()

    for minute in range(40):
        for number in range(2 * FOLDS_A_MINUTE):
            folds.add(refused("a", f"network {number}", START + timedelta(minutes=minute)))

    assert len(folds.unwritten()) <= 20_000 + 40
    assert sum(entry.waiting for entry in folds.unwritten()) == 40 * 2 * FOLDS_A_MINUTE


def test_what_is_written_and_over_is_forgotten_and_nothing_else() -> None:
    folds = Folds()
    for minute in range(3):
        folds.add(refused("a", "1.2.3.4", START + timedelta(minutes=minute)))
    write(folds.unwritten()[1:])

    folds.forget(START + timedelta(minutes=2))
    folds.add(refused("a", "1.2.3.4", START + timedelta(minutes=2)))

    assert [(entry.event.at.minute, entry.count) for entry in folds.unwritten()] == [(0, 1), (2, 2)]
