"""A translation that keeps to a glossary: a translation without a term is asked for again.

python examples/recipes/translate.py < TEXT
"""

from __future__ import annotations

import sys

import anyio
from pydantic import BaseModel

from asyncllm import AsyncLLM, ExtractionError, Reask

GLOSSARY = {"slot": "Platz", "deadline": "Frist", "journal": "Journal"}
PROMPT = """Translate into German. Use these translations of terms: {terms}.

{text}"""


class Translation(BaseModel):
    """A text in German."""

    german: str


async def translate(llm: AsyncLLM, text: str) -> str:
    """Translate a paragraph.

    Raises:
        ExtractionError: A term of the glossary is missing from every attempt.
    """
    terms = {term: german for term, german in GLOSSARY.items() if term in text.casefold()}

    def keeps_terms(translation: Translation) -> None:
        missing = [german for german in terms.values() if german.casefold() not in translation.german.casefold()]
        if missing:
            raise Reask(f"the translation must contain: {', '.join(missing)}")

    listed = "; ".join(f"{term} = {german}" for term, german in terms.items()) or "none"
    prompt = PROMPT.format(terms=listed, text=text)
    return (await llm.extract(Translation, prompt, check=keeps_terms, temperature=0)).german


async def main() -> int:
    """Translate the paragraphs on stdin, all at the same time, and print them in their order."""
    paragraphs = sys.stdin.read().split("\n\n")
    results = ["" for _ in paragraphs]

    async def one(llm: AsyncLLM, index: int) -> None:
        try:
            results[index] = await translate(llm, paragraphs[index])
        except ExtractionError as error:
            results[index] = f"[not translated: {error.message}]\n{paragraphs[index]}"

    async with AsyncLLM() as llm, anyio.create_task_group() as group:
        for index in range(len(paragraphs)):
            group.start_soon(one, llm, index)
    print("\n\n".join(results))
    return any(result.startswith("[not translated") for result in results)


if __name__ == "__main__":
    sys.exit(anyio.run(main))
