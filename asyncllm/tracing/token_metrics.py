"""Metrics of tokens, by either version of the conventions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from opentelemetry.metrics import Histogram, Meter

from ..completions.usage import Usage
from .attributes import Attributes
from .totals import ObservedTotal

_BOUNDARIES = tuple(4**power for power in range(14))  # those that the conventions advise
_MODALITY = "gen_ai.token.modality"


class TokenMetrics(Protocol):
    """The instruments that count tokens."""

    def record(self, attributes: Attributes, usage: Usage | None, error_type: str | None) -> None:
        """Record the usage of a call as the provider reported it; None when it did not."""
        ...


class TokenUsage:
    """The histogram of version 1.36.

    Args:
        meter: The meter.
    """

    def __init__(self, meter: Meter) -> None:
        self._tokens = _histogram(meter, "gen_ai.client.token.usage", "Number of input and output tokens used.").record

    def record(self, attributes: Attributes, usage: Usage | None, error_type: str | None) -> None:
        """Record the usage of a call; nothing when it is not known."""
        if usage is not None:
            self._tokens(usage.input_tokens or 0, {**attributes, "gen_ai.token.type": "input"})
            self._tokens(usage.output_tokens or 0, {**attributes, "gen_ai.token.type": "output"})


class InferenceTokens:
    """The counters and histograms of the latest version.

    Args:
        meter: The meter.
    """

    def __init__(self, meter: Meter) -> None:
        each, total = "gen_ai.client.inference.operation", "gen_ai.client.inference.usage"
        self._sent = _histogram(meter, f"{each}.input_tokens", "Input tokens of a call.").record
        self._received = _histogram(meter, f"{each}.output_tokens", "Output tokens of a call.").record

        def counter(kind: str, description: str) -> Callable[[float, Attributes], None]:
            return ObservedTotal(meter, f"{total}.{kind}", "{token}", description).add

        self._input = counter("input_tokens", "Input tokens used, cached ones included.")
        self._output = counter("output_tokens", "Output tokens used, reasoning included.")
        self._read = counter("cache_read.input_tokens", "Input tokens read from a cache.")
        self._write = counter("cache_write.input_tokens", "Input tokens written to a cache.")
        self._reasoning = counter("reasoning.output_tokens", "Output tokens of reasoning.")

    def record(self, attributes: Attributes, usage: Usage | None, error_type: str | None) -> None:
        """Record the usage of a call; one without is recorded as 0 tokens, as the conventions ask."""
        usage = usage or Usage(0, 0)
        sent, received = usage.input_tokens or 0, usage.output_tokens or 0
        ended = attributes if error_type is None else {**attributes, "error.type": error_type}
        self._sent(sent, ended)
        self._received(received, ended)
        unknown = {**attributes, _MODALITY: "unknown"}
        for add, tokens, audio in (
            (self._input, sent, usage.audio_input_tokens),
            (self._output, received, usage.audio_output_tokens),
        ):
            add(tokens - (audio or 0), unknown)
            if audio:
                add(audio, {**attributes, _MODALITY: "audio"})
        if usage.cached_tokens:
            self._read(usage.cached_tokens, unknown)
        if usage.cache_write_tokens:
            self._write(usage.cache_write_tokens, unknown)
        if usage.reasoning_tokens:
            self._reasoning(usage.reasoning_tokens, unknown)


def _histogram(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(name, "{token}", description, explicit_bucket_boundaries_advisory=_BOUNDARIES)
