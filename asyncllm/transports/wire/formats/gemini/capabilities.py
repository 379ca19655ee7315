"""The capabilities of Gemini's models, as litellm derives them from their names and its model map."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from asyncllm.models import catalog

from ..model_facts import facts_of, is_listed

_PROVIDER = "gemini"
# The names of the generations before the third; an unknown name is taken for a new model.
# Source: litellm's VertexGeminiConfig._is_gemini_3_or_newer.
_BEFORE_THIRD = re.compile(r"gemini-(?:[12](?:\.\d+)?|exp|(?:pro|flash)(?!-(?:lite-)?latest$))(?:-|$)|gemma-|\d+$")
# Source: litellm/llms/vertex_ai/common_utils.py, supports_response_json_schema.
_JSON_SCHEMA = re.compile(r"gemini-(?:[2-9]|[1-9]\d+)[.-]")
# A model before the third generation that takes no penalties. Source: litellm's _supports_penalty_parameters.
_WITHOUT_PENALTIES = "gemini-2.5-pro-preview-06-05"
# The least budgets of thinking tokens, of which the first that is part of the name counts.
# Source: litellm/constants.py, DEFAULT_REASONING_EFFORT_MINIMAL_THINKING_BUDGET*.
_LEAST_BUDGETS = (("gemini-2.5-flash-lite", 512), ("gemini-2.5-pro", 128), ("gemini-2.5-flash", 1), ("", 128))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The capabilities of one model.

    Attributes:
        since_third: Whether it is of the third generation or later: it thinks by level, matches results with calls by
            id, demands the signatures of calls, and takes the resolution of each image.
        thinks: Whether it takes `thinking` and `reasoning_effort`.
        least_budget: The thinking tokens of the effort `minimal`.
        least_level: The level of thinking of the efforts `minimal` and `none`.
        takes_penalties: Whether it takes `frequency_penalty` and `presence_penalty`.
        takes_system: Whether it takes a system instruction.
        has_json_schemas: Whether it takes JSON Schema, rather than the API's subset only.
        has_schemas: Whether it takes schemas of an answer at all.
        has_speech: Whether it makes speech of a text.
        resolves_together: Whether one resolution applies to all images of a request.
    """

    since_third: bool = True
    thinks: bool = True
    least_budget: int = 128
    least_level: str = "low"
    takes_penalties: bool = False
    takes_system: bool = True
    has_json_schemas: bool = False
    has_schemas: bool = True
    has_speech: bool = False
    resolves_together: bool = False


@lru_cache(maxsize=128)  # one for each model that a process talks to
def capabilities_of(name: str) -> Capabilities:
    """Return the capabilities of a model by its name, which has no prefix."""
    found = facts_of(name, _PROVIDER)
    short = name.rpartition("/")[2].lower()
    since_third = bool(short) and _BEFORE_THIRD.match(short) is None
    return Capabilities(
        since_third=since_third,
        thinks=since_third or is_listed(name, found, "supports_reasoning"),
        least_budget=next(budget for part, budget in _LEAST_BUDGETS if part in name.lower()),
        least_level="minimal" if since_third and "flash" in short and _has_minimal(name, found) else "low",
        takes_penalties=not since_third and name != _WITHOUT_PENALTIES,
        takes_system=_takes_system(name, short, found),
        has_json_schemas=_JSON_SCHEMA.search(name.lower()) is not None,
        has_schemas=is_listed(name, found, "supports_response_schema"),
        has_speech="tts" in name,
        resolves_together="gemini-2" in name,
    )


def _has_minimal(name: str, found: Mapping[str, object]) -> bool:
    flag = "supports_minimal_reasoning_effort"
    return found.get(flag) is not False and (catalog.entry(name) or {}).get(flag) is not False


def _takes_system(name: str, short: str, found: Mapping[str, object]) -> bool:
    # A Gemini that is not in the map is a retired or a new one, which take one.
    return is_listed(name, found, "supports_system_messages") if found else short.startswith("gemini-")
