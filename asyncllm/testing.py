"""A provider on loopback, for tests of code that uses asyncllm."""

from __future__ import annotations

from typing import Any

from .simulator import Fault, Latency, Limit, Simulator

__all__ = ["Fault", "Latency", "Limit", "Simulator", "simulated_provider"]


def simulated_provider(**options: Any) -> Simulator:
    """Return a simulated provider that records its requests; use it in `with` or `async with`.

    Its `url` is the `base_url` for any `openai/...` model and any key:

        with simulated_provider() as provider:
            llm = AsyncLLM(model="openai/gpt-5-mini", base_url=provider.url, api_key="any")

    Args:
        **options: The arguments of `Simulator`: `latency`, `limits`, `faults`, `keys`, ...
    """
    return Simulator(**options)
