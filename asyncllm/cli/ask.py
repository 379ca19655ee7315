"""`asyncllm ask`: one question, one answer."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from ..batch.formatting import dollars, duration, tokens
from .options import CacheOption, MaxTokensOption, ModelOption, SystemOption, VerboseOption
from .settings import Settings, command
from .terminal.exit_codes import DONE, SOME_FAILED, UsageProblem
from .terminal.inputs import chat_messages, prompt_text
from .terminal.output import note, write, write_json
from .terminal.waiting import waiting

if TYPE_CHECKING:
    from .. import AsyncLLM, Completion, Image, LLMConfig, Message


@command
def run(
    settings: Settings,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="The question; - reads it from stdin.", show_default=False)
    ] = None,
    model: ModelOption = None,
    system: SystemOption = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", "-i", metavar="PATH|URL", help="A picture to look at; may be repeated."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-t", metavar="T", help="Randomness of the answer.")
    ] = None,
    max_tokens: MaxTokensOption = None,
    cache: CacheOption = None,
    goes_on: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on with the last conversation in the call_log.")
    ] = False,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Wait for the whole answer.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object: text, usage, cost_usd, model, finish_reason.")
    ] = False,
    verbose: VerboseOption = False,
) -> int:
    """Ask a model, and read the answer as it comes.

    What is piped in is added to the PROMPT: `git diff | asyncllm ask "Write a commit message"`. Ctrl-C stops the answer
    and the provider; what has come stays.
    """
    from .terminal import own_loop

    config = settings.llm_config(model=model, temperature=temperature, max_output_tokens=max_tokens, cache=cache)
    messages = chat_messages(prompt_text(prompt), system, *map(_image, image or ()))
    if goes_on:
        messages = [*_last_conversation(config), *messages]
    return own_loop.run(_ask, config, messages, as_json, no_stream, verbose or sys.stderr.isatty())


async def _ask(config: LLMConfig, messages: list[Message], as_json: bool, no_stream: bool, verbose: bool) -> int:
    from .. import AsyncLLM

    async with AsyncLLM(config) as llm:
        if as_json or no_stream:
            with waiting(config):
                completion = await llm.acompletion(messages)
            if as_json:
                write_json(_summary(completion))
            else:
                write(_ended(completion.text))
        else:
            completion = await _stream(llm, messages)
    return _last_notes(completion, verbose and not as_json)


def _last_conversation(config: LLMConfig) -> list[Message]:
    """Return the messages of the last call that was answered, and its answer.

    Raises:
        UsageProblem: The profile keeps no prompts, or there is none yet.
    """
    from .. import Message
    from ..call_log.database import Selection
    from ..call_log.writer import open_log
    from ..pipeline.shared_state import file_of

    if config.call_log is None or not config.log_prompts:
        raise UsageProblem(
            "--continue needs a log with prompts.", 'Set call_log = "calls.sqlite" and log_prompts = true.'
        )
    path = file_of(config, "call_log")
    try:
        log = open_log(path)
        try:
            last = next(log.calls(Selection(status="answered"), 1), None)
        finally:
            log.close()
    except (OSError, sqlite3.Error) as error:
        raise UsageProblem(f"the log {path} cannot be read: {error}.") from None
    if last is None or last.messages is None or last.answer is None:
        raise UsageProblem("there is no conversation to go on with.", "Ask without --continue first.")
    return [Message.from_dict(message) for message in (*last.messages, last.answer)]


async def _stream(llm: AsyncLLM, messages: list[Message]) -> Completion:
    written = ""
    with ExitStack() as until_text:
        until_text.enter_context(waiting(llm.config))
        try:
            async with llm.stream(messages) as stream:
                async for chunk in stream:
                    if chunk.text:
                        until_text.close()
                        write(chunk.text)
                        written = chunk.text
        finally:
            if written and not written.endswith("\n"):
                write("\n")
    return stream.completion


def _image(source: str) -> Image:
    from .. import Image

    if source.startswith(("http://", "https://", "data:")):
        return Image.from_url(source)
    try:
        return Image.from_path(source)
    except ValueError:
        problem = f"--image {source} is not a picture that models take."
        raise UsageProblem(problem, "Convert it to PNG, JPEG, GIF or WebP.") from None


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _summary(completion: Completion) -> dict[str, object]:
    return {
        "text": completion.text,
        "model": completion.model,
        "finish_reason": completion.finish_reason,
        "refusal": completion.refusal,
        "usage": completion.usage.to_dict(),
        "cost_usd": completion.cost_usd,
        "cost_basis": completion.cost_basis,
        "request_id": completion.record.request_id,
        "elapsed_s": round(completion.record.elapsed_s, 3),
    }


def _last_notes(completion: Completion, verbose: bool) -> int:
    """Write what there is to say about an answer, and return the exit code."""
    if completion.finish_reason == "length":
        note("the answer was cut by the token limit; raise --max-tokens")
    if verbose:
        cost = f"cost {dollars(completion.cost_usd, completion.cost_basis)}"
        note(f"{completion.model}, {tokens(completion.usage)}, {cost}, {duration(completion.record.elapsed_s)}")
    if completion.refusal:
        note(f"{completion.model} declined: {completion.refusal}")
        return SOME_FAILED
    return DONE
