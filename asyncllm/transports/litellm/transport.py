"""The transport that serves every provider litellm knows.

litellm is heavy to import, bound to asyncio and to the loop that first used it, and blocks now and then; so it is
imported and called on the bridge's loop only.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from asyncllm import telemetry
from asyncllm.errors import AsyncLLMError, MalformedResponseError, ProviderTimeoutError, UnsupportedError
from asyncllm.threads import run_in_own_thread

from ..base import Answer, Call, Connection
from ..bridge.bridge import Bridge, CrossingStream
from ..errors import timeout_failure
from ..wire.rules.openai_models import LOST
from ..wire.rules.parameter_rules import DECIDED
from .errors import hidden_error, no_end, stream_failure, translate
from .exchange import Exchange, watch
from .importing import import_litellm, is_imported

# litellm keys its client cache by the timeout, so a timeout of its own for each call would make a connection pool for
# each. The real timeouts are kept by the bridge; this one only has to be longer than any of them, a day.
_NEVER_S = 86_400.0

# Where both transports send the parameters that litellm keeps for itself, or forgets.
_TAKE_LOST = frozenset(("azure", "litellm_proxy", "openai"))
# What a chunk has that says nothing of the answer.
_HEAD = frozenset(("choices", "created", "id", "model", "object", "system_fingerprint"))
# No provider is without these, so that nobody needs to look them up.
_TAKEN_BY_ALL = frozenset(("extra_body", "extra_headers", "max_tokens", "temperature"))


class LitellmTransport:
    """Calls litellm on the bridge's loop."""

    name = "litellm"

    def __init__(self) -> None:
        self._bridge: Bridge | None = None

    async def complete(self, call: Call) -> Answer:
        """Send a request and return the whole answer."""
        bridge = await self._ready()
        try:
            return await bridge.call(lambda: _complete(call), call.timeout_s)
        except ProviderTimeoutError:
            raise  # of connecting, which has its own
        except TimeoutError:
            error = timeout_failure("timeout", call.timeout_s, "nothing of the answer had arrived")
        raise error

    async def open_stream(self, call: Call) -> CrossingStream:
        """Send a request and return its stream once the provider has accepted it."""
        bridge = await self._ready()
        try:
            return await bridge.call(
                lambda: _open_stream(call, bridge), call.timeout_s, undo=lambda stream: stream.abandon()
            )
        except ProviderTimeoutError:
            raise
        except TimeoutError:
            error = timeout_failure("first_token_timeout", call.timeout_s, "nothing of the answer had arrived")
        raise error

    async def warm_up(self, connection: Connection) -> None:
        """Import litellm; its connections open with the first call."""
        await self._ready()

    async def aclose(self) -> None:
        """Give up the bridge; with the last one, litellm's connections close and the thread ends."""
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            await bridge.release()

    def drop(self) -> None:
        """Give up the bridge without waiting; for a client that nobody closed."""
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            bridge.drop()

    async def _ready(self) -> Bridge:
        bridge = self._bridge
        if bridge is None:
            bridge = self._bridge = Bridge(_close_clients)
        if not is_imported():
            # The import takes seconds, and cancelling must not wait for it.
            await run_in_own_thread(import_litellm, abandon_on_cancel=True)
        return bridge


async def _complete(call: Call) -> Answer:
    exchange = watch()
    try:
        response = await import_litellm().acompletion(**_arguments(call))
    except Exception as error:
        caught = translate(error, call, exchange)
    else:
        hidden = hidden_error(call, exchange)
        if hidden is not None:
            raise hidden
        data = response.model_dump(warnings=False)
        if not data.get("choices"):
            raise MalformedResponseError("the provider's answer has no choices.", status_code=exchange.status)
        _put_back_refusals(data)
        return Answer(data, _headers(response), lambda _: response)
    # Raised outside of the except block: the foreign error's chain holds the request, with the key in it.
    raise caught


def _put_back_refusals(data: dict[str, Any]) -> None:
    """Move what a model said instead of answering to where chat completions have it; litellm puts it aside."""
    for choice in data["choices"]:
        message = choice.get("message") or {}
        refusal = (message.get("provider_specific_fields") or {}).get("refusal")
        if refusal:
            message["refusal"] = refusal


async def _open_stream(call: Call, bridge: Bridge) -> CrossingStream:
    arguments = _arguments(call)
    arguments["stream"] = True
    arguments["stream_options"] = {"include_usage": True, **(call.params.get("stream_options") or {})}
    exchange = watch(stream=True)
    try:
        wrapper = await import_litellm().acompletion(**arguments)
    except Exception as error:
        caught = translate(error, call, exchange)
    else:
        if inspect.isasyncgen(wrapper):
            raise UnsupportedError(
                f"litellm does not stream {call.model} as a chat.",
                hint="Ask for the whole answer, or use a chat model.",
            )
        # An answer may repeat a line of dashes as often as it likes; litellm takes a hundred of them for a loop.
        wrapper.raise_on_model_repetition = lambda: None
        return CrossingStream(_headers(wrapper), _build_response, bridge.stream(_chunks(wrapper, call, exchange)))
    raise caught


