"""Draw what is watched: a screen of 80 columns, a line, or facts."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from rich.text import Text

from scripts.measurements import Measurements
from scripts.output import table, whose
from service.clock import rfc3339
from service.use_cases.list_blocks import Block
from service.use_cases.observe import ATTACKS_WITHIN, InDatabase, Seen

_LIST_OLD_SECONDS = 1.0
_BLOCKS_SHOWN = 5
_COLUMNS = 80
_NAME_COLUMNS = 17
_UNKNOWN = "?"
_LATELY = f"attempts in {ATTACKS_WITHIN.total_seconds() / 60:.0f} min"


@dataclass(frozen=True, slots=True)
class Picture:
    """What was seen at one look. Measurements are None where there are none, and `why_not` says why."""

    at: datetime
    url: str
    seen: Seen
    now: Measurements | None
    before: Measurements | None
    why_not: str

    def rates(self, name: str) -> dict[str, float] | None:
        return self.now.rates(name, self.before) if self.now and self.before else None


def screen(picture: Picture) -> Text:
    return styled(text(picture))


def styled(plain: str) -> Text:
    """Have headings stand out, and what is degraded still more."""
    shown = Text(plain)
    shown.highlight_regex(r"(?m)^(?:backoffice|accounts under|networks under|blocked accounts).*$", "bold")
    shown.highlight_regex(r"(?m)^degraded(?! +nothing$).*$", "bold red")
    return shown


def text(picture: Picture) -> str:
    return "\n".join(_lines(picture))


def line(picture: Picture) -> str:
    """Put it into one line, for a log or a pipe."""
    database = picture.seen.database
    fields = {
        "sessions": database.sessions if database else _UNKNOWN,
        "blocks": len(database.blocks) if database else _UNKNOWN,
        "hashes_waiting": _hashes(picture),
        "logins/s": _rates(picture, "logins_total", ","),
        "checks/s": _rates(picture, "checks_total", ","),
        "account_attempts": max((one.attempts for one in database.accounts), default=0)
        if database
        else _UNKNOWN,
        "network_attempts": max((many for _, many in database.networks), default=0) if database else _UNKNOWN,
        "degraded": "; ".join(_degraded(picture)) or "nothing",
    }
    return f"{picture.at:%H:%M:%S} " + " ".join(f"{name}={value}" for name, value in fields.items())


def facts(picture: Picture) -> dict[str, object]:
    database, now = picture.seen.database, picture.now
    return {
        "at": rfc3339(picture.at),
        "sessions": database and database.sessions,
        "blocks": database and len(database.blocks),
        "hashes_waiting": now and now.value("hashes_waiting"),
        "logins_per_second": picture.rates("logins_total"),
        "checks_per_second": picture.rates("checks_total"),
        "accounts": database and [asdict(one) for one in database.accounts],
        "networks": database and [{"network": name, "attempts": many} for name, many in database.networks],
        "degraded": list(_degraded(picture)),
    }


def _lines(picture: Picture) -> Iterator[str]:
    database = picture.seen.database
    yield f"backoffice at {picture.url}, {picture.at:%Y-%m-%d %H:%M:%S} UTC"
    yield ""
    yield _row("sessions alive", f"{database.sessions:,}" if database else _UNKNOWN)
    yield _row("hashes waiting", _hashes(picture))
    yield _row("logins a second", _rates(picture, "logins_total", "  "))
    yield _row("checks a second", _rates(picture, "checks_total", "  "))
    for number, sentence in enumerate([*_degraded(picture)] or ["nothing"]):
        yield _row("" if number else "degraded", sentence)
    if database:
        yield from _attacks(database)
        yield from _blocks(database.blocks)


def _attacks(database: InDatabase) -> Iterator[str]:
    accounts = [
        (whose(one.user, one.account), f"{one.attempts:,}", f"{one.failures:,}") for one in database.accounts
    ]
    networks = [(name, f"{attempts:,}") for name, attempts in database.networks]
    if accounts:
        yield from ("", table(("accounts under attack", _LATELY, "failures in a row"), accounts))
    if networks:
        yield from ("", table(("networks under attack", _LATELY), networks))


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    if not blocks:
        return
    shown = blocks[:_BLOCKS_SHOWN]
    rows = [(whose(block.user, block.account), f"{block.until:%Y-%m-%d %H:%M:%S}") for block in shown]
    yield from ("", table((f"blocked accounts ({len(blocks):,})", "until, UTC"), rows))


def _degraded(picture: Picture) -> Iterator[str]:
    """Say what does not answer or works in its emergency way: as seen from here, then by the service."""
    if picture.seen.database is None:
        yield "The database does not answer here: attacks are not seen."
    if not picture.seen.redis_answers:
        yield "Redis does not answer here."
    if picture.now is None:
        yield picture.why_not
        return
    for name, what in _DOWN.items():
        if workers := picture.now.value(name):
            yield f"{what} ({workers:.0f} of its workers)"
    if picture.now.value("revoked_list_age_seconds") > _LIST_OLD_SECONDS:
        yield "The list of what is revoked is old: every check asks the database."


_DOWN: Mapping[str, str] = {
    "redis_down": "The service cannot reach Redis",
    "database_down": "The service cannot reach the database",
    "login_limits_local": "Logins are limited by each worker alone",
}


def _hashes(picture: Picture) -> str:
    return _UNKNOWN if picture.now is None else f"{picture.now.value('hashes_waiting'):.0f}"


def _rates(picture: Picture, name: str, between: str) -> str:
    rates = picture.rates(name)
    if rates is None:
        return _UNKNOWN
    return between.join(f"{label}:{rate:.1f}" for label, rate in rates.items())


def _row(name: str, value: str) -> str:
    """Begin a line with its name, and go on below the value."""
    return textwrap.fill(
        value, _COLUMNS, initial_indent=f"{name:{_NAME_COLUMNS}}", subsequent_indent=" " * _NAME_COLUMNS
    )
