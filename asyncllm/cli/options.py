"""Options and arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from .settings import profile_names

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", metavar="MODEL", help="Model, instead of the profile's.")
]
SystemOption = Annotated[
    str | None, typer.Option("--system", "-s", metavar="TEXT", help="Instructions that come first.")
]
MaxTokensOption = Annotated[int | None, typer.Option("--max-tokens", metavar="N", min=1, help="Longest answer.")]
CacheOption = Annotated[
    str | None, typer.Option("--cache", metavar="FILE", help="Keep answers in it, and ask nothing twice.")
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Tokens and cost on stderr, also when it is no terminal.")
]
ProfileArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="One profile; without it, all.", show_default=False, autocompletion=profile_names
    ),
]