async def _chunks(wrapper: Any, call: Call, exchange: Exchange) -> AsyncIterator[Sequence[dict[str, Any]]]:
    caught: AsyncLLMError | None = None
    has_begun = False
    try:
        async for chunk in wrapper:
            if _ended_by_provider(wrapper) or not _ends(chunk):
                data = chunk.model_dump(exclude_none=True, warnings=False)
                has_begun = has_begun or not _says_nothing(data)
                if has_begun:
                    yield (data,)
        if not _ended_by_provider(wrapper):
            caught = no_end(call, exchange, has_begun=has_begun)
    except Exception as error:
        caught = stream_failure(error, call, exchange, has_begun=has_begun)
    finally:
        await wrapper.aclose()
    if caught is not None:
        raise caught


def _ended_by_provider(wrapper: Any) -> bool:
    """Tell whether the provider has given a finish reason; litellm makes one up for a stream that was cut."""
    return wrapper.received_finish_reason is not None or wrapper.intermittent_finish_reason is not None


def _says_nothing(data: Mapping[str, Any]) -> bool:
    """Tell whether a chunk is one that litellm makes up where nothing came, or something that is no chunk."""
    return data.keys() <= _HEAD and not any(choice.get("delta") for choice in data["choices"])


def _ends(chunk: Any) -> bool:
    """Tell whether a chunk belongs to the end of an answer: a finish reason, or the usage that comes after it."""
    finished = any(choice.finish_reason is not None for choice in chunk.choices)
    return finished or (getattr(chunk, "usage", None) is not None and not any(c.delta.content for c in chunk.choices))


def _arguments(call: Call) -> dict[str, Any]:
    from .clients import clients  # not before litellm is imported

    connection = call.connection
    options = dict(connection.options)
    if "base_url" in options:
        options["api_base"] = options.pop("base_url")
    if connection.api_key is not None:
        options["api_key"] = connection.api_key
    if "tools" in call.params:
        # Without it, 1.106 looks for the tools of its proxy, which needs a package that only the proxy installs.
        options["_skip_mcp_handler"] = True
    headers = {**options.pop("extra_headers", {}), **(call.params.get("extra_headers") or {})}
    if headers:
        options["extra_headers"] = headers
    if call.drop_params:
        _tell_dropped(call)
    params = _parameters(call)
    timeout = _timeout(connection.connect_timeout_s)
    # litellm changes messages and tools in place for several providers; the tools of a type are those of every call.
    tools = {"tools": copy.deepcopy(list(params["tools"]))} if params.get("tools") else {}
    return {
        **params,
        **tools,
        **options,
        "model": call.model,
        "messages": copy.deepcopy(list(call.messages)),
        "timeout": timeout,
        "max_retries": 0,
        "drop_params": call.drop_params,
        "client": clients().client(call, timeout),
    }


def _parameters(call: Call) -> Mapping[str, Any]:
    """Return the parameters of a call, with those that litellm would keep for itself where the provider gets them."""
    params = call.params
    if "metadata" not in params and "prompt_cache_retention" not in params:
        return params
    if call.connection.provider not in _TAKE_LOST:
        # litellm writes into the caller's metadata.
        return {**params, "metadata": dict(params["metadata"])} if "metadata" in params else params
    lost = {name: params[name] for name in LOST if name in params}
    kept = {name: value for name, value in params.items() if name not in LOST}
    return {**kept, "extra_body": {**lost, **(params.get("extra_body") or {})}}


def _tell_dropped(call: Call) -> None:
    if call.params.keys() <= _TAKEN_BY_ALL:
        return
    connection = call.connection
    before = _dropped.cache_info().misses
    dropped = _dropped(call.model, connection.provider, frozenset(call.params))
    if dropped:
        # Once loudly for each model and set of parameters: a batch of a million would repeat it as often.
        level = telemetry.WARNING if _dropped.cache_info().misses > before else telemetry.DEBUG
        telemetry.emit(level, "call.params_dropped", model=call.model, params=dropped)


@lru_cache(1024)  # models times the sets of parameters that they are called with
def _dropped(model: str, provider: str, names: frozenset[str]) -> str:
    """Name those parameters that litellm drops whatever their value; what it drops by value, it does not tell."""
    litellm = import_litellm()
    known = litellm.get_supported_openai_params(model=model.removeprefix(f"{provider}/"), custom_llm_provider=provider)
    taken = {*(known or DECIDED), *(LOST if provider in _TAKE_LOST else ())}
    # Those that litellm has for its own use are in its list of none.
    return ", ".join(sorted((names & DECIDED) - taken - {"stream_options"}))


@lru_cache(16)
def _timeout(connect_timeout_s: float) -> Any:
    import httpx

    return httpx.Timeout(_NEVER_S, connect=connect_timeout_s)


def _headers(response: Any) -> dict[str, str]:
    hidden = getattr(response, "_hidden_params", None) or {}
    headers = hidden.get("additional_headers") or {}
    prefix = "llm_provider-"
    return {name.removeprefix(prefix).lower(): str(value) for name, value in headers.items()}


def _build_response(data: dict[str, Any]) -> Any:
    return import_litellm().ModelResponse(**data)


async def _close_clients() -> None:
    """Close the clients that litellm was handed, and those that it made for the bridge's loop."""
    if is_imported():
        from .clients import close_clients

        await close_clients()
