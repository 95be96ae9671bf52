"""python -m scripts <group> <command>: what an operator does."""

import sys

from scripts.command_line import run

if __name__ == "__main__":
    sys.exit(run())
