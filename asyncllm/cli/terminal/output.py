"""The output of commands: data to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

from asyncllm.batch.formatting import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_PIPE_WIDTH = 1000  # characters: longer than any value of a profile


def prepare_streams() -> None:
    """Make stdout and stderr write UTF-8, and a lone surrogate as `\\udXXX`, which stands for it in JSON."""
    # A shell can close them (`>&-`); what is written there is dropped.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the life of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write(text: str) -> None:
    """Write a text to stdout at once; at a terminal, without control characters."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def write_json(value: object) -> None:
    """Write a value as JSON to stdout, other scripts as they are."""
    write(f"{json.dumps(value, ensure_ascii=False, indent=2, default=str)}\n")


def note(text: str) -> None:
    """Write a line to stderr; a closed pipe is no failure."""
    try:
        print(printable(text) if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        _to_nowhere(sys.stderr)


def close_stdout() -> None:
    """Drop what is left for a stdout whose reader is gone, so that Python does not report it at exit."""
    _to_nowhere(sys.stdout)


def terminal(*, stderr: bool = False) -> Console:
    """Return a rich console; it draws in colour only at a terminal."""
    from rich.console import Console

    at_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    # In a pipe a table is not squeezed: its lines are for grep.
    width = None if at_terminal else _PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


def show(*things: RenderableType) -> None:
    """Write tables and styled texts to stdout."""
    console = terminal()
    if console.is_terminal:
        console.print(*things, sep="\n")
        return
    with console.capture() as captured:
        console.print(*things, sep="\n")
    write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def grid(*no_wrap: bool) -> Table:
    """Return an empty table without lines; its columns fold, or do not wrap."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for each in no_wrap:
        table.add_column(no_wrap=each, overflow="fold")
    return table


def show_section(title: str, table: Table) -> None:
    """Write a table to stdout below its title."""
    from rich.text import Text

    show(Text.assemble("\n", (title, "bold")), table)


def _to_nowhere(stream: TextIO) -> None:
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return  # it is no real file, and nothing is flushed at exit
