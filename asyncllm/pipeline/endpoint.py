"""Endpoint: the model, the connection and the checks of one profile."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..completions.usage import Usage
from ..config import LLMConfig
from ..errors import ConfigError, ContextWindowExceededError, UnsupportedError
from ..limits import ProviderLimits, shared_provider_limits
from ..messages import Request, has_images, with_cache_marks
from ..models import ModelInfo, cost_usd, estimate_tokens, model_info, own_prices, worst_case_cost
from ..parameters import NO_PARAMS, FixedParams, FoundOnce, merge, output_limit, profile_params
from ..transports.base import Call, Connection, Transport
from ..transports.wire.formats.format import Unserved, WireFormat
from ..transports.wire.requests import WireRequests
from .circuit_breaker import CircuitBreaker
from .interception import intercepted

if TYPE_CHECKING:
    from ..limits.shared.session import LimitsSession

_OPTIONS = ("base_url", "api_version", "custom_llm_provider")
# Estimated counts are off by up to a quarter on unusual texts; only a prompt that is too long by more is refused here,
# the others by the provider, which knows.
_ESTIMATE_MARGIN = 1.25
# Below this, no model in litellm's map is too small; looking its limit up would cost the first call a millisecond.
_SMALL_PROMPT_TOKENS = 2_000
# Nor is any for a prompt of so many characters, of which none is estimated at more than two tokens; most are as short,
# and estimating them properly would be a twentieth of what a call costs.
_SHORT_PROMPT_CHARACTERS = 800
_CHARACTERS_A_MESSAGE = 10  # what its role and its frame may weigh
# Reserved for an answer without a limit, and corrected when it has come. The longest answers of current models exceed
# the tokens that most accounts have in a minute.
_USUAL_ANSWER_TOKENS = 1_000


class Endpoint:
    """The destination of a profile's requests: its connection, transport, limits and prices.

    Attributes:
        config: The profile.
        connection: The address and the key.
        model: The model as litellm names it.
        profile: The name of the profile.
        provider: litellm's name of the provider; `simulated` for the embedded simulator.
        limits: The limits that it shares.
        breaker: The circuit breaker, for calls that have a fallback.
        refused_modes: The modes of typed answers that it has refused.

    Args:
        model: The model as litellm names it.
        transport: Returns a transport by its name.
        proxied: The properties of the model by its proxy, where one serves it.
        session: The store where other processes share its limits.
    """

    def __init__(
        self,
        config: LLMConfig,
        connection: Connection,
        model: str,
        transport: Callable[[str], Transport],
        proxied: ModelInfo | None = None,
        session: LimitsSession | None = None,
    ) -> None:
        self.config = config
        self.connection = connection
        self._transport = transport
        self._wire: WireRequests | None = None
        if config.transport != "litellm":
            self._wire = WireRequests(connection, model, drop_params=config.drop_params)
        self.model = model
        self.profile = config.profile or "default"
        self.provider = config.provider
        self.limits: ProviderLimits = shared_provider_limits(
            connection.provider, connection.options.get("base_url"), connection.api_key, session
        )
        if config.requests_per_minute is not None or config.tokens_per_minute is not None:
            self.limits.configure(id(self), config.requests_per_minute, config.tokens_per_minute)
        self.breaker = CircuitBreaker()
        self.refused_modes: set[str] = set()
        self._merged = FoundOnce(partial(_merged, profile_params(config)))
        self._proxied = proxied
        self._info: ModelInfo | None = None

    @property
    def info(self) -> ModelInfo:
        """The properties of the model; read on first use."""
        if self._info is None:
            self._info = configured_model_info(self.config, self._proxied)
        return self._info

    @property
    def wire_format(self) -> WireFormat | None:
        """The format of its requests by wire; None where litellm serves all of them."""
        return None if self._wire is None else self._wire.format

    @property
    def usual_transport(self) -> str:
        """The name of the transport that serves most requests."""
        return "litellm" if self._wire is None or self._wire.format is None else "wire"

    def call(self, request: Request, timeout_s: float, *, stream: bool = False) -> Call:
        """Return the call of a request, after checking that the model takes it.

        Args:
            request: The request.
            timeout_s: Seconds from sending to the last byte (of a stream: to its first chunk).
            stream: Whether the answer shall be streamed.

        Raises:
            UnsupportedError: It has images, and the model takes none; or it takes the wire or nothing, and has to go by
                litellm.
            ContextWindowExceededError: Its prompt is clearly longer than the model takes.
        """
        messages: Sequence[dict[str, Any]] = request.messages
        plain = _is_short(messages)
        if not plain:
            self._check_images(messages)
        if not plain or self.config.max_input_tokens is not None:
            self._check_length(messages)
        if self.config.caching_prompt:
            messages = with_cache_marks(messages)
        params = self.params(request)
        call = Call(self.connection, self.model, messages, params, timeout_s, self.config.drop_params)
        if self._wire is not None:
            made = self._wire.make(messages, params, stream=stream)
            if not isinstance(made, Unserved):
                call.format, call.request = self._wire.format, made
            elif self.config.transport == "wire":
                raise UnsupportedError(
                    f"the wire transport cannot send this request to {self.config.model} as litellm would: "
                    f"{made.reason}.",
                    hint='Set transport = "auto", and litellm serves it.',
                )
        return call

    def params(self, request: Request) -> Mapping[str, Any]:
        """Return the parameters of the profile and of a request together, under litellm's names."""
        return self._merged(request.params or NO_PARAMS)

    def transport(self, call: Call) -> Transport:
        """Return the transport of a call: the wire where it can serve it, else litellm."""
        return intercepted(self._transport("litellm" if call.request is None else "wire"))

    def api_transport(self) -> Transport:
        """Return the transport that reaches the other parts of the provider's API: the wire."""
        return self._transport("wire")

    def reservation(self, call: Call) -> int:
        """Return the tokens that a call is likely to need at most; 0 where tokens are not limited."""
        if not self.limits.counts_tokens:
            return 0
        limit = output_limit(call.params)
        return estimate_tokens(call.messages) + (_USUAL_ANSWER_TOKENS if limit is None else limit)

    def worst_case(self, call: Call) -> float:
        """Return the highest possible cost of a call in US dollars.

        Raises:
            ConfigError: The price or the maximum length of the answer is unknown.
        """
        params, info = call.params, self.info
        limit = output_limit(params)
        limit = info.max_output_tokens if limit is None else limit
        if limit is None:
            raise ConfigError(
                f"budget_usd is set, and how long {self.config.model} may answer is not known; nothing was sent.",
                hint="Set max_output_tokens.",
            )
        tokens = estimate_tokens(call.messages, params.get("tools"))
        if params.get("response_format"):
            tokens += estimate_tokens(str(params["response_format"]))
        worst = worst_case_cost(
            info,
            input_tokens=math.ceil(tokens * _ESTIMATE_MARGIN),
            max_output_tokens=limit * int(params.get("n") or 1),
            service_tier=params.get("service_tier"),
            writes_cache=self.config.caching_prompt,
            audio="audio" in (params.get("modalities") or ()),
        )
        if worst is None:
            raise ConfigError(
                f"budget_usd is set, and the price of {self.config.model} is not known; nothing was sent.",
                hint="Set input_cost_per_token and output_cost_per_token.",
            )
        return worst

    def price(self, usage: Usage) -> float | None:
        """Return the cost of a usage in US dollars; None when the price or the usage is not known."""
        return cost_usd(usage, self.info)

    def close(self) -> None:
        """Remove this profile's limits from the provider limits that it shares."""
        self.limits.forget(id(self))

    def _check_images(self, messages: Sequence[Mapping[str, Any]]) -> None:
        if not has_images(messages):
            return
        if self.config.disable_vision:
            raise UnsupportedError(
                f"the request has an image, and the profile {self.profile!r} sets disable_vision.",
                hint="Leave the image out, or use a profile that allows images.",
            )
        if self.info.vision is False:
            raise UnsupportedError(
                f"the request has an image, and {self.config.model} does not take images.",
                hint="Use a model with vision.",
            )

    def _check_length(self, messages: Sequence[dict[str, Any]]) -> None:
        limit = self.config.max_input_tokens
        estimate = estimate_tokens(messages)
        if limit is None and estimate < _SMALL_PROMPT_TOKENS:
            return
        limit = limit if limit is not None else self.info.context_window
        if limit is not None and estimate > limit * _ESTIMATE_MARGIN:
            raise ContextWindowExceededError(
                f"the prompt has about {estimate:,} tokens, and {self.config.model} takes {limit:,}; nothing was sent.",
                hint="Shorten the prompt, or use a model with a larger context window.",
                model=self.config.model,
                provider=self.config.provider,
                profile=self.profile,
            )


