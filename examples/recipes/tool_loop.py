"""Tools of your own: calls run at the same time, each with a time limit, until the model answers.

python examples/recipes/tool_loop.py [QUESTION]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import anyio
from pydantic import BaseModel, Field, ValidationError

from asyncllm import AsyncLLM, Completion, Message, ToolCall


class Weather(BaseModel):
    """The weather in a city, now."""

    city: str = Field(description="The city, without its country")

    async def run(self) -> str:
        """Ask a weather service; this one is made up."""
        return f"21 degrees and a clear sky in {self.city}"


TOOLS = {"weather": Weather}
FUNCTIONS = [
    {"name": name, "description": tool.__doc__, "parameters": tool.model_json_schema()} for name, tool in TOOLS.items()
]
SCHEMAS = [{"type": "function", "function": function} for function in FUNCTIONS]


async def run(call: ToolCall) -> Message:
    """Run a call; an error goes back to the model, which may do better."""
    try:
        with anyio.fail_after(20):
            return Message.tool_result(call, await TOOLS[call.name].model_validate_json(call.arguments).run())
    except (KeyError, ValidationError, TimeoutError) as error:
        return Message.tool_result(call, f"error: {type(error).__name__}: {error}")


async def run_all(calls: Sequence[ToolCall]) -> list[Message]:
    """Run calls at the same time, and return their results in order."""
    results: dict[int, Message] = {}

    async def one(index: int, call: ToolCall) -> None:
        results[index] = await run(call)

    async with anyio.create_task_group() as group:
        for index, call in enumerate(calls):
            group.start_soon(one, index, call)
    return [results[index] for index in range(len(calls))]


async def answer(llm: AsyncLLM, question: str, rounds: int = 8) -> Completion:
    """Return the first answer without tool calls.

    Raises:
        RuntimeError: The model still calls tools after so many rounds.
    """
    conversation = [Message.user(question)]
    for _ in range(rounds):
        completion = await llm.acompletion(conversation, tools=SCHEMAS)
        if not completion.tool_calls:
            return completion
        conversation += [completion.message, *await run_all(completion.tool_calls)]
    raise RuntimeError(f"no answer after {rounds} rounds of tool calls")


async def main(question: str = "What is the weather in Paris?") -> None:
    """Ask a question that needs a tool."""
    async with AsyncLLM(deadline=120) as llm:
        print((await answer(llm, question)).text)


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
