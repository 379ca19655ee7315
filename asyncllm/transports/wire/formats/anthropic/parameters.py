"""Mapping of chat-completions parameters to the fields of a body, by a table of their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from asyncllm.transports.wire.rules.parameter_rules import DECIDED, PASSED_ON

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping
from .capabilities import Capabilities
from .schemas import output_schema
from .thinking import is_thinking_asked_for, map_thinking, thinks
from .tools import JSON_TOOL, convert_choice, convert_tools, json_tool

# The beta of `output_format`. Source: litellm/types/llms/anthropic.py, ANTHROPIC_BETA_HEADER_VALUES.
_STRUCTURED_OUTPUTS = "structured-outputs-2025-11-13"
# Anthropic's service tiers; `default` is OpenAI's name for standard capacity only.
_TIERS = {"auto": "auto", "standard_only": "standard_only", "default": "standard_only"}
# Personal data that the API refuses as a `user_id`. Source: litellm's _valid_user_id.
_EMAIL = re.compile(r"[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$")
_TELEPHONE = re.compile(r"\+?[\d\s\(\)-]{7,}$")
# These depend on each other and on `max_tokens`, and are mapped after the others.
_TOGETHER = frozenset(
    ("parallel_tool_calls", "reasoning_effort", "response_format", "thinking", "tool_choice", "tools")
)
# Not fields of the body; `stream_options` has no effect, since every stream reports its usage.
_BESIDE = frozenset(("extra_body", "extra_headers", "stream_options"))
_NEVER_EXTRA = frozenset(("model",))  # the profile decides it


class AnthropicParameters:
    """The parameters of a request in Anthropic's terms.

    Attributes:
        sent: The fields of the body beside the model and the messages.
        dropped: Names of the parameters that the model does not take.
        betas: The betas that the fields need.
        answers_by_tool: Whether the answer is the arguments of a tool that stands in for a response format.
        head: `sent` encoded, without its closing brace, where many requests share it; else empty.
    """

    __slots__ = ("answers_by_tool", "betas", "dropped", "head", "sent")

    def __init__(self) -> None:
        self.sent: JsonObject = {}
        self.dropped: list[str] = []
        self.betas: tuple[str, ...] = ()
        self.answers_by_tool = False
        self.head = b""


def map_parameters(params: Mapping[str, object], capabilities: Capabilities) -> AnthropicParameters:
    """Return the fields of a body for the parameters of a request.

    Raises:
        UnservedError: litellm has to serve the request.
    """
    mapped = AnthropicParameters()
    together = False
    for name, value in params.items():
        mapping = _MAPPINGS.get(name)
        if mapping is not None:
            mapping(mapped, name, value, capabilities)
        elif name in _TOGETHER:
            together = True
        elif name in PASSED_ON:
            mapped.sent[name] = value
        elif name in _BESIDE:
            continue
        elif name in DECIDED:
            mapped.dropped.append(name)
        else:
            raise UnservedError(f"{name} is not a known parameter, and litellm may use it")
    if together:
        _map_together(params, capabilities, mapped)
    mapped.sent.setdefault("max_tokens", capabilities.max_tokens)
    extra = params.get("extra_body")
    if is_mapping(extra):
        mapped.sent.update((name, value) for name, value in extra.items() if name not in _NEVER_EXTRA)
    return mapped


def _map_together(params: Mapping[str, object], capabilities: Capabilities, mapped: AnthropicParameters) -> None:
    if "response_format" in params:
        _map_format(params, capabilities, mapped)
    if "thinking" in params or "reasoning_effort" in params:
        map_thinking(params, capabilities, mapped.sent, mapped.dropped)
    if params.get("tools"):
        tools = mapped.sent.get("tools")
        mapped.sent["tools"] = [*(tools if is_list(tools) else ()), *convert_tools(params["tools"])]
        # The API refuses a tool_choice without tools.
        choice = convert_choice(params.get("tool_choice"), params.get("parallel_tool_calls"))
        if choice is not None:
            can_be_forced = capabilities.can_be_forced and not thinks(mapped.sent)
            mapped.sent["tool_choice"] = choice if can_be_forced else _unforced(choice, mapped)


def _map_format(params: Mapping[str, object], capabilities: Capabilities, mapped: AnthropicParameters) -> None:
    """Constrain the answer to a schema: natively where the model supports it, else by a forced tool call."""
    value = params["response_format"]
    if not is_mapping(value):
        raise UnservedError("litellm derives the schema of a class given as response_format")
    schema = _schema_in(value)
    if schema is None:
        if value.get("type") == "json_object":
            mapped.dropped.append("response_format")  # the API has no JSON mode
        return
    if capabilities.has_schemas:
        mapped.sent["output_format"] = {"type": "json_schema", "schema": output_schema(schema)}
        mapped.betas = (_STRUCTURED_OUTPUTS,)
        return
    if value.get("type") == "text":
        return
    mapped.sent["tools"] = [json_tool(schema)]
    mapped.answers_by_tool = True
    if capabilities.can_be_forced and not (capabilities.thinks and is_thinking_asked_for(params)):
        mapped.sent["tool_choice"] = {"name": JSON_TOOL, "type": "tool"}


def _schema_in(value: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return the schema of a response format; None for one that names none, such as `json_object`."""
    if "response_schema" in value:
        schema = value["response_schema"]
    elif "json_schema" in value:
        named = value["json_schema"]
        schema = named.get("schema") if is_mapping(named) else None
    else:
        return None
    if not is_mapping(schema):
        raise UnservedError("response_format has no schema")
    return schema


