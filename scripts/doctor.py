"""Look over an installation: its settings, its stores, its keys."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import typer

from scripts.running import Json, report, with_use_cases
from service import VERSION
from service.settings import Limit, Rate, Settings
from service.use_cases.findings import Finding, Severity

_LIMITS = ("LIMIT_LOGIN", "LIMIT_LOGIN_ACCOUNT", "LIMIT_LOGIN_NETWORK", "LIMIT_SESSION", "LIMIT_NETWORK")


def doctor(*, json: Json = False) -> None:
    """Say what is wrong with this installation, and what helps; list the limits in force, and the release.

    \b
    Examples:
      python -m scripts doctor
    """
    found = with_use_cases(lambda do: do.examine(thoroughly=True))
    limits = {name: _limit(getattr(Settings.from_env(), name.lower())) for name in _LIMITS}
    facts = {"findings": [asdict(finding) for finding in found], "limits": limits, "version": VERSION}
    report("\n".join([*_lines(found), "", *_table(limits | {"version": VERSION})]), facts, as_json=json)
    if code := _exit_code(found):
        raise typer.Exit(code)


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    yield from (f"{finding.severity:13}  {finding.sentence}" for finding in found)
    if not found:
        yield "Nothing is wrong."


def _table(limits: dict[str, str]) -> Iterator[str]:
    yield from (f"{name:20}  {limit}" for name, limit in limits.items())


def _limit(limit: Limit | Rate | None) -> str:
    match limit:
        case None:
            return "off"
        case Limit(count, window):
            return f"{count} in {window.total_seconds():.0f} s"
        case Rate(count, period, burst):
            return f"{count} in {period.total_seconds():.0f} s, and {burst} at once"


def _exit_code(found: Sequence[Finding]) -> int:
    if any(finding.check == "database_unreachable" for finding in found):
        return 3
    return 1 if any(finding.severity is Severity.MUST for finding in found) else 0
