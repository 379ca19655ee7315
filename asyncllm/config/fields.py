"""The fields of a profile: types, defaults, bounds, descriptions and groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    SecretStr,
    Strict,
)

from ..narrowing import is_mapping
from .redis_connection import check_redis_url, is_redis_url, shown_url

# HTTP clients refuse a header value outside printable ASCII, and some quote it in their error.
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # Source: RFC 9110, 5.6.2 (token)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A name this long that mixes lower case and digits is more likely a key than the name of a variable.
_KEY_LENGTH = 20


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _thresholds(value: object) -> object:
    if is_mapping(value):
        return tuple({"category": category, "threshold": threshold} for category, threshold in value.items())
    return value


def _usable_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text:
        raise ValueError("must not be empty")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must not contain spaces, line breaks or characters outside ASCII")
    return key


def _usable_headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError("contains an invalid header name: spaces, colons and other separators are not allowed")
        if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise ValueError(f"contains line breaks or characters outside ASCII in the value of {name}")
    return headers


def _variable_name(name: str) -> str:
    looks_like_a_key = len(name) >= _KEY_LENGTH and any(map(str.islower, name)) and any(map(str.isdigit, name))
    if not _VARIABLE.fullmatch(name) or looks_like_a_key:
        raise ValueError("must be the name of an environment variable; the key itself goes into api_key")
    return name


def _usable_url(url: str) -> str:
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or any(map(str.isspace, url)):
        raise ValueError('must be a URL, for example "https://api.example.com/v1"')
    if "@" in parts.netloc:
        # URLs are shown in messages and logs, where a password must not appear.
        raise ValueError("must not contain a user name or password; send them in extra_headers")
    return url


def _usable_file(path: str) -> str:
    if "://" in path:
        raise ValueError('must be the name of a file, for example "calls.sqlite"')
    return path


def _usable_limits_store(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if text.partition("://")[0] != "ray":  # a store that `asyncllm.distributed` makes
        check_redis_url(text)
    return url


class _MaskedUrl(str):
    """A URL that shows without its password where it is printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(_without_password(self))


def _without_password(location: str) -> str:
    return shown_url(location) if isinstance(location, _MaskedUrl) else location


def _usable_cache(location: str) -> str:
    if "://" not in location:
        return location
    if not is_redis_url(location):
        raise ValueError('must be the name of a file, or a URL of Redis such as "redis://localhost:6379/0"')
    return _MaskedUrl(check_redis_url(location))


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed on access only
    except ValueError:
        return None
    return parts


String = Annotated[str, Strict(), Field(min_length=1)]
Strings = tuple[String, ...]
Url = Annotated[String, AfterValidator(_usable_url)]
StoreUrl = Annotated[SecretStr, AfterValidator(_usable_limits_store)]
Key = Annotated[SecretStr, AfterValidator(_usable_key)]
Headers = Annotated[Mapping[str, SecretStr], AfterValidator(_usable_headers)]
Table = Mapping[str, JsonValue]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(gt=0)]
Number = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
PositiveNumber = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
Boolean = Annotated[bool, Strict()]

StructuredMode = Literal["auto", "tools", "json_schema", "json", "md_json"]
TransportName = Literal["auto", "litellm", "wire"]
CacheMode = Literal["use", "off", "refresh", "only"]


def _field(group: str, description: str, *, default: Any = None, unit: str = "", shown: str = "") -> Any:
    """Declare a field; `shown` is the default as documentation shows it, where its value says too little."""
    return Field(
        default=default, description=description, json_schema_extra={"group": group, "unit": unit, "shown": shown}
    )


