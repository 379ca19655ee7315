"""`asyncllm demo`: the library at work on a real file, against the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..settings import Settings, command_without_profile
from ..terminal.exit_codes import UsageProblem

_DATA = Path("examples/data/support_emails.jsonl")
# The first of these, for where there is no clone.
_FEW = Path(__file__).with_name("support_emails.jsonl")


@command_without_profile
def run(
    settings: Settings,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"The messages, instead of {_DATA}.", show_default=False)
    ] = None,
) -> int:
    """See a call, a stream, a typed answer and a batch.

    Everything goes through the real pipeline and over real HTTP, to a simulated provider on this machine: it needs no
    key, no internet and no configuration. The batch reads 300 messages to a shop's support, or a few of them outside of
    a clone of the project, and writes out/demo/results.jsonl.
    """
    from ..terminal import own_loop
    from .demonstration import show_all

    path = data or (_DATA if _DATA.is_file() else _FEW)
    if not path.is_file():
        raise UsageProblem(
            f"there is no {path}, which the batch reads.", "Name a JSONL file whose rows have a text: --data FILE."
        )
    return own_loop.run(show_all, path)
