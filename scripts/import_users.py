"""Read users from a file, and have them imported."""

import csv
import json as jsonlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from scripts.output import printable
from scripts.running import Json, operator, plural, report, with_use_cases
from service.errors import CannotBeDone
from service.use_cases.import_users import Candidate, Import, Rejected

_REQUIRED = {"user", "password_hash"}
_FIELDS = {*_REQUIRED, "name", "active"}
_ACTIVE = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

Line = Candidate | Rejected


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


def import_users(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file; - for standard input.")],
    *,
    format: Annotated[  # noqa: A002 - the name of the option
        Format | None, typer.Option(help="By default as the file is called, else csv.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line, and import nothing.")] = False,
    skip_rejected: Annotated[
        bool, typer.Option("--skip-rejected", help="Import the good lines although others are rejected.")
    ] = False,
    json: Json = False,
) -> None:
    """Import users with their bcrypt hashes ($2y$, $2b$, $2a$, or ours), in one transaction: all, or none.

    The file is CSV with a header, or has a JSON object in each line. The
    fields are user, password_hash and, if wanted, name and active (1 or 0,
    true or false, yes or no). Hashes are renewed at the next login.

    \b
    Examples:
      echo user,name,password_hash,active | python -m scripts users import -
    """
    with _opened(file) as lines:
        read = _read_csv if _format(file, format) is Format.CSV else _read_json_lines
        done = with_use_cases(
            lambda do: do.import_users(
                read(lines), by=operator(), dry_run=dry_run, skip_rejected=skip_rejected
            )
        )
    report(_text(done, dry_run=dry_run), _facts(done, dry_run=dry_run), as_json=json)
    if done.rejected:
        raise typer.Exit(1)


@contextmanager
def _opened(file: str) -> Iterator[TextIO]:
    """Open the file; what is not UTF-8 in it is rejected with its line."""
    if file == "-":
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")  # type: ignore[union-attr]
        yield sys.stdin
        return
    try:
        opened = Path(file).open(encoding="utf-8-sig", errors="surrogateescape", newline="")  # noqa: SIM115
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}.") from error
    with opened:
        yield opened


def _format(file: str, named: Format | None) -> Format:
    by_name = Format.JSONL if file.endswith((".jsonl", ".ndjson", ".json")) else Format.CSV
    return named or by_name


def _read_csv(lines: TextIO) -> Iterator[Line]:
    reader = csv.DictReader(lines, strict=True)
    try:
        _check_columns(set(reader.fieldnames or ()))
        for row in reader:
            whole = None not in row and None not in row.values()
            fault = Rejected(reader.line_num, "It has more or fewer fields than the header.")
            yield _candidate(reader.line_num, row) if whole else fault
    except csv.Error as error:
        raise CannotBeDone(f"Nothing was imported: line {reader.line_num} is no CSV ({error}).") from error


def _check_columns(columns: set[str]) -> None:
    # A column that is misspelt, `actve`, would otherwise be as good as none, and let everybody in.
    if not _REQUIRED <= columns <= _FIELDS:
        raise CannotBeDone(
            "Nothing was imported: the first line must name the columns user and password_hash, and may name"
            " name and active, and no others."
        )


def _read_json_lines(lines: TextIO) -> Iterator[Line]:
    for number, text in enumerate(lines, 1):
        if text.strip():
            yield _json_line(number, text)


def _json_line(number: int, text: str) -> Line:
    try:
        row = jsonlib.loads(text)
    except (ValueError, RecursionError):
        return Rejected(number, "It is no JSON.")
    if not isinstance(row, dict) or not _REQUIRED <= set(row) <= _FIELDS:
        return Rejected(number, "It is no object with user, password_hash and, if wanted, name and active.")
    return _candidate(number, row)


def _candidate(number: int, row: Mapping[str, Any]) -> Line:
    texts = {name: row.get(name, "") for name in ("user", "name", "password_hash")}
    active = _ACTIVE.get(str(row.get("active", "")).strip().casefold())
    if not all(isinstance(text, str) for text in texts.values()):
        return Rejected(number, "Its user, name and password_hash must be texts.")
    if active is None:
        return Rejected(number, "Its active is none of 1, 0, true, false, yes and no.")
    return Candidate(number, **texts, active=active)


def _text(done: Import, *, dry_run: bool) -> str:
    lines = [f"line {each.line}: {printable(each.reason)}" for each in done.rejected]
    return "\n".join([*lines, _summary(done, dry_run=dry_run)])


def _summary(done: Import, *, dry_run: bool) -> str:
    rejected = f"; {plural(len(done.rejected), 'line')} rejected" if done.rejected else ""
    if dry_run:
        return f"{plural(done.good, 'user')} could be imported{rejected}. Nothing was imported."
    if done.rejected and not done.imported:
        return f"Nothing was imported{rejected}."
    return f"{plural(done.imported, 'user')} imported{rejected}."


def _facts(done: Import, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "good": done.good,
        "imported": done.imported,
        "rejected": [{"line": each.line, "reason": each.reason} for each in done.rejected],
    }
