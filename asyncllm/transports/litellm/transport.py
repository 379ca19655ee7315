"""The transport that serves every provider litellm knows.

litellm is heavy to import, bound to asyncio and to the loop that first used it, and blocks now and then; so it is
called on the bridge's loop only.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from asyncllm.errors import AsyncLLMError, MalformedResponseError, ProviderTimeoutError, UnsupportedError
from asyncllm.threads import run_in_own_thread

from ..base import Answer, Call, Connection
from ..bridge import Bridge, CrossingStream
from ..errors import timeout_failure
from .arguments import arguments
from .errors import early_end, hidden_error, stream_failure, translate
from .exchange import Exchange, watch
from .importing import import_litellm, is_imported, model_response

# The keys of a chunk that hold nothing of the answer.
_HEAD = frozenset(("choices", "created", "id", "model", "object", "system_fingerprint"))


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
            return await bridge.call(lambda: _open_stream(call), call.timeout_s, undo=lambda stream: stream.abandon())
        except ProviderTimeoutError:
            raise
        except TimeoutError:
            error = timeout_failure("first_token_timeout", call.timeout_s, "nothing of the answer had arrived")
        raise error

    async def warm_up(self, connection: Connection) -> None:
        """Import litellm; its connections open with the first call."""
        await self._ready()

    async def aclose(self) -> None:
        """Release the bridge; with its last share, litellm's connections close and the thread ends."""
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            await bridge.release()

    def drop(self) -> None:
        """Release the bridge without waiting; for an unclosed client."""
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
    exchange = watch(call.secrets())
    try:
        response = await import_litellm().acompletion(**arguments(call))
    except Exception as error:
        caught = translate(error, call, exchange)
    else:
        hidden = hidden_error(call, exchange)
        if hidden is not None:
            raise hidden
        data: dict[str, Any] = response.model_dump(warnings=False)
        if not data.get("choices"):
            raise MalformedResponseError("the provider's answer has no choices.", status_code=exchange.status)
        _put_back_refusals(data["choices"])
        if exchange.has_usage is False:
            data.pop("usage", None)  # litellm's own, of a tokenizer or zeros
        return Answer(data, _headers(response), lambda _: response)
    # Raised outside of the except block: the foreign error's chain holds the request, with the key in it.
    try:
        raise caught
    finally:
        del caught  # the foreign error's traceback holds this frame, and litellm holds that error


def _put_back_refusals(choices: list[dict[str, Any]]) -> None:
    """Move refusals from where litellm puts them to where chat completions have them."""
    for choice in choices:
        message: dict[str, Any] = choice.get("message") or {}
        put_aside: dict[str, object] = message.get("provider_specific_fields") or {}
        if put_aside.get("refusal"):
            message["refusal"] = put_aside["refusal"]


async def _open_stream(call: Call) -> CrossingStream:
    exchange = watch(call.secrets(), stream=True)
    try:
        wrapper = await import_litellm().acompletion(**arguments(call, stream=True))
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
        return CrossingStream(_headers(wrapper), model_response, _chunks(wrapper, call, exchange))
    try:
        raise caught
    finally:
        del caught


async def _chunks(wrapper: Any, call: Call, exchange: Exchange) -> AsyncGenerator[Sequence[dict[str, object]], None]:
    caught: AsyncLLMError | None = None
    has_begun = False
    try:
        async for chunk in wrapper:
            made_up = _ends(chunk) and not _ended_by_provider(wrapper)
            if made_up and not exchange.has_ended:
                continue
            data: dict[str, Any] = chunk.model_dump(exclude_none=True, warnings=False)
            if made_up:
                for choice in data["choices"]:
                    choice.pop("finish_reason", None)
            if exchange.has_usage is False:
                data.pop("usage", None)
            has_begun = has_begun or not _is_empty(data)
            if has_begun:
                yield (data,)
        if not _ended_by_provider(wrapper) and not exchange.has_ended:
            caught = early_end(call, exchange, has_begun=has_begun)
    except Exception as error:
        caught = stream_failure(error, call, exchange, has_begun=has_begun)
    finally:
        await wrapper.aclose()
    if caught is not None:
        try:
            raise caught
        finally:
            del caught


def _ended_by_provider(wrapper: Any) -> bool:
    """Return whether the provider has given a finish reason; litellm makes one up for a stream that was cut."""
    return wrapper.received_finish_reason is not None or wrapper.intermittent_finish_reason is not None


def _is_empty(data: Mapping[str, Any]) -> bool:
    """Return whether a chunk holds nothing: litellm makes one up where nothing came, or for what is no chunk."""
    return data.keys() <= _HEAD and not any(choice.get("delta") for choice in data["choices"])


def _ends(chunk: Any) -> bool:
    """Return whether a chunk belongs to the end of an answer: a finish reason, or the usage that comes after it."""
    finished = any(choice.finish_reason is not None for choice in chunk.choices)
    return finished or (getattr(chunk, "usage", None) is not None and not any(c.delta.content for c in chunk.choices))


def _headers(response: object) -> dict[str, str]:
    hidden: Mapping[str, Any] = getattr(response, "_hidden_params", None) or {}
    headers: Mapping[str, object] = hidden.get("additional_headers") or {}
    return {name.removeprefix("llm_provider-").lower(): str(value) for name, value in headers.items()}


async def _close_clients() -> None:
    """Close the clients that litellm was handed, and those that it made for the bridge's loop."""
    if is_imported():
        from .clients import close_clients

        await close_clients()
