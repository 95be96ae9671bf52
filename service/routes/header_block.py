"""Write headers as one block of bytes, as if it were one header."""

from collections.abc import Iterable, Mapping

Block = tuple[bytes, bytes]  # what Sanic writes a ": " between: the first name, and all that follows


def block_of(headers: Mapping[str, object], lines: Iterable[str] = ()) -> Block | None:
    """Return the headers and the lines; None if a line break or a NUL could break out of a header."""
    own = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
    breaks = len(headers) - 1
    if own.count("\n") != breaks or own.count("\r") != breaks or "\0" in own:
        return None
    return block_of_line("\r\n".join([*lines, own]))


def block_of_line(line: str) -> Block:
    """Return a line, or several with their line breaks, that nobody from outside had a hand in."""
    name, _, rest = line.partition(": ")
    return name.encode("ascii"), rest.encode(errors="surrogateescape")
