"""Conversion of an answer's usage to the chat-completions form."""

from __future__ import annotations

from collections.abc import Mapping

from ..json_values import JsonObject, is_list, is_object

_KINDS = {"TEXT": "text", "DOCUMENT": "text", "AUDIO": "audio", "IMAGE": "image", "VIDEO": "video"}
_DETAILS = ("promptTokensDetails", "candidatesTokensDetails")
_OF_TEXT = frozenset(("promptTokenCount", "candidatesTokenCount", "totalTokenCount", *_DETAILS))


def chat_usage(usage: Mapping[str, object], *, is_grounded: bool = False) -> JsonObject:
    """Return a usage in litellm's form.

    Gemini counts thoughts beside the candidates' tokens; `completion_tokens` include them. The tokens that its own
    tools have read are part of `prompt_tokens`, except those of a search, which is charged by itself.

    Args:
        usage: Gemini's usageMetadata.
        is_grounded: Whether the answer is grounded in a search.
    """
    prompt, candidates = _count(usage, "promptTokenCount"), _count(usage, "candidatesTokenCount")
    thoughts, of_tools = _count(usage, "thoughtsTokenCount"), _count(usage, "toolUsePromptTokenCount")
    total = _count(usage, "totalTokenCount")
    received = candidates
    if prompt + candidates + of_tools != total:  # some models count the thoughts among the candidates' tokens
        received += thoughts
    found: JsonObject = {
        "prompt_tokens": prompt if is_grounded else prompt + of_tools,
        "completion_tokens": received,
        "total_tokens": total,
    }
    if usage.keys() <= _OF_TEXT and all(map(_is_text, (usage.get(name) for name in _DETAILS))):
        return found  # nearly every answer: the details would say the same
    found["prompt_tokens_details"] = details = _prompt_details(usage)
    if of_tools:
        details["tool_use_tokens"] = of_tools
    if "cachedContentTokenCount" in usage:
        found["cache_read_input_tokens"] = _count(usage, "cachedContentTokenCount")
    output = _by_kind(usage.get("candidatesTokensDetails"))
    if candidates:
        others = sum(count for kind, count in output.items() if kind != "text_tokens")
        output.setdefault("text_tokens", candidates - others)
    if "thoughtsTokenCount" in usage:
        output["reasoning_tokens"] = thoughts
    if output:
        found["completion_tokens_details"] = output
    return found


def _prompt_details(usage: Mapping[str, object]) -> JsonObject:
    """Return the tokens of the prompt by kind, without those that were read from the cache."""
    by_kind = _by_kind(usage.get("promptTokensDetails"))
    cached = _by_kind(usage.get("cacheTokensDetails"))
    if "cachedContentTokenCount" in usage:
        total = _count(usage, "cachedContentTokenCount")
        if "cacheTokensDetails" not in usage:
            cached = {"text_tokens": total}
        return {"cached_tokens": total, **_without(by_kind, cached)}
    return {**_without(by_kind, cached)}


def _without(by_kind: Mapping[str, int], cached: Mapping[str, int]) -> dict[str, int]:
    return {kind: max(0, count - cached.get(kind, 0)) for kind, count in by_kind.items()}


def _is_text(details: object) -> bool:
    if not is_list(details) or not details:
        return True
    first = details[0]
    return len(details) == 1 and is_object(first) and first.get("modality") == "TEXT"


def _by_kind(details: object) -> dict[str, int]:
    found: dict[str, int] = {}
    for detail in details if is_list(details) else ():
        kind = _KINDS.get(str(detail.get("modality")).upper()) if is_object(detail) else None
        if is_object(detail) and kind is not None:
            found[f"{kind}_tokens"] = found.get(f"{kind}_tokens", 0) + _count(detail, "tokenCount")
    return found


def _count(usage: Mapping[str, object], name: str) -> int:
    """Return a count of tokens; 0 for a missing or wrongly typed one."""
    value = usage.get(name)
    return value if isinstance(value, int) and value > 0 else 0
