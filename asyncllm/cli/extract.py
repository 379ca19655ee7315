"""`asyncllm extract`: a typed value out of a text."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..batch.formatting import dollars, tokens
from .options import CacheOption, MaxTokensOption, ModelOption, SystemOption, VerboseOption
from .settings import Settings, command
from .terminal.exit_codes import DONE
from .terminal.inputs import chat_messages, prompt_text
from .terminal.output import note, write_json
from .terminal.response_types import answer_schema, response_type
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
    model: ModelOption = None,
    system: SystemOption = None,
    max_tokens: MaxTokensOption = None,
    cache: CacheOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The value with usage, cost_usd, model and attempts around it.")
    ] = False,
    verbose: VerboseOption = False,
) -> int:
    """Read a typed value out of a text, as JSON.

    TYPE is `invoices:Invoice` for the class Invoice in invoices.py here (a pydantic model, a dataclass, any type that
    pydantic can validate), or a file with a JSON Schema. An answer that is no valid value is asked for again; if none
    is, the command fails.
    """
    from .terminal import own_loop

    response_model = response_type(wanted)
    answers = answer_schema(response_model, wanted)
    config = settings.llm_config(model=model, max_output_tokens=max_tokens, cache=cache)
    messages = chat_messages(prompt_text(text, "TEXT"), system)
    extraction = own_loop.run(_extract, config, response_model, messages)
    value = answers.dump(extraction.value)
    write_json(_summary(extraction, value) if as_json else value)
    if verbose or (sys.stderr.isatty() and not as_json):
        cost = f"cost {dollars(extraction.cost_usd, extraction.cost_basis)}"
        count = len(extraction.attempts)
        tried = f"{count} attempt{'s' * (count != 1)}"
        note(f"{extraction.completion.model}, {tried}, {tokens(extraction.usage)}, {cost}")
    return DONE


async def _extract(config: LLMConfig, response_model: Any, messages: list[Message]) -> Extraction[object]:
    from .. import AsyncLLM

    async with AsyncLLM(config) as llm:
        with waiting(config):
            extraction: Extraction[object] = await llm.extract_with_completion(response_model, messages)
            return extraction


def _summary(extraction: Extraction[object], value: object) -> dict[str, object]:
    return {
        "value": value,
        "model": extraction.completion.model,
        "attempts": len(extraction.attempts),
        "usage": extraction.usage.to_dict(),
        "cost_usd": extraction.cost_usd,
        "cost_basis": extraction.cost_basis,
    }