def _unforced(choice: JsonObject, mapped: AnthropicParameters) -> JsonObject:
    """Downgrade a forced choice to `auto`, and report it as dropped."""
    if choice["type"] not in ("any", "tool"):
        return choice
    mapped.dropped.append("tool_choice")
    return {"type": "auto", **{name: value for name, value in choice.items() if name not in ("type", "name")}}


def _send(mapped: AnthropicParameters, name: str, value: object, _capabilities: Capabilities) -> None:
    mapped.sent[name] = value


def _limit(mapped: AnthropicParameters, name: str, value: object, _capabilities: Capabilities) -> None:
    if not isinstance(value, int | float):
        raise UnservedError(f"{name} is no number")
    if name == "max_completion_tokens" or "max_tokens" not in mapped.sent:
        mapped.sent["max_tokens"] = value if isinstance(value, int) else max(1, round(value))


def _sample(mapped: AnthropicParameters, name: str, value: object, capabilities: Capabilities) -> None:
    if capabilities.samples or (name == "temperature" and value == 1):
        mapped.sent[name] = value
    else:
        mapped.dropped.append(name)


def _stop(mapped: AnthropicParameters, _name: str, value: object, _capabilities: Capabilities) -> None:
    if not isinstance(value, str) and not is_list(value):
        raise UnservedError("stop is neither a text nor a list")
    if value:
        mapped.sent["stop_sequences"] = [value] if isinstance(value, str) else list(value)


def _user(mapped: AnthropicParameters, _name: str, value: object, _capabilities: Capabilities) -> None:
    if _is_user_id(value):
        mapped.sent.setdefault("metadata", {"user_id": value})


def _metadata(mapped: AnthropicParameters, name: str, value: object, _capabilities: Capabilities) -> None:
    if not is_mapping(value):
        raise UnservedError("metadata is no object")
    if _is_user_id(value.get("user_id")):
        mapped.sent["metadata"] = {"user_id": value["user_id"]}
    if value.keys() - {"user_id"}:
        mapped.dropped.append(name)


def _is_user_id(value: object) -> bool:
    return isinstance(value, str) and not _EMAIL.match(value) and not _TELEPHONE.match(value)


def _tier(mapped: AnthropicParameters, name: str, value: object, _capabilities: Capabilities) -> None:
    tier = _TIERS.get(str(value))
    if tier is None:
        mapped.dropped.append(name)
    else:
        mapped.sent[name] = tier


def _choices(mapped: AnthropicParameters, name: str, value: object, _capabilities: Capabilities) -> None:
    if value != 1:
        mapped.dropped.append(name)


def _elsewhere(_mapped: AnthropicParameters, name: str, _value: object, _capabilities: Capabilities) -> None:
    raise UnservedError(f"{name} is mapped by litellm")


_MAPPINGS: Mapping[str, Callable[[AnthropicParameters, str, object, Capabilities], None]] = {
    "cache_control": _send,
    "context_management": _elsewhere,
    "max_completion_tokens": _limit,
    "max_tokens": _limit,
    "metadata": _metadata,
    "n": _choices,
    "service_tier": _tier,
    "stop": _stop,
    "temperature": _sample,
    "top_k": _sample,
    "top_p": _sample,
    "user": _user,
    "web_search_options": _elsewhere,
}
