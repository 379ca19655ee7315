"""Conversion of an answer's usage to the chat-completions form."""

from __future__ import annotations

from collections.abc import Mapping

from ..json_values import JsonObject, is_list, is_object, object_of

# Fields that are passed on unchanged.
_PASSED = ("inference_geo", "server_tool_use", "service_tier", "speed")
_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def chat_usage(usage: Mapping[str, object], *, has_thought: bool) -> JsonObject:
    """Return a usage in litellm's form.

    Anthropic's `input_tokens` exclude tokens read from and written to the cache; `prompt_tokens` include them.

    Args:
        usage: Anthropic's usage object.
        has_thought: Whether the answer has thinking; not every server counts its tokens separately.
    """
    read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    fresh, received = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    rounds = usage.get("iterations")
    if is_list(rounds) and rounds:
        # An answer of several model calls; the other counts are those of the last one.
        fresh, received, written, read = (sum(_count(object_of(one), name) for one in rounds) for name in _COUNTS)
    prompt_details: JsonObject = {"cached_tokens": read, "cache_creation_tokens": written, "text_tokens": fresh}
    kinds = usage.get("cache_creation")
    if is_object(kinds):
        names = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
        prompt_details["cache_creation_token_details"] = {name: _count(kinds, name) for name in names}
    prompt = fresh + read + written
    found: JsonObject = {
        "prompt_tokens": prompt,
        "completion_tokens": received,
        "total_tokens": prompt + received,
        "prompt_tokens_details": prompt_details,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }
    details = usage.get("output_tokens_details")
    is_counted = is_object(details) and isinstance(details.get("thinking_tokens"), int)
    if is_counted or not has_thought:
        thought = min(_count(object_of(details), "thinking_tokens"), received) if is_counted else 0
        found["completion_tokens_details"] = {"reasoning_tokens": thought, "text_tokens": received - thought}
    for name in _PASSED:
        if usage.get(name) is not None:
            found[name] = usage[name]
    return found


def _count(usage: Mapping[str, object], name: str) -> int:
    """Return a count of tokens; 0 for a missing or wrongly typed one."""
    value = usage.get(name, 0)
    if isinstance(value, int):
        return value if value > 0 else 0
    return int(value) if isinstance(value, float) and 0 <= value < float("inf") else 0
