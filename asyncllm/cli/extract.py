"""`asyncllm extract`: a typed value out of a text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .response_types import dumper, response_type
from .settings import Settings, command
from .terminal.exit_codes import DONE
from .terminal.inputs import prompt_text
from .terminal.output import dollars, note, tokens, write_json
from .terminal.waiting import waiting

if TYPE_CHECKING:
    from .. import Extraction, LLMConfig, Message


@command
def run(
    settings: Settings,
    wanted: Annotated[
        str,
        typer.Argument(metavar="TYPE", help="MODULE:MODEL, or a .json file with a JSON Schema.", show_default=False),
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The text; - reads it from stdin.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="Model, instead of the profile's.")
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", "-s", metavar="TEXT", help="Instructions that come first.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(metavar="N", min=1, help="Longest answer.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The value with usage, cost_usd, model and attempts around it.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tokens and cost on stderr, also when it is no terminal.")
    ] = False,
) -> int:
    """Read a typed value out of a text, as JSON.

    TYPE is `invoices:Invoice` for the class Invoice in invoices.py here (a pydantic model, a dataclass, any type that
    pydantic can validate), or a file with a JSON Schema. An answer that is no valid value is asked for again; if none
    is, the command fails.
    """
    import anyio

    from .. import Message

    response_model = response_type(wanted)
    dump = dumper(response_model, wanted)
    config = settings.llm_config(model=model, max_output_tokens=max_tokens)
    messages = [*([Message.system(system)] if system else []), Message.user(prompt_text(text, "TEXT"))]
    extraction = anyio.run(_extract, config, response_model, messages)
    write_json(_summary(extraction, dump) if as_json else dump(extraction.value))
    if verbose or (sys.stderr.isatty() and not as_json):
        cost = dollars(extraction.cost_usd, extraction.cost_basis)
        count = len(extraction.attempts)
        tried = f"{count} attempt{'s' * (count != 1)}"
        note(f"{extraction.completion.model}, {tried}, {tokens(extraction.usage)}, {cost}")
    return DONE


async def _extract(config: LLMConfig, response_model: Any, messages: list[Message]) -> Extraction[Any]:
    from .. import AsyncLLM

    async with AsyncLLM(config) as llm:
        with waiting(config):
            return await llm.extract_with_completion(response_model, messages)


def _summary(extraction: Extraction[Any], dump: Callable[[Any], Any]) -> dict[str, Any]:
    return {
        "value": dump(extraction.value),
        "model": extraction.completion.model,
        "attempts": len(extraction.attempts),
        "usage": extraction.usage.to_dict(),
        "cost_usd": extraction.cost_usd,
        "cost_basis": extraction.cost_basis,
    }