class Fields(BaseModel):
    """The fields of a profile; None means unset."""

    # Built on first use: only files and variables are validated with this class, and building it takes time.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    model: String = Field(
        description="litellm's name, provider/model; simulated/... runs on the embedded simulator.",
        json_schema_extra={"group": "model", "unit": "", "shown": "required"},
    )

    api_key: Key | None = _field("connection", "The provider's key.")
    api_key_env: Annotated[String, AfterValidator(_variable_name)] | None = _field(
        "connection", "The environment variable that holds the key; without it, the provider's usual variable."
    )
    base_url: Url | None = _field("connection", "The endpoint, if it is not the provider's own.")
    api_version: String | None = _field("connection", "The API version, for a provider that requires one.")
    custom_llm_provider: String | None = _field(
        "connection", "litellm's name of the provider, if the model's name does not contain it."
    )
    extra_headers: Headers | None = _field("connection", "HTTP headers sent with every request.")
    aws_access_key_id: Key | None = _field("connection", "AWS access key.")
    aws_secret_access_key: Key | None = _field("connection", "AWS secret key.")
    aws_session_token: Key | None = _field("connection", "AWS session token.")
    aws_region_name: String | None = _field("connection", "AWS region.")
    aws_profile_name: String | None = _field("connection", "Profile in the AWS configuration files.")
    aws_role_name: String | None = _field("connection", "AWS role to assume.")
    aws_session_name: String | None = _field("connection", "Session name of the assumed role.")
    aws_external_id: Key | None = _field("connection", "External ID that the role requires.")
    aws_web_identity_token: Key | None = _field("connection", "Web identity token for the role, or its location.")
    aws_sts_endpoint: Url | None = _field("connection", "Endpoint of the AWS token service.")
    aws_bedrock_runtime_endpoint: Url | None = _field(
        "connection", "Endpoint of Bedrock, if it is not the region's own."
    )

    temperature: Number | None = _field("sampling", "Sampling temperature.")
    top_p: Annotated[Number, Field(le=1)] | None = _field("sampling", "Probability mass to sample from, 0 to 1.")
    # vLLM and others disable it with -1.
    top_k: Annotated[int, Strict(), Field(ge=-1)] | None = _field(
        "sampling", "Number of most likely tokens to sample from."
    )
    seed: Annotated[int, Strict()] | None = _field("sampling", "Sampling seed, for a provider that supports one.")
    stop: Annotated[Strings, BeforeValidator(_one_or_many)] | None = _field("sampling", "Strings that end the answer.")
    reasoning_effort: String | None = _field(
        "sampling", "Effort of a reasoning model, for example low, medium or high."
    )
    safety_settings: Annotated[tuple[Mapping[str, String], ...], BeforeValidator(_thresholds)] | None = _field(
        "sampling", "Gemini's safety thresholds: a table of category = threshold, or a list as the API takes it."
    )
    extra_body: Table | None = _field(
        "sampling", "Additional fields of the request body; not for secrets, since it is not masked."
    )

    max_output_tokens: Positive | None = _field(
        "tokens", "Longest answer; where a provider requires a limit, the model's own is the default.", unit="tokens"
    )
    max_input_tokens: Positive | None = _field(
        "tokens", "Longest prompt; a longer one is refused before it is sent.", unit="tokens", shown="the model's"
    )

    timeout: PositiveNumber = _field(
        "time", "One attempt of a plain call, from sending to the last byte.", default=120.0, unit="s"
    )
    connect_timeout: PositiveNumber = _field("time", "One connection.", default=10.0, unit="s")
    first_token_timeout: PositiveNumber | None = _field(
        "time", "A stream, from sending to its first chunk.", unit="s", shown="as timeout"
    )
    idle_timeout: PositiveNumber = _field(
        "time", "A stream, between two chunks, while the reader is waiting.", default=60.0, unit="s"
    )
    deadline: PositiveNumber | None = _field(
        "time",
        "The whole call: queueing, attempts, waits, re-asks and fallbacks; a stream to its last chunk.",
        unit="s",
        shown="none",
    )

    num_retries: Count = _field("retries", "Retries after the first attempt, for each endpoint.", default=3)
    retry_min_wait: Number = _field("retries", "Shortest wait before a retry.", default=0.5, unit="s")
    retry_max_wait: Number = _field(
        "retries", "Longest wait before a retry, except where Retry-After asks for more.", default=30.0, unit="s"
    )
    retry_multiplier: Annotated[Number, Field(ge=1)] = _field(
        "retries", "Factor by which the wait grows with each retry.", default=2.0
    )
    fallbacks: Strings = _field("retries", "Profiles tried in order when this one fails.", default=(), shown="none")

    max_concurrency: Positive = _field(
        "limits", "Most requests in flight; waiting is first come, first served.", default=100
    )
    max_queue: Count | None = _field(
        "limits", "Most callers waiting for a slot; one more gets an OverloadedError.", shown="none"
    )
    tenant_max_concurrency: Positive | None = _field("limits", "Most requests in flight of one tenant.", shown="none")
    tenant_max_queue: Count | None = _field(
        "limits", "Most callers of one tenant waiting; one more gets an OverloadedError.", shown="none"
    )
    tenant_requests_per_minute: PositiveNumber | None = _field(
        "limits", "Most requests of one tenant, of this client.", shown="none"
    )
    tenant_budget_usd: PositiveNumber | None = _field(
        "limits", "Most that one tenant may spend, of this client.", unit="USD", shown="none"
    )
    requests_per_minute: PositiveNumber | None = _field(
        "limits", "Shared by all clients of the process with the same provider, endpoint and key.", shown="none"
    )
    tokens_per_minute: PositiveNumber | None = _field(
        "limits", "Shared by all clients of the process with the same provider, endpoint and key.", shown="none"
    )
    limits_url: StoreUrl | None = _field(
        "limits",
        "Redis where limits, cooldowns and budgets are shared with other processes.",
        shown="none",
    )
    adaptive: Boolean | None = _field("limits", "Find and follow the provider's limit.", shown="false; true in batches")

    budget_usd: PositiveNumber | None = _field(
        "money", "Most that this client may spend, or one batch when it is given there.", unit="USD", shown="none"
    )
    input_cost_per_token: Number | None = _field(
        "money", "Price of an input token, for this profile only.", unit="USD", shown="the model's"
    )
    output_cost_per_token: Number | None = _field(
        "money", "Price of an output token, for this profile only.", unit="USD", shown="the model's"
    )
    cached_input_cost_per_token: Number | None = _field(
        "money", "Price of a cached input token, for this profile only.", unit="USD", shown="the model's"
    )

    cache: (
        Annotated[String, AfterValidator(_usable_cache), PlainSerializer(_without_password, when_used="json")] | None
    ) = _field(
        "cache",
        "Answers that are not asked for again: a file, relative to config.toml where it is set there, or a URL of "
        "Redis.",
        shown="none",
    )
    cache_mode: CacheMode = _field(
        "cache",
        "Use of the cache: use, off, refresh (ask again and replace) or only (never ask).",
        default="use",
    )
    cache_ttl: PositiveNumber | None = _field(
        "cache", "Age from which an answer of the cache is asked for again.", unit="s", shown="none"
    )
    cache_max_bytes: Positive = _field(
        "cache",
        "Size of the cache above which answers that were not used for longest are removed; in Redis, that of one "
        "answer.",
        default=1_000_000_000,
        unit="bytes",
    )

    drop_params: Boolean = _field(
        "behaviour", "Drop and log parameters that the model does not support; false: refuse them.", default=True
    )
    disable_vision: Boolean = _field("behaviour", "Refuse images.", default=False)
    caching_prompt: Boolean = _field(
        "behaviour", "Mark the system prompt and the last user turn for the provider's cache.", default=False
    )
    custom_tokenizer: String | None = _field("behaviour", "Count tokens with this tokenizer.")
    structured_mode: StructuredMode = _field("behaviour", "How typed answers are requested.", default="auto")
    max_reasks: Count = _field("behaviour", "Most re-asks for an invalid typed answer.", default=2)
    transport: TransportName = _field("behaviour", "Transport of the requests: auto, litellm or wire.", default="auto")
    call_log: Annotated[String, AfterValidator(_usable_file)] | None = _field(
        "logging",
        "Log of calls: a SQLite file, or a folder (its name ends with a slash) of JSON Lines by day; relative to "
        "config.toml where it is set there.",
        shown="none",
    )
    call_log_max_bytes: Positive = _field(
        "logging", "Size of the call log above which the oldest calls are removed.", default=1_000_000_000, unit="bytes"
    )
    call_log_max_age: PositiveNumber | None = _field(
        "logging", "Age from which calls are removed from the call log.", unit="days", shown="none"
    )
    log_prompts: Boolean = _field("logging", "Put prompts and answers into log events and the call log.", default=False)


