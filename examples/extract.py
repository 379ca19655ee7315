"""Typed extraction: a text in, a validated object out.

python examples/extract.py [TEXT] [MODEL]
"""

from __future__ import annotations

import sys
from datetime import date
from decimal import Decimal

from pydantic import BaseModel, Field

from asyncllm import LLM, ExtractionError

TEXT = "Invoice R-2025-0417 over 1,249.00 EUR, payable by 30 April 2025."


class Invoice(BaseModel):
    """An invoice as it was received."""

    number: str
    total: Decimal = Field(description="The amount to pay, tax included")
    currency: str = Field(description="Three letters, such as EUR", pattern="^[A-Z]{3}$")
    due: date


def main(text: str = TEXT, model: str = "simulated/demo") -> int:
    """Read an invoice, and print it as JSON."""
    with LLM(model=model) as llm:
        try:
            extraction = llm.extract_with_completion(Invoice, f"Read this invoice:\n\n{text}")
        except ExtractionError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(extraction.value.model_dump_json(indent=2))
    print(f"{len(extraction.attempts)} answer(s), ${extraction.cost_usd or 0:.6f}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
