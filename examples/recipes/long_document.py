"""A document longer than the context window: summarised in pieces, then the summaries, until one is left.

python examples/recipes/long_document.py FILE
"""

from __future__ import annotations

import sys

import anyio

from asyncllm import AsyncLLM

CHARS = 40_000  # of one piece: about 10,000 tokens of English
MAP = "Summarise this part of a longer document. Keep names, numbers and dates.\n\n{text}"
REDUCE = "Join these summaries of consecutive parts into one, without repetition.\n\n{text}"


def pieces(paragraphs: list[str], chars: int = CHARS) -> list[str]:
    """Join paragraphs into pieces of bounded length; a longer paragraph is cut."""
    joined = [""]
    for paragraph in paragraphs:
        for part in (paragraph[at : at + chars] for at in range(0, len(paragraph), chars)):
            if joined[-1] and len(joined[-1]) + len(part) + 2 > chars:
                joined.append("")
            joined[-1] += ("\n\n" if joined[-1] else "") + part
    return joined


async def summarise(llm: AsyncLLM, text: str, journal: str | None = None, chars: int = CHARS) -> str:
    """Summarise a text of any length."""
    prompt, parts = MAP, pieces(text.split("\n\n"), chars)
    while True:
        requests = [prompt.format(text=part) for part in parts]
        outcomes = await llm.gather(requests, max_tokens=800, on_error="raise", journal=journal, progress=True)
        summaries = [outcome.text or "" for outcome in outcomes]
        if len(summaries) == 1:
            return summaries[0]
        fewer = pieces(summaries, chars)
        if len(fewer) == len(parts):
            raise ValueError(f"summaries of {chars} characters do not get shorter; use larger pieces")
        prompt, parts = REDUCE, fewer


async def main(path: str) -> None:
    """Print the summary of a file; pieces that are done are not paid for again."""
    text = await anyio.Path(path).read_text(encoding="utf-8")
    async with AsyncLLM(temperature=0) as llm:
        print(await summarise(llm, text, journal=f"{path}.journal"))


if __name__ == "__main__":
    anyio.run(lambda: main(*sys.argv[1:]))
