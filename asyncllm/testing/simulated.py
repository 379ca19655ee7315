"""A provider on loopback."""

from __future__ import annotations

from typing import Any

from ..simulator import Simulator


def simulated_provider(**options: Any) -> Simulator:
    """Return a simulated provider that records its requests; use it in `with` or `async with`.

    Its `url` is the `base_url` for any `openai/...` model and any key:

        with simulated_provider() as provider:
            llm = AsyncLLM(model="openai/gpt-5-mini", base_url=provider.url, api_key="any")

    Args:
        **options: The arguments of `Simulator`: `latency`, `limits`, `faults`, `keys`, ...
    """
    return Simulator(**options)
