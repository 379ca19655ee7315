"""What litellm would send to Gemini, and what it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import litellm_exchange
from .litellm_exchange import KEY, Exchanged

__all__ = ["KEY", "by_litellm", "in_api_spelling"]

ANSWER: Mapping[str, Any] = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "Hello."}]}, "finishReason": "STOP", "index": 0},
    ],
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12},
    "modelVersion": "gemini",
    "responseId": "resp_1",
}
# The API takes both spellings of these; the format has the one of Google's documentation.
_SNAKE = re.compile(
    r'"((?:system_instruction|function_(?:call|declarations|response)|inline_data|mime_type|file_(?:data|uri)'
    r"|allowed_function_names|max_output_tokens|stop_sequences|candidate_count|top_[pk]|response_(?:mime_type"
    r'|schema|json_schema)|(?:frequency|presence)_penalty|media_resolution|video_metadata))":'
)


def by_litellm(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    params: Mapping[str, Any],
    *,
    answer: Mapping[str, Any] | bytes = ANSWER,
    stream: bool = False,
) -> Exchanged:
    """Have litellm make a call."""
    return litellm_exchange.by_litellm("gemini", model, messages, params, answer=answer, stream=stream, path="/v1beta")


def in_api_spelling(body: Mapping[str, Any]) -> Any:
    """Return a body with the names of its fields as the API's documentation spells them."""
    return json.loads(_SNAKE.sub(lambda found: f'"{_camel(found[1])}":', json.dumps(body)))


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
