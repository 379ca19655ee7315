"""`thinking` and `reasoning_effort` as budgets of tokens, or as efforts where the model adapts."""

from __future__ import annotations

from collections.abc import Mapping

from ..format import UnservedError
from ..json_values import JsonObject, is_mapping
from .capabilities import Capabilities

# Tokens of thinking for an effort. Source: litellm/constants.py, DEFAULT_REASONING_EFFORT_*_THINKING_BUDGET.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_LEAST_BUDGET = 1024  # what the API takes
# The answer's room beside the budget where no limit is set. Source: litellm/constants.py, DEFAULT_MAX_TOKENS.
_ROOM_TOKENS = 4096
_CARRIED = ("display", "block_binding")  # kept when a budget is replaced by an effort
_DISPLAYS = ("summarized", "omitted")
_NEEDS_BETA = "litellm adds the beta that display = updates needs"


def map_thinking(
    params: Mapping[str, object], capabilities: Capabilities, sent: JsonObject, dropped: list[str]
) -> None:
    """Add the fields for `thinking` and `reasoning_effort` to a body.

    Args:
        params: The request's parameters, with `thinking`, `reasoning_effort` or both.
        capabilities: The model's.
        sent: The fields so far, with `max_tokens` if the request sets it; changed in place.
        dropped: Names of the parameters that the model does not take; changed in place.

    Raises:
        UnservedError: litellm has to serve the request.
    """
    if not capabilities.thinks:
        dropped.extend(name for name in ("reasoning_effort", "thinking") if name in params)
        return
    if "reasoning_effort" in params:
        _apply_effort(params["reasoning_effort"], capabilities, sent, dropped)
    if "thinking" in params:
        _apply_thinking(_normalized(params["thinking"]), capabilities, sent, dropped)
    thinking = sent.get("thinking")
    budget = thinking.get("budget_tokens") if is_mapping(thinking) and thinking.get("type") == "enabled" else None
    if "max_tokens" not in sent and isinstance(budget, int):
        sent["max_tokens"] = budget + _ROOM_TOKENS


def is_thinking_asked_for(params: Mapping[str, object]) -> bool:
    """Return whether litellm takes thinking for enabled; then it forces no tool for a response format."""
    thinking = params.get("thinking")
    kind = thinking.get("type") if is_mapping(thinking) else None
    return thinking is True or kind == "enabled" or params.get("reasoning_effort") is not None


def thinks(sent: JsonObject) -> bool:
    """Return whether thinking is enabled in a body; the API then refuses to force a tool."""
    thinking = sent.get("thinking")
    return is_mapping(thinking) and thinking.get("type") in ("enabled", "adaptive")


def _apply_effort(value: object, capabilities: Capabilities, sent: JsonObject, dropped: list[str]) -> None:
    effort = value.get("effort") if is_mapping(value) else value
    if not isinstance(effort, str) or effort == "none":
        return
    if effort not in _EFFORTS or (effort == "xhigh" and capabilities.adapts_thinking and not capabilities.takes_xhigh):
        raise UnservedError(f"litellm refuses the reasoning_effort {effort!r} for the model")
    if capabilities.adapts_thinking:
        # Without `display` the thinking comes back empty.
        sent["thinking"] = {"type": "adaptive", "display": "summarized"}
        sent["output_config"] = {"effort": _EFFORTS[effort]}
    else:
        _put_budget("reasoning_effort", _BUDGETS[effort], sent, dropped)


def _apply_thinking(
    thinking: Mapping[str, object] | None, capabilities: Capabilities, sent: JsonObject, dropped: list[str]
) -> None:
    if thinking is None:
        return
    if thinking.get("display") == "updates":
        raise UnservedError(_NEEDS_BETA)
    kind = thinking.get("type")
    if kind == "adaptive" and not capabilities.adapts_thinking:
        sent.pop("thinking", None)
        _put_budget("thinking", _BUDGETS["medium"], sent, dropped)
    elif kind == "enabled" and not capabilities.takes_budgets:
        shown = {name: thinking[name] for name in _CARRIED if thinking.get(name) is not None}
        if shown.get("display") not in _DISPLAYS:
            shown.pop("display", None)
        configured = sent.get("output_config")
        effort = _effort_for(thinking.get("budget_tokens"), capabilities)
        sent["thinking"] = {"type": "adaptive", **shown}
        sent["output_config"] = {"effort": effort, **(configured if is_mapping(configured) else {})}
    elif kind == "disabled" and capabilities.always_thinks:
        sent.pop("thinking", None)
        dropped.append("thinking")
    else:
        sent["thinking"] = dict(thinking)


def _put_budget(name: str, budget: int, sent: JsonObject, dropped: list[str]) -> None:
    """Set a budget below the request's `max_tokens`, as the API requires; drop it where there is no room."""
    limit = sent.get("max_tokens")
    if isinstance(limit, int) and limit <= _LEAST_BUDGET:
        dropped.append(name)
        return
    budget = min(budget, limit - 1) if isinstance(limit, int) else budget
    sent["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _effort_for(budget: object, capabilities: Capabilities) -> str:
    tokens = budget if isinstance(budget, int | float) else 0
    if tokens >= _BUDGETS["xhigh"] and capabilities.takes_xhigh:
        return "xhigh"
    return "high" if tokens >= _BUDGETS["high"] else "medium" if tokens >= _BUDGETS["medium"] else "low"


def _normalized(thinking: object) -> Mapping[str, object] | None:
    if isinstance(thinking, bool):
        return {"type": "enabled", "budget_tokens": _BUDGETS["medium"]} if thinking else None
    if not is_mapping(thinking):
        raise UnservedError("thinking is neither an object nor a bool")
    if "budgetTokens" not in thinking:
        return thinking
    rest = {name: value for name, value in thinking.items() if name != "budgetTokens"}
    return {"budget_tokens": thinking["budgetTokens"], **rest}