KEY_FIELDS = frozenset({"api_key", "api_key_env"})
"""Two ways to set the key; the one from the stronger source wins."""

ENDPOINTS = frozenset({"base_url", "aws_bedrock_runtime_endpoint", "aws_sts_endpoint"})
"""URLs that requests are sent to."""

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
"""Secrets of an endpoint, which must not reach another one."""

SECRETS = CREDENTIALS - {"api_key_env", "aws_profile_name", "aws_role_name", "aws_session_name"}
"""Those of them that are secret themselves, rather than the name of where one is."""

CONNECTION_GROUP = CREDENTIALS | ENDPOINTS | {"api_version", "custom_llm_provider", "aws_region_name"}
"""Fields that are inherited together, and only by a profile of the same provider."""

TABLE_FIELDS = frozenset({"extra_headers", "extra_body", "safety_settings"})
"""Fields that are tables in TOML."""

HIDDEN = (
    CONNECTION_GROUP - {"api_version", "custom_llm_provider", "aws_region_name"}
    | TABLE_FIELDS
    | {"cache", "limits_url"}
)
"""Fields whose values are never shown in messages."""

_SHARED = """
temperature top_p top_k seed stop reasoning_effort max_output_tokens
timeout connect_timeout first_token_timeout idle_timeout deadline
num_retries retry_min_wait retry_max_wait retry_multiplier
drop_params disable_vision caching_prompt max_reasks log_prompts
cache cache_mode cache_ttl cache_max_bytes call_log call_log_max_bytes call_log_max_age
"""
SHARED_WITH_FALLBACKS = frozenset(_SHARED.split())
"""Fields that, set as an argument, apply to the fallbacks of the profile too: none of them says where requests go."""


def field_note(name: str, note: str) -> str:
    """Return a note of a field: its `group`, its `unit`, or its default as documentation shows it (`shown`)."""
    extra = Fields.model_fields[name].json_schema_extra
    return str(extra[note]) if is_mapping(extra) else ""


def choices(name: str) -> tuple[str, ...]:
    """Return the values that a field of a few words accepts; () for any other field."""
    annotation = Fields.model_fields[name].annotation if name in Fields.model_fields else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def field_kind(name: str) -> type:
    """Return the type of a field: bool, int, float, list, dict or str; str also for an unknown field."""
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
    return next((kind for kind in (bool, int, float) if annotation is kind), str)
