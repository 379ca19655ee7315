"""The checks of `asyncllm doctor`, each with a finding and, where something is wrong, a remedy; how models are read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, cast

from ..batch.formatting import dollars, duration
from ..errors import ConfigError
from ..models import ModelInfo, ResolvedModel, model_info, needs_key, resolve_provider

if TYPE_CHECKING:
    from .. import LLMConfig
    from ..config import Profiles

_SIMULATED = "simulated"
# Endpoints of providers, for profiles that name none. Those of other providers are known to litellm alone.
_ENDPOINTS = {
    "anthropic": "https://api.anthropic.com",
    "cerebras": "https://api.cerebras.ai/v1",
    "cohere": "https://api.cohere.com",
    "cohere_chat": "https://api.cohere.com",
    "deepseek": "https://api.deepseek.com",
    "fireworks_ai": "https://api.fireworks.ai/inference/v1",
    "gemini": "https://generativelanguage.googleapis.com",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "ollama": "http://localhost:11434",
    "ollama_chat": "http://localhost:11434",
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "perplexity": "https://api.perplexity.ai",
    "together_ai": "https://api.together.xyz/v1",
    "xai": "https://api.x.ai/v1",
}
# AWS refuses signatures that are five minutes off; a synchronised clock is never off by a minute.
_SKEW_FAIL_S, _SKEW_WARN_S = 300, 60
_ANSWER_S = 10.0  # an endpoint that takes longer than this to answer at all counts as unreachable
_PER_MILLION = 1_000_000
# How long before its date the end of a model is reported: enough to try its successor.
_SOON = timedelta(days=90)
_FILLERS = ("changeme", "change-me", "change_me", "placeholder", "replace", "insert", "todo", "api-key", "api_key")


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check of a profile; `skip` when there was nothing to check."""

    profile: str
    name: str
    status: Literal["ok", "warn", "fail", "skip"]
    detail: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return it as JSON data."""
        return asdict(self)


def check_variables(profiles: Profiles) -> Iterator[Check]:
    """Check for variables that are not read, and were probably meant for a field."""
    for name, meant in profiles.ignored_variables.items():
        if meant:
            yield Check("environment", name, "warn", "is ignored: no field has this name", f"Did you mean {meant}?")


def check_profile(config: LLMConfig) -> Iterator[Check]:
    """Run the checks that need no network."""
    from .. import AsyncLLM

    profile = config.profile or "default"
    info = AsyncLLM(config).model_info
    read = how_read(resolved_model(config), info)
    yield Check(profile, "profile", "ok", f"complete: {config.model}, provider {config.provider}, {read}")
    yield _key(profile, config)
    yield _model(profile, config, info)
    yield _price(profile, info)
    if config.provider != _SIMULATED:
        yield _account(profile, config)


async def check_endpoint(config: LLMConfig) -> list[Check]:
    """Check whether the endpoint answers, and its clock; without a key."""
    profile = config.profile or "default"
    if config.provider == _SIMULATED:
        return [Check(profile, "endpoint", "ok", "the simulator, on this machine")]
    url = config.resolved_base_url() or _ENDPOINTS.get(config.provider)
    if url is None:
        where = f"{config.provider}'s own, which only litellm knows"
        return [Check(profile, "endpoint", "skip", where, "`asyncllm ask` shows whether it answers.")]
    return await _reach(profile, url, config.connect_timeout)


async def check_limits(config: LLMConfig) -> list[Check]:
    """Check whether the Redis of shared limits answers, and allows the script that shares them."""
    if config.limits_url is None:
        return []
    from ..config.redis_connection import check_coredis, is_redis_url, redis_problem, shown_url
    from ..limits.shared.redis_store import server_version

    profile, url = config.profile or "default", config.limits_url.get_secret_value()
    shown = shown_url(url)
    if not is_redis_url(url):
        return [Check(profile, "limits_url", "skip", f"{shown} is no Redis", "It exists while a job of it runs.")]
    try:
        check_coredis("limits_url needs")
        version = await server_version(url)
    except ConfigError as error:
        return [Check(profile, "limits_url", "fail", error.message, error.hint or "")]
    except Exception as error:
        if (found := redis_problem(error)) is None:
            raise
        return [Check(profile, "limits_url", "fail", f"{shown} {found[0]}", found[1])]
    return [Check(profile, "limits_url", "ok", f"{shown} answers: Redis {version}")]


def is_placeholder(key: str) -> bool:
    """Return whether a key is a placeholder of documentation or a template."""
    text = key.strip().lower()
    body = text.removeprefix("sk-").strip("-_")
    return (
        "..." in text
        or "\N{HORIZONTAL ELLIPSIS}" in text
        or text.startswith(("<", "$", "{", "your"))
        or "your-" in text
        or "your_" in text
        or len(set(body)) < 2
        or any(filler in text for filler in _FILLERS)
    )


def resolved_model(config: LLMConfig) -> ResolvedModel:
    """Return the provider of a profile's model, and how it was found."""
    return resolve_provider(config.model, config.custom_llm_provider, config.base_url)


def facts(config: LLMConfig) -> ModelInfo:
    """Return what litellm's map has about a profile's model."""
    return model_info(config.model, custom_llm_provider=config.custom_llm_provider, base_url=config.base_url)


def how_read(resolved: ResolvedModel, info: ModelInfo) -> str:
    """Return what named the provider of a model, such as `by litellm's map`."""
    if resolved.read_by == "litellm":
        return "by litellm's map" if info.known else "by litellm's rules for its family"
    if resolved.read_by == "family":
        return f"by its family ({resolved.name.partition('-')[0]}), as litellm's map lacks it"
    if resolved.read_by == "server":
        return "a model of the OpenAI-compatible server at base_url"
    return "by its prefix" if resolved.read_by == "prefix" else f"by {resolved.read_by}"


