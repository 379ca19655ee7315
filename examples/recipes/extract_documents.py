"""A folder of PDFs and photos, read into typed receipts, a JSON line for each.

python examples/recipes/extract_documents.py FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import anyio
from pydantic import BaseModel, Field

from asyncllm import AsyncLLM, File, Image, Message, Request

IMAGES = {".png", ".jpg", ".jpeg", ".gif", ".webp"}


class Receipt(BaseModel):
    """A receipt as it was handed out. A field that cannot be read is null."""

    seller: str | None
    day: date | None = Field(description="The day of the purchase")
    total: Decimal | None = Field(description="What was paid, tax included")
    currency: str | None = Field(description="Three letters, such as EUR")


def requests(folder: Path) -> Iterator[Request]:
    """Give a request for each document; a file is read when its turn has come."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() == ".pdf":
            yield Request(Message.user("Read this receipt.", File.from_path(path)), id=path.name)
        elif path.suffix.lower() in IMAGES:
            yield Request(Message.user("Read this receipt.", Image.from_path(path, detail="high")), id=path.name)


async def main(folder: str) -> int:
    """Print what the documents of a folder say."""
    failed = 0
    async with (
        AsyncLLM() as llm,
        # Documents are long: few at a time keep memory and tokens a minute within bounds.
        llm.map(requests(Path(folder)), response_model=Receipt, max_concurrency=8) as outcomes,
    ):
        async for outcome in outcomes:
            failed += not outcome.ok
            receipt = None if outcome.value is None else outcome.value.model_dump(mode="json")
            error = None if outcome.ok else str(outcome.error)
            print(json.dumps({"file": outcome.id, "receipt": receipt, "error": error}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(anyio.run(lambda: main(*sys.argv[1:])))
