"""`reasoning_effort` and `thinking` as a `thinkingConfig`: by budget, or by level since the third generation."""

from __future__ import annotations

from collections.abc import Mapping

from ..format import UnservedError
from ..json_values import JsonObject, is_mapping
from .capabilities import Capabilities

# Tokens of thinking for an effort. Source: litellm/constants.py, DEFAULT_REASONING_EFFORT_*_THINKING_BUDGET.
_BUDGETS = {"low": 1024, "medium": 2048, "high": 4096, "disable": 0, "none": 0}
_LEVELS = ("low", "medium", "high")
_OFF = ("disable", "none")


def thinking_config(params: Mapping[str, object], capabilities: Capabilities) -> JsonObject | None:
    """Return the `thinkingConfig` of a request; None where it sets none.

    Args:
        params: The request's parameters, with `thinking`, `reasoning_effort` or both.
        capabilities: The model's.

    Raises:
        UnservedError: litellm has to refuse the request.
    """
    if params.get("thinking") is None:
        return _of_effort(params.get("reasoning_effort"), capabilities)
    if "reasoning_effort" in params and capabilities.since_third:
        raise UnservedError("litellm refuses thinking beside reasoning_effort")
    return _of_thinking(params["thinking"], capabilities)


def _of_effort(value: object, capabilities: Capabilities) -> JsonObject | None:
    effort = value.get("effort") if is_mapping(value) else value
    if effort is None:
        return None
    if not isinstance(effort, str) or (effort != "minimal" and effort not in _BUDGETS):
        raise UnservedError(f"litellm refuses the reasoning_effort {effort!r} for the model")
    shown = effort not in _OFF
    if capabilities.since_third:
        level = effort if effort in _LEVELS else capabilities.least_level
        return {"thinkingLevel": level, "includeThoughts": shown}
    budget = capabilities.least_budget if effort == "minimal" else _BUDGETS[effort]
    return {"thinkingBudget": budget, "includeThoughts": shown}


def _of_thinking(thinking: object, capabilities: Capabilities) -> JsonObject:
    if not is_mapping(thinking):
        raise UnservedError("thinking is no object")
    budget = thinking.get("budget_tokens")
    is_on = thinking.get("type") == "enabled" and budget != 0
    if capabilities.since_third:
        return {"includeThoughts": is_on}  # the model decides how much
    config: JsonObject = {"includeThoughts": True} if is_on else {}
    return {**config, "thinkingBudget": budget} if isinstance(budget, int) else config
