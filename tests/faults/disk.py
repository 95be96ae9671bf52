"""A disk that is soon full."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SMALL_BYTES = 12 * 1024 * 1024


@contextmanager
def small_file_system(directory: Path) -> Iterator[Path]:
    """Mount a file system of a few megabytes there; only root may."""
    directory.mkdir()
    options = ["-o", f"size={SMALL_BYTES}"]
    subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError
