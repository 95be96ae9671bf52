"""What a service tells about itself becomes rates, and words for what is degraded."""

from datetime import UTC, datetime

from scripts.dashboard import Picture, facts
from scripts.measurements import Measurements
from service.use_cases.observe import InDatabase, Seen

SEEN = Seen(InDatabase(0, (), (), ()), redis_answers=True)


def measurements(at: float, **values: float) -> Measurements:
    return Measurements(at, {(name, ""): value for name, value in values.items()})


def degraded(**values: float) -> object:
    now = measurements(1.0, **values)
    return facts(Picture(datetime.now(UTC), "http://localhost", SEEN, now, now, ""))["degraded"]


def test_what_a_counter_rose_by_is_told_for_a_second() -> None:
    before, after = (Measurements(at, {("logins_total", "ok"): count}) for at, count in ((0, 10), (2, 30)))

    assert after.rates("logins_total", before) == {"ok": 10.0}


def test_a_counter_that_began_anew_is_no_rate_below_zero() -> None:
    before, after = (Measurements(at, {("logins_total", "ok"): count}) for at, count in ((0, 10), (2, 3)))

    assert after.rates("logins_total", before) == {"ok": 0.0}


def test_nothing_is_degraded_in_a_service_that_reaches_its_stores() -> None:
    assert degraded(redis_down=0, database_down=0, login_limits_local=0, revoked_list_age_seconds=0.2) == []


def test_what_the_service_cannot_reach_is_told() -> None:
    assert degraded(redis_down=2, login_limits_local=1) == [
        "The service cannot reach Redis (2 of its workers)",
        "Logins are limited by each worker alone (1 of its workers)",
    ]


def test_an_old_list_of_what_is_revoked_is_told() -> None:
    assert degraded(revoked_list_age_seconds=3) == [
        "The list of what is revoked is old: every check asks the database."
    ]
