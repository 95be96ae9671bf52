"""Delete the rows that can no longer matter."""

from scripts.running import Json, operator, plural, report, with_use_cases


def prune(*, json: Json = False) -> None:
    """Delete ended sessions, their tokens, and what is past its retention. Safe beside live traffic.

    \b
    Examples:
      python -m scripts prune
    """
    deleted = with_use_cases(lambda do: do.prune(by=operator()))
    what = ", ".join(f"{count:,} of {table}" for table, count in deleted.items())
    report(f"{plural(deleted.total(), 'row')} deleted{f': {what}' if what else ''}.", deleted, as_json=json)
