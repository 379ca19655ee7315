"""For tests of code that uses asyncllm: a provider on loopback."""

from __future__ import annotations

from typing import Any

from .simulator import Fault, Latency, Limit, Simulator

__all__ = ["Fault", "Latency", "Limit", "Simulator", "simulated_provider"]


def simulated_provider(**options: Any) -> Simulator:
    """Make a simulated provider that remembers what it was sent; use it in `with` or `async with`.

    Its `url` goes into `base_url`, with any `openai/...` model and any key:

        with simulated_provider() as provider:
            llm = AsyncLLM(model="openai/gpt-5-mini", base_url=provider.url, api_key="any")

    Args:
        **options: What `Simulator` takes: `latency`, `limits`, `faults`, `keys`, ...
    """
    return Simulator(**{"record": True, **options})