def retirement(info: ModelInfo) -> str | None:
    """Return when the provider retires a model, where that is past or near; None otherwise."""
    today, day = date.today(), info.deprecated_on
    if day is None or day > today + _SOON:
        return None
    if day <= today:
        return f"the provider may have retired it on {day}"
    return f"the provider retires it on {day}, in {(day - today).days} days"


def _key(profile: str, config: LLMConfig) -> Check:
    if config.provider == _SIMULATED:
        return Check(profile, "key", "ok", "none is needed")
    try:
        key = config.resolved_key()
    except ConfigError as error:
        return Check(profile, "key", "fail", error.message, error.hint or "")
    needed = needs_key(config.provider)
    if key is None:
        if config.provider == "openai" and config.base_url is not None:
            return Check(profile, "key", "warn", "is not set; a server of your own may do without", config.key_advice())
        if needed:
            return Check(profile, "key", "fail", "is not set", config.key_advice())
        return Check(profile, "key", "ok", f"is not set; {config.provider} can do without")
    if needed and is_placeholder(key.get_secret_value()):
        remedy = "Replace it by a real key of the provider."
        if config.base_url is not None:
            return Check(
                profile, "key", "warn", "looks like a placeholder", f"{remedy} A server of your own may not care."
            )
        return Check(profile, "key", "fail", "is a placeholder", remedy)
    return Check(profile, "key", "ok", "is set")


def _model(profile: str, config: LLMConfig, info: ModelInfo) -> Check:
    if not info.known:
        return Check(
            profile,
            "model",
            "warn",
            f"{config.model} is not in litellm's map: its limits and abilities are not known",
            "Check the spelling; a new or private model works all the same.",
        )
    if info.mode not in (None, "chat", "completion", "responses"):
        return Check(profile, "model", "fail", f"{config.model} is for {info.mode}, not for chat", "Name a chat model.")
    if (end := retirement(info)) is not None:
        return Check(profile, "model", "warn", f"{config.model}: {end}", "Move to its successor.")
    window = f"{info.context_window:,} tokens of context" if info.context_window else "known"
    return Check(profile, "model", "ok", window)


def _price(profile: str, info: ModelInfo) -> Check:
    rates = info.prices.standard if info.prices is not None else None
    if rates is None or rates.input is None or rates.output is None:
        return Check(
            profile,
            "price",
            "warn",
            "is not known, and so costs are not",
            "Set input_cost_per_token and output_cost_per_token in the profile.",
        )
    made_up = ", made up" if info.provider == _SIMULATED else ""
    sent, received = dollars(rates.input * _PER_MILLION), dollars(rates.output * _PER_MILLION)
    prices = f"{sent} and {received} for a million tokens in and out{made_up}"
    return Check(profile, "price", "ok", prices)


def _account(profile: str, config: LLMConfig) -> Check:
    """Return what is configured of the account's limits, which no provider tells without a call."""
    rates = {name: getattr(config, name) for name in ("requests_per_minute", "tokens_per_minute")}
    shown = " and ".join(f"{name} = {rate:.15g}" for name, rate in rates.items() if rate is not None)
    what = f"{shown} as configured; the account's own" if shown else "none is configured, and the account's own"
    return Check(
        profile,
        "rate limits",
        "skip",
        f"{what} are not known without a call",
        "Set requests_per_minute and tokens_per_minute to them: answer.record.rate_limits has the provider's headers.",
    )


async def _reach(profile: str, url: str, connect_timeout: float) -> list[Check]:
    import httpx

    timeout = httpx.Timeout(_ANSWER_S, connect=connect_timeout)
    began = time.time()
    try:
        async with httpx.AsyncClient(timeout=timeout) as client, client.stream("GET", url) as answer:
            took = time.time() - began
            reached = Check(profile, "endpoint", "ok", f"{url} answers in {duration(took)}")
            return [reached, *_clock(profile, answer.headers.get("date"), began + took / 2)]
    except httpx.TimeoutException:
        problem, remedy = "does not answer", "Check the network, a proxy, or a firewall; or raise connect_timeout."
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem, remedy = (
            f"cannot be reached: {_reason(error)}",
            "Check base_url and the network; is the server running?",
        )
        if "CERTIFICATE" in str(error):
            remedy = "Its certificate is not trusted here: set SSL_CERT_FILE to the authority's, if it is your own."
    return [Check(profile, "endpoint", "fail", f"{url} {problem}", remedy)]


def _reason(error: BaseException) -> str:
    """Return the system's message, which is deep in the chain of a connection error."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, BaseExceptionGroup):
            link = cast("BaseExceptionGroup[BaseException]", link).exceptions[0]
        if isinstance(link, OSError) and link.strerror:
            # Event loops add an address to strerror; negative numbers are those of name resolution.
            return os.strerror(link.errno) if link.errno and link.errno > 0 else link.strerror
        link = link.__cause__ or link.__context__
    return str(error) or type(error).__name__


def _clock(profile: str, header: str | None, now: float) -> Iterator[Check]:
    try:
        theirs = parsedate_to_datetime(header or "").timestamp()
    except ValueError:
        return
    skew = now - theirs
    # The header is cut to whole seconds.
    if abs(skew) < _SKEW_WARN_S:
        yield Check(profile, "clock", "ok", "agrees with the provider's")
        return
    status: Literal["warn", "fail"] = "fail" if abs(skew) >= _SKEW_FAIL_S else "warn"
    direction = "ahead of" if skew > 0 else "behind"
    yield Check(
        profile,
        "clock",
        status,
        f"this machine is {duration(abs(skew))} {direction} the provider",
        "Set the clock, for example with NTP: certificates and signed requests depend on it.",
    )
