"""Standard streams that are closed, or that nobody can read: the work goes on, and its status is the right one."""

from __future__ import annotations

import os
import sys
from typing import IO, Any, TextIO


def say(text: str) -> None:
    """Write a line to standard error; do without where it cannot be written, as the terminal is gone or a disk full."""
    try:
        print(text, file=sys.stderr)
    except OSError:
        send_nowhere(sys.stderr)


def in_words_of_commands(error: Exception) -> str:
    """Return an error's message, its advice for programs turned into advice for who types commands."""
    return str(error).replace("client.models.list() names", "'gigachat-sdk models' names")


def send_nowhere(stream: IO[Any]) -> None:
    """Drop what still waits to be written: it would fail again when the interpreter ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def standard_input() -> TextIO | None:
    """Return standard input; None where it is closed."""
    return sys.stdin


def fill_gaps() -> None:
    """Put something in the place of standard streams that are closed.

    Else a file that is opened next would get their number, and what a library writes to standard error would go there.
    Standard input stays None for Python: whoever reads it says that it is closed.
    """
    streams: dict[str, Any] = {name: getattr(sys, name) for name in ("stdin", "stdout", "stderr")}
    for name, stream in streams.items():
        if stream is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if name != "stdin":
                setattr(sys, name, open(descriptor, "w", encoding="utf-8", closefd=False))  # noqa: SIM115  # for the whole program
