"""Print what a command has to say, for people at a terminal, in a pipe, or gone."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_COLUMNS = 80
_GAP = 2
_LAST_COLUMNS = 8
_NAME_LETTERS, _HASH_SHOWN = 40, 12


class Told(Protocol):
    def __call__(self, done: int) -> None: ...


def say(text: str) -> bool:
    """Print to standard output; return whether anybody reads it: what was done is done all the same."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python would complain at its end, and change the exit code, of what it cannot write still.
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table for the terminal, or in 80 columns; what has no room ends in an ellipsis.

    The last column is the first to give way: it is where long things belong.
    """
    console = Console(width=None if sys.stdout.isatty() else _COLUMNS)
    shown = [[printable(cell) for cell in row] for row in rows]
    *widths, _ = (max(map(cell_len, column)) for column in zip(headings, *shown, strict=True))
    room = max(_LAST_COLUMNS, console.width - sum(widths) - _GAP * len(widths))
    with console.capture() as capture:
        console.print(_laid_out(headings, shown, room))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _laid_out(headings: Sequence[str], rows: Iterable[Sequence[str]], room: int) -> Table:
    laid_out = Table(box=None, pad_edge=False)
    for heading in headings:
        widest = room if heading is headings[-1] else None
        laid_out.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=widest)
    for row in rows:
        # As Text: a User-Agent is anybody's words, and must be read neither as markup nor by the terminal.
        laid_out.add_row(*map(Text, row))
    return laid_out


def whose(user: str | None, account: str) -> str:
    """Name an account in few letters: of a name that is no user's, only a hash is known."""
    name = user or f"(no such user) {account[:_HASH_SHOWN]}"
    return name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}\N{HORIZONTAL ELLIPSIS}"


def printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


@contextmanager
def progress(doing: str, total: int) -> Iterator[Told]:
    """Show a bar on standard error, if that is a terminal; yield what to tell how much is done."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda done: bar.update(task, completed=done)
