"""What a command writes: data to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

from asyncllm.batch import formatting as wording

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from asyncllm.completions.usage import Basis, Usage

# What steers a terminal: an answer, or a row of somebody's file, must not move the cursor or rename the window.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_PIPE_WIDTH = 1000  # characters: longer than any value of a profile


def prepare_streams() -> None:
    """Make stdout and stderr write UTF-8, and a lone surrogate as `\\udXXX`, which in JSON is what it stands for."""
    # A shell can close them (`>&-`); what is written there is not wanted.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write(text: str) -> None:
    """Write a text to stdout at once; on a terminal without the characters that steer it."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def write_json(value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON to stdout."""
    write(f"{to_json(value, indent=indent)}\n")


def note(text: str) -> None:
    """Write a line to stderr; nobody reading it is no failure."""
    try:
        print(printable(text) if sys.stderr.isatty() else text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        _to_nowhere(sys.stderr)


def printable(text: str) -> str:
    """Replace characters that steer a terminal; line breaks and tabs stay."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Encode a value as JSON, other scripts as they are."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)


def close_stdout() -> None:
    """Let go of a stdout that nobody reads, so that Python does not complain about it at its end."""
    _to_nowhere(sys.stdout)


def terminal(*, stderr: bool = False) -> Console:
    """Make a rich console; it draws in colour and on one line only where a terminal can."""
    from rich.console import Console

    at_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    # Where nobody looks at it, a table is not squeezed: its lines are for grep.
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


def draws(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "")


def dollars(cost: float | None, basis: Basis = "known") -> str:
    """Say what something cost."""
    if cost is None:
        return "cost unknown"
    amount = wording.dollars(cost)
    return f"about {amount}" if basis == "estimated" else amount


def tokens(usage: Usage) -> str:
    """Say how many tokens went in and came out."""
    if usage.basis == "unknown":
        return "tokens unknown"
    about = "about " if usage.basis == "estimated" else ""
    return f"{about}{usage.input_tokens or 0:,} + {usage.output_tokens or 0:,} tokens"


def _to_nowhere(stream: TextIO) -> None:
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return  # it is no real file, and nothing is flushed into it at the end
