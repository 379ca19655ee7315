"""Tools: the model asks for functions to be called, gets their results, and answers.

python examples/tools.py [QUESTION] [MODEL]
"""

from __future__ import annotations

import sys

import anyio
from pydantic import BaseModel, Field, ValidationError

from asyncllm import AsyncLLM, Message, ToolCall


class GetWeather(BaseModel):
    """The weather in a city, now."""

    city: str = Field(description="The city, without its country")

    async def run(self) -> str:
        """Ask a weather service; this one is made up."""
        return f"21 degrees and a clear sky in {self.city}"


TOOLS = {"get_weather": GetWeather}
FUNCTIONS = [
    {"name": name, "description": tool.__doc__, "parameters": tool.model_json_schema()} for name, tool in TOOLS.items()
]
SCHEMAS = [{"type": "function", "function": function} for function in FUNCTIONS]


async def run(call: ToolCall) -> Message:
    """Run one call; what is wrong with it is told to the model, which may do better."""
    try:
        result = await TOOLS[call.name].model_validate_json(call.arguments).run()
    except (KeyError, ValidationError) as error:
        result = f"error: {type(error).__name__}: {error}"
    return Message.tool_result(call, result)


async def main(question: str = "What is the weather in Paris?", model: str = "simulated/demo") -> int:
    """Ask until the model answers instead of calling tools, and print the conversation."""
    conversation = [Message.user(question)]
    async with AsyncLLM(model=model) as llm:
        for _ in range(8):  # a model that goes round in circles is stopped
            answer = await llm.acompletion(conversation, tools=SCHEMAS)
            conversation.append(answer.message)
            if not answer.tool_calls:
                print(*conversation, sep="\n")
                return 0
            conversation.extend([await run(call) for call in answer.tool_calls])
    return 1


if __name__ == "__main__":
    sys.exit(anyio.run(lambda: main(*sys.argv[1:])))
