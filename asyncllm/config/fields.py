"""The fields of a profile: their types, defaults, limits and meaning, and what belongs together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, SecretStr, Strict

# A header value outside of printable ASCII is refused by HTTP clients, some of which quote it in their error.
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # Source: RFC 9110, 5.6.2 (token)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names of variables are rarely this long with small letters and digits mixed; keys without dashes are.
_KEY_LENGTH = 20


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _thresholds(value: object) -> object:
    if isinstance(value, Mapping):
        return tuple({"category": category, "threshold": threshold} for category, threshold in value.items())
    return value


def _usable_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text:
        raise ValueError("must not be empty")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has blanks, line breaks or other characters that no key has")
    return key


def _usable_headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("has a name that no header can have: blanks, colons and the like are not allowed")
        if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise ValueError(f"has line breaks or characters outside of ASCII in the value of {name}")
    return headers


def _variable_name(name: str) -> str:
    looks_like_a_key = len(name) >= _KEY_LENGTH and any(map(str.islower, name)) and any(map(str.isdigit, name))
    if not _VARIABLE.fullmatch(name) or looks_like_a_key:
        raise ValueError("must be the name of an environment variable; a key itself goes into api_key")
    return name


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not any(map(str.isspace, url))
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise ValueError('must be a web address, for example "https://api.example.com/v1"')
    if "@" in parts.netloc:
        # An address is shown in messages and logs, where a password must not be.
        raise ValueError("must not hold a user name or password; send them in extra_headers")
    return url


Text = Annotated[str, Strict(), Field(min_length=1)]
Texts = tuple[Text, ...]
Url = Annotated[Text, AfterValidator(_web_address)]
Key = Annotated[SecretStr, AfterValidator(_usable_key)]
Headers = Annotated[Mapping[str, SecretStr], AfterValidator(_usable_headers)]
Table = Mapping[str, JsonValue]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(gt=0)]
Number = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
PositiveNumber = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
Switch = Annotated[bool, Strict()]

StructuredMode = Literal["auto", "tools", "json_schema", "json", "md_json"]
Transport = Literal["auto", "litellm", "wire"]


def _field(group: str, description: str, *, default: Any = None, unit: str = "", shown: str = "") -> Any:
    """Describe a field; `shown` is what documentation says for the default when the value itself says too little."""
    return Field(
        default=default, description=description, json_schema_extra={"group": group, "unit": unit, "shown": shown}
    )


class Fields(BaseModel):
    """What a profile can say. A field that is None is unset."""

    # Nobody makes one: `LLMConfig` is what is built, and building this one as well would take as long again.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    model: Text = Field(
        description="litellm's name, provider/model; simulated/... runs on the embedded simulator.",
        json_schema_extra={"group": "model", "unit": "", "shown": "required"},
    )

    api_key: Key | None = _field("connection", "The provider's key.")
    api_key_env: Annotated[Text, AfterValidator(_variable_name)] | None = _field(
        "connection", "The environment variable that holds the key; without it, the provider's usual variable."
    )
    base_url: Url | None = _field("connection", "The endpoint, when it is not the provider's own.")
    api_version: Text | None = _field("connection", "The version of the API, where a provider asks for one.")
    custom_llm_provider: Text | None = _field(
        "connection", "litellm's name of the provider, when the model's name lacks it."
    )
    extra_headers: Headers | None = _field("connection", "HTTP headers sent with every request.")
    aws_access_key_id: Key | None = _field("connection", "AWS access key.")
    aws_secret_access_key: Key | None = _field("connection", "AWS secret key.")
    aws_session_token: Key | None = _field("connection", "AWS session token.")
    aws_region_name: Text | None = _field("connection", "AWS region.")
    aws_profile_name: Text | None = _field("connection", "Profile of the AWS configuration files.")
    aws_role_name: Text | None = _field("connection", "AWS role to assume.")
    aws_session_name: Text | None = _field("connection", "Name of the session of the assumed role.")
    aws_external_id: Key | None = _field("connection", "External id that the role asks for.")
    aws_web_identity_token: Key | None = _field("connection", "Web identity token for the role, or where to find it.")
    aws_sts_endpoint: Url | None = _field("connection", "Endpoint of the AWS token service.")
    aws_bedrock_runtime_endpoint: Url | None = _field(
        "connection", "Endpoint of Bedrock, when it is not the region's own."
    )

    temperature: Number | None = _field("sampling", "Randomness of the answer.")
    top_p: Annotated[Number, Field(le=1)] | None = _field(
        "sampling", "Share of the probability mass to draw from, 0 to 1."
    )
    # vLLM and others switch the cut off with -1.
    top_k: Annotated[int, Strict(), Field(ge=-1)] | None = _field(
        "sampling", "Number of likeliest tokens to draw from."
    )
    seed: Annotated[int, Strict()] | None = _field("sampling", "Seed of the sampling, where a provider has one.")
    stop: Annotated[Texts, BeforeValidator(_one_or_many)] | None = _field("sampling", "Texts that end the answer.")
    reasoning_effort: Text | None = _field(
        "sampling", "How much a reasoning model thinks, for example low, medium, high."
    )
    safety_settings: Annotated[tuple[Mapping[str, Text], ...], BeforeValidator(_thresholds)] | None = _field(
        "sampling", "Gemini's safety thresholds: a table of category = threshold, or a list as the API takes it."
    )
    extra_body: Table | None = _field("sampling", "Further fields of the request's body; not for secrets, it is shown.")

    max_output_tokens: Positive | None = _field(
        "tokens", "Longest answer; where a provider needs a limit, the model's own is the default.", unit="tokens"
    )
    max_input_tokens: Positive | None = _field(
        "tokens", "Longest prompt; a longer one is refused before sending.", unit="tokens", shown="the model's"
    )

    timeout: PositiveNumber = _field(
        "time", "One attempt of a plain call, from sending to the last byte.", default=120.0, unit="s"
    )
    connect_timeout: PositiveNumber = _field("time", "One connection.", default=10.0, unit="s")
    first_token_timeout: PositiveNumber | None = _field(
        "time", "A stream, from sending to its first chunk.", unit="s", shown="as timeout"
    )
    idle_timeout: PositiveNumber = _field(
        "time", "A stream, between chunks, while the reader is waiting for one.", default=60.0, unit="s"
    )
    deadline: PositiveNumber | None = _field(
        "time",
        "The whole call: queueing, attempts, waits, re-asks, fallbacks; for a stream to its last chunk.",
        unit="s",
        shown="none",
    )

    num_retries: Count = _field("retries", "Tries after the first, for each target.", default=3)
    retry_min_wait: Number = _field("retries", "Shortest wait before a retry.", default=0.5, unit="s")
    retry_max_wait: Number = _field(
        "retries", "Longest wait before a retry, Retry-After aside.", default=30.0, unit="s"
    )
    retry_multiplier: Annotated[Number, Field(ge=1)] = _field(
        "retries", "Growth of the wait with each retry.", default=2.0
    )
    fallbacks: Texts = _field("retries", "Profiles tried in order when this one fails.", default=(), shown="none")

    max_concurrency: Positive = _field("limits", "Places of this client; first come, first served.", default=100)
    max_queue: Count | None = _field(
        "limits", "Callers waiting for a slot, beyond which OverloadedError is raised.", shown="none"
    )
    requests_per_minute: PositiveNumber | None = _field(
        "limits", "Shared by all clients of the process with the same provider, endpoint and key.", shown="none"
    )
    tokens_per_minute: PositiveNumber | None = _field(
        "limits", "Shared by all clients of the process with the same provider, endpoint and key.", shown="none"
    )
    adaptive: Switch | None = _field("limits", "Find and follow the provider's limit.", shown="false; true in batches")

    budget_usd: PositiveNumber | None = _field(
        "money", "Most that this client, or one batch when given there, may spend.", unit="USD", shown="none"
    )
    input_cost_per_token: Number | None = _field(
        "money", "Own price of an input token, for this profile only.", unit="USD", shown="the model's"
    )
    output_cost_per_token: Number | None = _field(
        "money", "Own price of an output token, for this profile only.", unit="USD", shown="the model's"
    )
    cached_input_cost_per_token: Number | None = _field(
        "money", "Own price of a cached input token, for this profile only.", unit="USD", shown="the model's"
    )

    drop_params: Switch = _field(
        "behaviour", "Drop and log parameters that the model does not know; false: refuse them.", default=True
    )
    disable_vision: Switch = _field("behaviour", "Refuse images.", default=False)
    caching_prompt: Switch = _field(
        "behaviour", "Mark the system prompt and the last user turn for the provider's cache.", default=False
    )
    custom_tokenizer: Text | None = _field("behaviour", "Count tokens with this tokenizer.")
    structured_mode: StructuredMode = _field("behaviour", "How typed answers are asked for.", default="auto")
    max_reasks: Count = _field("behaviour", "How often a bad typed answer is asked for again.", default=2)
    transport: Transport = _field("behaviour", "What talks to the provider.", default="auto")
    log_prompts: Switch = _field("behaviour", "Put prompts and answers into log events.", default=False)


KEY_FIELDS = frozenset({"api_key", "api_key_env"})
"""Two ways to name the key: the one named nearest to the profile wins."""

ENDPOINTS = frozenset({"base_url", "aws_bedrock_runtime_endpoint", "aws_sts_endpoint"})
"""Where requests go."""

CREDENTIALS = KEY_FIELDS | {
    "extra_headers",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_profile_name",
    "aws_role_name",
    "aws_session_name",
    "aws_external_id",
    "aws_web_identity_token",
}
"""What opens an endpoint, and must not reach another one."""

CONNECTION_GROUP = CREDENTIALS | ENDPOINTS | {"api_version", "custom_llm_provider", "aws_region_name"}
"""Inherited together, and only while the provider stays the same."""

TABLE_FIELDS = frozenset({"extra_headers", "extra_body", "safety_settings"})
"""Fields that TOML writes as a table of their own."""

HIDDEN = CONNECTION_GROUP - {"api_version", "custom_llm_provider", "aws_region_name"} | TABLE_FIELDS
"""Fields whose values no message shows."""

OF_EVERY_TARGET = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "seed",
        "stop",
        "reasoning_effort",
        "max_output_tokens",
        "timeout",
        "connect_timeout",
        "first_token_timeout",
        "idle_timeout",
        "deadline",
        "num_retries",
        "retry_min_wait",
        "retry_max_wait",
        "retry_multiplier",
        "drop_params",
        "disable_vision",
        "caching_prompt",
        "max_reasks",
        "log_prompts",
    }
)
"""How to call, rather than whom: what an argument says of these holds for the fallbacks of the profile too."""


def field_note(name: str, note: str) -> str:
    """Give one of the notes kept beside a field: its `group`, its `unit`, or what to show as its default (`shown`)."""
    extra = Fields.model_fields[name].json_schema_extra
    return str(extra[note]) if isinstance(extra, dict) else ""


def choices(name: str) -> tuple[str, ...]:
    """Give the values of a field that takes one of a few words; nothing for any other field."""
    annotation = Fields.model_fields[name].annotation if name in Fields.model_fields else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def field_kind(name: str) -> type:
    """Give the kind of a field's value: bool, int, float, list, dict or str; str also for an unknown field."""
    return _kind(Fields.model_fields[name].annotation) if name in Fields.model_fields else str


def _kind(annotation: object) -> type:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return _kind(next(argument for argument in arguments if argument is not NoneType))
    if origin is Annotated:
        return _kind(arguments[0])
    for kind, python in ((tuple, list), (Mapping, dict)):
        if origin is kind or (isinstance(origin, type) and issubclass(origin, kind)):
            return python
    return annotation if annotation in (bool, int, float) and isinstance(annotation, type) else str
