"""A conversation of any length: the oldest turns are left out when it no longer fits.

python examples/recipes/conversation.py, and a question on each line of stdin
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM, Message


class Conversation:
    """A system prompt and turns, of which the latest are sent."""

    def __init__(self, llm: AsyncLLM, system: str, max_tokens: int = 8_000) -> None:
        self._llm = llm
        self._system = Message.system(system)
        self._max_tokens = max_tokens
        self.turns: list[Message] = []

    async def say(self, text: str) -> str:
        """Ask, and return the answer. A turn that fails leaves the conversation as it was."""
        turns = await self._trimmed([*self.turns, Message.user(text)])
        answer = await self._llm.acompletion([self._system, *turns])
        self.turns = [*turns, answer.message]
        return answer.text

    async def _trimmed(self, turns: list[Message]) -> list[Message]:
        """Leave out the oldest turns, a question with all that belongs to it, until the rest fits."""
        while len(turns) > 1:
            if (await self._llm.count_tokens([self._system, *turns])).tokens <= self._max_tokens:
                return turns
            later = [index for index, turn in enumerate(turns) if index and turn.role == "user"]
            if not later:
                return turns
            turns = turns[later[0] :]
        return turns


async def main() -> None:
    """Answer each line of stdin."""
    async with AsyncLLM() as llm:
        conversation = Conversation(llm, "Teach patiently, in short answers.")
        for line in sys.stdin:
            print(await conversation.say(line.strip()))


if __name__ == "__main__":
    anyio.run(main)
