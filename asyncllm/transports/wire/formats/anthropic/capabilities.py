"""The capabilities of Anthropic's models, as litellm derives them from their names and its model map."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from asyncllm.models import catalog

from ..model_facts import facts_of, is_listed

# The `max_tokens` of models that are not in the map.
# Source: litellm/constants.py, DEFAULT_ANTHROPIC_CHAT_MAX_TOKENS.
_UNKNOWN_LIMIT = 4096
# Families without sampling parameters, for names whose entries lack the flag.
# Source: litellm/llms/anthropic/common_utils.py, _supports_sampling_params.
_FIXED_SAMPLING = re.compile(r"fable|opus[-_]4[-._][78]", re.IGNORECASE)
# Prefixes, suffixes and spellings of the variants of a listed name.
# Source: litellm/llms/anthropic/common_utils.py, _model_map_lookup_candidates.
_ROUTES = ("bedrock/converse/", "bedrock/invoke/", "bedrock/", "vertex_ai/")
_BEDROCK_VERSION = re.compile(r"-v\d+(?::\d+)?$")
_PROFILE_MINOR = re.compile(r":\d+$")
_RELEASE_DATE = re.compile(r"-\d{8}$")
_DOTTED_VERSION = re.compile(r"(\d)\.(\d)")
_PROVIDER = "anthropic"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of one model.

    Attributes:
        max_tokens: The `max_tokens` of a request that sets none.
        thinks: Whether it takes `thinking` and `reasoning_effort`.
        adapts_thinking: Whether it thinks adaptively, by an effort rather than a budget of tokens.
        takes_budgets: Whether it takes a budget of thinking tokens.
        always_thinks: Whether thinking cannot be disabled.
        takes_xhigh: Whether it takes the effort `xhigh`.
        samples: Whether it takes `temperature`, `top_p` and `top_k`.
        can_be_forced: Whether it can be forced to call a tool.
        has_schemas: Whether it has native structured output.
        system_anywhere: Whether it takes system messages in the middle of a conversation.
    """

    max_tokens: int = _UNKNOWN_LIMIT
    thinks: bool = False
    adapts_thinking: bool = False
    takes_budgets: bool = False
    always_thinks: bool = False
    takes_xhigh: bool = False
    samples: bool = True
    can_be_forced: bool = True
    has_schemas: bool = False
    system_anywhere: bool = False


@lru_cache(maxsize=128)  # one for each model that a process talks to
def capabilities_of(name: str) -> Capabilities:
    """Return the capabilities of a model by its name, which has no prefix."""
    found = facts_of(name, _PROVIDER)
    entry = catalog.entry(name)

    def is_set(key: str) -> bool:
        value = found.get(key)
        return value if isinstance(value, bool) else _flag_of_variants(name, key) is True

    adapts = is_set("supports_adaptive_thinking")
    samples = _flag_of_variants(name, "supports_sampling_params")
    return Capabilities(
        max_tokens=_limit(entry) if entry is not None else _UNKNOWN_LIMIT,
        thinks=adapts or "claude-3-7-sonnet" in name or is_listed(name, found, "supports_reasoning"),
        adapts_thinking=adapts,
        takes_budgets=not adapts or is_set("supports_legacy_thinking"),
        always_thinks=is_set("thinking_always_on"),
        takes_xhigh=is_set("supports_xhigh_reasoning_effort"),
        samples=_FIXED_SAMPLING.search(name) is None if samples is None else samples,
        can_be_forced=_flag_of_variants(name, "supports_forced_tool_use") is not False,
        has_schemas=is_set("supports_native_structured_output"),
        system_anywhere=is_listed(name, found, "supports_mid_conversation_system"),
    )


def _limit(entry: Mapping[str, object]) -> int:
    limit = entry.get("max_output_tokens") if "max_output_tokens" in entry else entry.get("max_tokens")
    return limit if isinstance(limit, int) else _UNKNOWN_LIMIT


def _flag_of_variants(name: str, key: str) -> bool | None:
    """Return a flag from the entries of a name and its variants; None when none has it."""
    for variant in dict.fromkeys(_variants(name)):
        value = (catalog.entry(variant) or {}).get(key)
        if isinstance(value, bool):
            return value
    return None


def _variants(name: str) -> Iterator[str]:
    plain = [name.removeprefix(route) for route in _ROUTES if name.startswith(route)]
    for spelt in (name, *plain):
        yield from _spellings(spelt)


def _spellings(name: str) -> Iterator[str]:
    yield name
    yield _BEDROCK_VERSION.sub("", name)
    yield _PROFILE_MINOR.sub("", name)
    yield _RELEASE_DATE.sub("", name)
    yield _DOTTED_VERSION.sub(r"\1-\2", name)
    yield _RELEASE_DATE.sub("", _BEDROCK_VERSION.sub("", _DOTTED_VERSION.sub(r"\1-\2", name)))
    at = name.rfind("@")
    yield name[:at] if at > 0 else name
