"""Mapping of chat-completions parameters to the fields of a body, by a table of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from asyncllm.transports.wire.rules.parameter_rules import DECIDED, PASSED_ON

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping, is_object
from .capabilities import Capabilities
from .schemas import subset
from .thinking import thinking_config
from .tools import convert_choice, convert_tools

# Fields of generationConfig by the names of parameters: those of chat completions, and the API's own in both spellings.
_CONFIG: Mapping[str, str] = {
    "max_completion_tokens": "maxOutputTokens",
    "max_output_tokens": "maxOutputTokens",
    "max_tokens": "maxOutputTokens",
    "n": "candidateCount",
    "seed": "seed",
    "temperature": "temperature",
    "top_k": "topK",
    "top_p": "topP",
    "imageConfig": "imageConfig",
    "image_config": "imageConfig",
    "mediaResolution": "mediaResolution",
    "media_resolution": "mediaResolution",
    "responseModalities": "responseModalities",
    "response_modalities": "responseModalities",
    "speechConfig": "speechConfig",
    "speech_config": "speechConfig",
    "thinkingConfig": "thinkingConfig",
    "thinking_config": "thinkingConfig",
}
_MODALITIES = {"text": "TEXT", "image": "IMAGE", "audio": "AUDIO", "video": "VIDEO"}
# These depend on each other or on the model as a whole, and are mapped after the others.
_TOGETHER = frozenset(("logprobs", "reasoning_effort", "thinking", "tool_choice", "tools", "top_logprobs"))
# Not fields of the body; `stream_options` has no effect, since every stream reports its usage.
_BESIDE = frozenset(("extra_body", "extra_headers", "stream_options"))
_LEFT = {
    "function_call": "function_call is mapped by litellm",
    "functions": "functions is mapped by litellm",
    "include_server_side_tool_invocations": "the calls of Google's own tools are put back by litellm",
    "web_search_options": "litellm chooses between search and functions",
}
"""The parameters that are left to litellm, and why."""

# The API takes fields in both spellings, but not one field in both.
_SPELLINGS = {
    "cached_content": "cachedContent",
    "generation_config": "generationConfig",
    "safety_settings": "safetySettings",
    "system_instruction": "systemInstruction",
    "tool_config": "toolConfig",
}
_NEVER_EXTRA = frozenset(("cache", "model", "tags"))  # the profile decides the model; litellm keeps the others


class GeminiParameters:
    """The parameters of a request in Gemini's terms.

    Attributes:
        sent: The fields of the body beside the messages.
        config: The `generationConfig` among them.
        dropped: Names of the parameters that the model does not take.
        head: `sent` encoded, without its closing brace, where many requests share it; else empty.
    """

    __slots__ = ("config", "dropped", "head", "sent")

    def __init__(self) -> None:
        self.sent: JsonObject = {}
        self.config: JsonObject = {}
        self.dropped: list[str] = []
        self.head = b""


def map_parameters(params: Mapping[str, object], capabilities: Capabilities) -> GeminiParameters:
    """Return the fields of a body for the parameters of a request.

    Raises:
        UnservedError: litellm has to serve the request.
    """
    mapped = GeminiParameters()
    for name, value in params.items():
        mapping = _MAPPINGS.get(name)
        if mapping is not None:
            mapping(mapped, name, value, capabilities)
        elif name in _CONFIG:
            mapped.config[_CONFIG[name]] = value
        elif name in _LEFT:
            raise UnservedError(_LEFT[name])
        elif name in _TOGETHER or name in _BESIDE:
            continue
        elif name in DECIDED or name in PASSED_ON:
            mapped.dropped.append(name)
        else:
            raise UnservedError(f"{name} is not a known parameter, and litellm may use it")
    if params.get("tools"):
        mapped.sent["tools"] = convert_tools(params["tools"], capabilities)
        if params.get("tool_choice") is not None:  # the API refuses one without tools
            mapped.sent["toolConfig"] = convert_choice(params["tool_choice"])
    if "logprobs" in params:
        mapped.config["responseLogprobs"] = params["logprobs"]
        if params["logprobs"] and "top_logprobs" in params:  # the API refuses it without the other
            mapped.config["logprobs"] = params["top_logprobs"]
    _map_thinking(params, capabilities, mapped)
    if capabilities.since_third:
        mapped.config.setdefault("temperature", 1.0)  # Source: litellm, after Google's advice for these models
    if mapped.config:
        mapped.sent["generationConfig"] = mapped.config
    _add_extra(params.get("extra_body"), mapped)
    return mapped


def _map_thinking(params: Mapping[str, object], capabilities: Capabilities, mapped: GeminiParameters) -> None:
    names = [name for name in ("reasoning_effort", "thinking") if name in params]
    if not names:
        return
    if not capabilities.thinks:
        mapped.dropped += names
        return
    config = thinking_config(params, capabilities)
    if config is not None:
        mapped.config["thinkingConfig"] = config


def _add_extra(extra: object, mapped: GeminiParameters) -> None:
    """Add the fields of `extra_body`; an object is added to one that is there."""
    if not is_mapping(extra):
        return
    for given, value in extra.items():
        name = _SPELLINGS.get(given, given)
        before = mapped.sent.get(name)
        if name in _NEVER_EXTRA:
            continue
        mapped.sent[name] = {**before, **value} if is_object(before) and is_mapping(value) else value
    config = mapped.sent.get("generationConfig")
    mapped.config = config if is_object(config) else {}


def _map_format(mapped: GeminiParameters, _name: str, value: object, capabilities: Capabilities) -> None:
    """Constrain the answer to JSON, or to a schema in the form that the model takes."""
    if not is_mapping(value):
        raise UnservedError("litellm derives the schema of a class given as response_format")
    kind, named = value.get("type"), value.get("json_schema")
    if kind == "text":
        mapped.config["responseMimeType"] = "text/plain"
    schema = value.get("response_schema", named.get("schema") if is_mapping(named) and kind == "json_schema" else None)
    if schema is not None or kind == "json_object":
        mapped.config["responseMimeType"] = "application/json"
    if not schema:
        return
    if not is_mapping(schema):
        raise UnservedError("response_format has no schema that is an object")
    if capabilities.has_json_schemas:
        mapped.config["responseJsonSchema"] = dict(schema)
    elif capabilities.has_schemas:
        mapped.config["responseSchema"] = subset(schema, ordered=True)
    else:
        raise UnservedError("litellm writes the schema into the prompt for a model that takes none")


def _stop(mapped: GeminiParameters, _name: str, value: object, _capabilities: Capabilities) -> None:
    if not isinstance(value, str) and not is_list(value):
        raise UnservedError("stop is neither a text nor a list")
    mapped.config["stopSequences"] = [value] if isinstance(value, str) else list(value)


def _penalty(mapped: GeminiParameters, name: str, value: object, capabilities: Capabilities) -> None:
    if capabilities.takes_penalties:
        mapped.config["frequencyPenalty" if name == "frequency_penalty" else "presencePenalty"] = value
    else:
        mapped.dropped.append(name)


def _modalities(mapped: GeminiParameters, _name: str, value: object, _capabilities: Capabilities) -> None:
    if not is_list(value):
        raise UnservedError("modalities is no list")
    mapped.config["responseModalities"] = [_MODALITIES.get(str(kind), "MODALITY_UNSPECIFIED") for kind in value]


def _audio(mapped: GeminiParameters, name: str, _value: object, capabilities: Capabilities) -> None:
    if capabilities.has_speech:
        raise UnservedError("the voice of speech is mapped by litellm")
    mapped.dropped.append(name)


def _parallel(mapped: GeminiParameters, name: str, value: object, _capabilities: Capabilities) -> None:
    if value is False:  # the API has no such setting
        mapped.dropped.append(name)


def _tier(mapped: GeminiParameters, _name: str, value: object, _capabilities: Capabilities) -> None:
    tier = value.lower() if isinstance(value, str) else value
    mapped.sent["serviceTier"] = {"auto": "priority", "default": "standard"}.get(str(tier), tier)


def _safety(mapped: GeminiParameters, _name: str, value: object, _capabilities: Capabilities) -> None:
    mapped.sent["safetySettings"] = value


def _cached(mapped: GeminiParameters, _name: str, value: object, _capabilities: Capabilities) -> None:
    mapped.sent["cachedContent"] = value


_MAPPINGS: Mapping[str, Callable[[GeminiParameters, str, object, Capabilities], None]] = {
    "audio": _audio,
    "cached_content": _cached,
    "frequency_penalty": _penalty,
    "modalities": _modalities,
    "parallel_tool_calls": _parallel,
    "presence_penalty": _penalty,
    "response_format": _map_format,
    "safety_settings": _safety,
    "service_tier": _tier,
    "stop": _stop,
}