def configured_model_info(config: LLMConfig, proxied: ModelInfo | None = None) -> ModelInfo:
    """Return the properties of a profile's model, with the profile's own prices over the known ones.

    Args:
        config: The profile.
        proxied: Its properties by the proxy that serves it; None to read litellm's map.
    """
    info = proxied or model_info(config.model, custom_llm_provider=config.custom_llm_provider, base_url=config.base_url)
    prices = own_prices(
        config.input_cost_per_token,
        config.output_cost_per_token,
        config.cached_input_cost_per_token,
        base=info.prices,
    )
    return info if prices is info.prices else replace(info, prices=prices)


def connection_options(config: LLMConfig) -> dict[str, Any]:
    """Return the fields of the connection group that are set, except the key, with secrets in plain text."""
    names = (*_OPTIONS, *(name for name in LLMConfig.model_fields if name.startswith("aws_")))
    options = {name: _plain(value) for name in names if (value := getattr(config, name)) is not None}
    base_url = config.resolved_base_url()
    if base_url is not None:
        options["base_url"] = base_url
    if config.extra_headers:
        options["extra_headers"] = {name: _plain(value) for name, value in config.extra_headers.items()}
    return options


def _merged(profile: Mapping[str, Any], params: Mapping[str, Any]) -> Mapping[str, Any]:
    merged = merge(profile, params)
    return FixedParams(merged) if type(params) is FixedParams else merged


def _is_short(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether messages hold only a few short texts."""
    characters = 0
    for message in messages:
        content = message.get("content")
        if len(message) != 2 or not isinstance(content, str):
            return False
        characters += len(content) + _CHARACTERS_A_MESSAGE
    return characters < _SHORT_PROMPT_CHARACTERS


def _plain(value: Any) -> Any:
    reveal = getattr(value, "get_secret_value", None)
    return value if reveal is None else reveal()
