"""The request of every peer and the answer that must come back; a wrong answer is a failure, not a fast time."""

from __future__ import annotations

import re
from dataclasses import dataclass

# In every price map, so that every peer that computes a cost has one to compute.
MODEL = "gpt-4o"
REASONING_MODEL = "gpt-5-mini"
CLAUDE_MODEL = "claude-sonnet-4-5"
GEMINI_MODEL = "gemini-2.5-flash"
API_KEY = "sk-benchmark"
CLAUDE_MAX_TOKENS = 1024  # which Anthropic demands
MAX_TOKENS = 256

HELLO = "Say hello."
HELLO_TEXT = "Hello! It is good to hear from you. What would you like to do today: read, write, or build something?"
DESCRIBE = "Who wrote the first program, and how can she be reached?"
CONTACT = {"name": "Ada Lovelace", "email": "ada@example.com"}
# The first piece comes at once, and then nothing: the stream stays open.
WAIT = "Say one word and wait."

INPUT_TOKENS = 12
OUTPUT_TOKENS = 24
TOKENS = INPUT_TOKENS + OUTPUT_TOKENS

_COUNT = re.compile(r"Count to (\d+)( every (\d+) ms)?\.")


@dataclass(frozen=True, slots=True)
class Counting:
    """A streamed answer.

    Attributes:
        pieces: The texts of its chunks.
        gap_s: Seconds between two chunks; 0 writes each as soon as the one before is written.
        ends: Whether it comes to an end.
    """

    pieces: tuple[str, ...]
    gap_s: float = 0.0
    ends: bool = True

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)


def count_prompt(number: int, gap_ms: int = 0) -> str:
    """Return what to ask for a stream of so many chunks."""
    return f"Count to {number} every {gap_ms} ms." if gap_ms else f"Count to {number}."


def counting(prompt: str) -> Counting:
    """Return what streams for a prompt."""
    if prompt == WAIT:
        return Counting(("one",), ends=False)
    found = _COUNT.fullmatch(prompt)
    if found is None:
        raise ValueError(f"nothing streams for {prompt!r}")
    return Counting(tuple(f"{n:4d}" for n in range(int(found[1]))), int(found[3] or 0) / 1000)
