"""What litellm would send to Anthropic, and what it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import litellm_exchange
from .litellm_exchange import KEY, Exchanged

__all__ = ["KEY", "by_litellm"]

ANSWER: Mapping[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Hello."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 3},
}


def by_litellm(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    *,
    answer: Mapping[str, Any] | bytes = ANSWER,
    stream: bool = False,
) -> Exchanged:
    """Have litellm make a call."""
    return litellm_exchange.by_litellm("anthropic", model, messages, params, answer=answer, stream=stream)
