"""The limits of providers' batch APIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncllm.errors import UnsupportedError

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The most that one batch may hold; enqueued tokens differ by account, and are waited out.

    Attributes:
        requests: Requests.
        size_bytes: Bytes of the file, or of the body that creates the batch.
        window_s: Seconds after which the provider gives up.
        source: The page of the provider that says so.
    """

    requests: int
    size_bytes: int
    window_s: int
    source: str


_DAY_S = 86_400
_OPENAI = BatchLimits(50_000, 200 * _MB, _DAY_S, "OpenAI, Batch API, Rate limits")
# Servers that copied the API say nothing of limits, and the first ones of OpenAI were these.
_COMPATIBLE = BatchLimits(50_000, 100 * _MB, _DAY_S, "OpenAI, Batch API, as first published")

LIMITS: Mapping[str, BatchLimits] = {
    "openai": _OPENAI,
    "azure": BatchLimits(100_000, 200 * _MB, _DAY_S, "Azure OpenAI, quotas and limits, Batch limits"),
    "anthropic": BatchLimits(100_000, 256 * _MB, _DAY_S, "Anthropic, Batch processing, Batch limitations"),
    # The page names no number of requests; as many as others take.
    "gemini": BatchLimits(100_000, 2_000 * _MB, 2 * _DAY_S, "Gemini API, Rate limits, Batch API rate limits"),
    "mistral": BatchLimits(1_000_000, 512 * _MB, _DAY_S, "Mistral, Batch Inference; of the size, Files"),
    "groq": BatchLimits(50_000, 200 * _MB, _DAY_S, "Groq, Batch processing, Limits"),
    "hosted_vllm": _COMPATIBLE,
    "litellm_proxy": _COMPATIBLE,
}
"""By litellm's name of the provider; those that are served."""


def limits_of(provider: str) -> BatchLimits:
    """Return the limits of a provider.

    Raises:
        UnsupportedError: It has no batch API, or none that is served.
    """
    limits = LIMITS.get(provider)
    if limits is None:
        raise UnsupportedError(
            f"deferred batches are served for {', '.join(LIMITS)}, and not for {provider}; nothing was sent.",
            hint="Leave deferred out, and the batch is sent live.",
        )
    return limits
