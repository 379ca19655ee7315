"""A provider on loopback."""

from __future__ import annotations

from typing import Any

from ..simulator import Simulator


def simulated_provider(**options: Any) -> Simulator:
    """Return a simulated provider that records its requests; use it in `with` or `async with`.

    Its `url` is the `base_url` for any `openai/...` model and any key.

    Args:
        **options: The arguments of `Simulator`: `latency`, `limits`, `faults`, `keys`, ...

    Example:
        ```python
        from asyncllm.testing import simulated_provider

        with simulated_provider() as provider:
            with LLM(model="openai/gpt-5-mini", base_url=provider.url, api_key="any") as client:
                client.completion("Name a colour.")
        assert provider.seen.requests == 1
        ```
    """
    return Simulator(**options)
