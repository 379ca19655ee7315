"""The simulated provider: which request gets which answer.

A request is routed by its path, checked for its key, read by its format, admitted by the limits, and then answered, or
met by a fault.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from random import Random
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ..answers.composition import compose
from ..answers.conversation import CHARS_PER_TOKEN, Ask, BadAskError, count_tokens
from ..faults import Fault, Sought, retry_after_headers
from ..formats.provider_format import ProviderFormat, Refusal, chunk_chars
from .behaviour import Behaviour
from .latency import Latency, Pace
from .rate_limits import LimitDecision
from .raw_response import Reply, Wire
from .request_log import LoggedRequest, RequestLog
from .routes import (
    CHATS,
    MALFORMED,
    MISSING_MODEL,
    chat_format,
    format_of_errors,
    key_of,
    other_answer,
    read_ask,
    scripted_fault,
)

log = logging.getLogger("asyncllm.simulator")

# As many cached prompts are remembered as a test can use; providers forget after minutes.
_MAX_CACHED_PROMPTS = 1000


class ReplyTurn:
    """One request in hand, for the code that answers it.

    Attributes:
        ask: What was asked; None for requests that are no chat.
        pace: How fast to answer; None for at once.
    """

    def __init__(self, wire: Wire, format_: ProviderFormat, reply: Reply | None = None) -> None:
        self.wire = wire
        wire.request_id_header = format_.request_id_header
        self.format = format_
        self.ask: Ask | None = None
        self.pace: Pace | None = None
        self.cached = (0, 0)
        self.headers: list[tuple[bytes, bytes]] = []
        self._reply = reply

    @property
    def prompt_tokens(self) -> int:
        """The tokens of the prompt; 0 when there is none."""
        return self.ask.prompt_tokens if self.ask else 0

    def reply(self) -> Reply:
        """Compose the answer, without sending it.

        Raises:
            BadAskError: A schema or a script is not one that an answer can be made for.
        """
        if self._reply is None:
            try:
                self._reply = self._composed()
            except MALFORMED as problem:
                raise BadAskError(f"no answer can be made for this request: {problem!r}") from None
        return self._reply

    def rescript(self, script: Mapping[str, Any]) -> None:
        """Add to the script of the request, and forget an answer that is composed already."""
        if self.ask is not None:
            self.ask.script = {**self.ask.script, **script}
            self._reply = None

    def _composed(self) -> Reply:
        ask = self.ask
        assert ask is not None
        answers = compose(ask)
        reply = Reply(headers=self.headers, tokens=sum(answer.tokens for answer in answers))
        if ask.stream:
            reply.content_type = self.format.stream_type
            reply.events = self.format.events(ask, answers, self.cached)
            reply.done = self.format.done
            reply.event_tokens = max(1, chunk_chars(ask) // CHARS_PER_TOKEN)
            reply.events_per_write = max(1, int(ask.script.get("events_per_write", reply.events_per_write)))
        else:
            reply.body = self.format.plain(ask, answers, self.cached)
        return reply

    async def answer(self) -> None:
        """Send the answer as it should be."""
        await self.wire.send(self.reply(), self.pace)

    async def refuse(self, refusal: Refusal, headers: list[tuple[bytes, bytes]]) -> None:
        """Send an error in the provider's own words."""
        status, body = self.format.error(refusal)
        await self.wire.send(Reply(status=status, body=body, headers=self.headers + headers))


class Provider:
    """Answers every request of one simulator; lives on its loop."""

    def __init__(self, rules: Behaviour, seen: RequestLog) -> None:
        self._rules = rules
        self._seen = seen
        self._random = Random(rules.seed)
        self._cached_prompts: OrderedDict[str, None] = OrderedDict()
        self._open: dict[RequestHandler, LoggedRequest] = {}
        self._kept: set[RequestHandler] = set()

    def server(self) -> _Server:
        """Make the aiohttp server that this provider answers through."""
        return _Server(self)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; by the return everything is written."""
        key = key_of(request.headers)
        exchange = self._seen._begin(request.method, request.raw_path, key, request.headers)
        protocol = request.protocol
        self._open[protocol] = exchange
        wire = Wire(request, exchange, self._seen)
        wire.fresh = protocol not in self._kept
        self._kept.add(protocol)
        try:
            await self._serve(request, exchange, wire)
        except ConnectionError:
            # The client left while something was written; the connection's end is reported by connection_lost.
            wire.keep_alive = False
            if request.transport is not None:
                self._seen._aborted(exchange)
        except asyncio.CancelledError:
            if exchange.outcome == "open":
                exchange.outcome = "stopped"
            raise
        finally:
            self._open.pop(protocol, None)
            self._seen._end(exchange)
            log.debug("%s %s %d %s", request.method, request.raw_path, exchange.status, exchange.outcome)
        return _KEEP if wire.keep_alive else _CLOSE

    def connected(self) -> None:
        """Count a new connection."""
        self._seen._connected()

    def disconnected(self, protocol: RequestHandler, *, by_client: bool) -> None:
        """Count a connection that is gone, and the answer that it was to receive when it was the client who left."""
        self._kept.discard(protocol)
        self._seen._disconnected(self._open.get(protocol) if by_client else None)

    async def _serve(self, request: web.BaseRequest, exchange: LoggedRequest, wire: Wire) -> None:
        body = await request.read()
        self._seen._received(exchange, body)
        path = exchange.path.partition("?")[0]
        format_, path_model = chat_format(path)
        turn = ReplyTurn(wire, format_ or format_of_errors(path, request.headers))
        if format_ is None:
            await self._serve_other(request, path, turn, exchange, body)
            return
        if request.method != "POST":
            await turn.refuse(Refusal(405, message=f"Not allowed to {request.method} on {path}"), [(b"allow", b"POST")])
            return
        if not self._knows(exchange.key):
            await turn.refuse(Refusal(401), [])
            return
        try:
            turn.ask = ask = read_ask(format_, body, request.headers, path_model)
            exchange.model, exchange.stream = ask.model, ask.stream
            await self._serve_chat(turn, exchange, path, ask)
        except BadAskError as bad:
            await turn.refuse(Refusal(400, message=bad.message, param=bad.param), [])

    async def _serve_chat(self, turn: ReplyTurn, exchange: LoggedRequest, path: str, ask: Ask) -> None:
        fault = scripted_fault(ask)
        if MISSING_MODEL in ask.model:
            await turn.refuse(Refusal(404), [])
            return
        if not await self._rules.concurrency.enter():
            exchange.outcome = "rejected"
            await turn.refuse(Refusal(429), [])
            return
        try:
            await self._answer_chat(turn, exchange, path, ask, fault)
        finally:
            self._rules.concurrency.leave()

    async def _answer_chat(
        self, turn: ReplyTurn, exchange: LoggedRequest, path: str, ask: Ask, fault: Fault | None
    ) -> None:
        rules = self._rules
        turn.pace = self._pace(ask)
        if ask.cached_prefix:
            turn.cached = self._cache(ask)
        if rules.limiter.limits:
            tokens = ask.prompt_tokens + turn.reply().tokens if rules.limiter.counts_tokens else 0
            verdict = rules.limiter.admit(exchange.key, tokens, time.monotonic())
            turn.headers += turn.format.limit_headers(verdict.states)
            if verdict.refused_by is not None:
                exchange.outcome = "rejected"
                await _reject(turn, verdict)
                return
        fault = fault or rules.faults.pick(Sought(path, ask.model, exchange.key, ask.stream, ask.all_text))
        await self._play(fault, turn, exchange)

    async def _serve_other(
        self, request: web.BaseRequest, path: str, turn: ReplyTurn, exchange: LoggedRequest, body: bytes
    ) -> None:
        """Answer what is no chat: lists of models, information about them, and paths that do not exist."""
        answer = other_answer(path, body)
        if answer is None:
            known = ", ".join(CHATS)
            message = f"Invalid URL ({request.method} {path}): the simulator serves {known} and lists of models."
            status, said = turn.format.error(Refusal(404, "path", message))
            turn = ReplyTurn(turn.wire, turn.format, Reply(status=status, body=said))
            await self._play(self._fault_of_path(path, exchange), turn, exchange)
            return
        method, content = answer
        if request.method != method:
            await turn.refuse(
                Refusal(405, message=f"Not allowed to {request.method} on {path}"), [(b"allow", method.encode())]
            )
            return
        if not self._knows(exchange.key):
            await turn.refuse(Refusal(401), [])
            return
        turn = ReplyTurn(turn.wire, turn.format, Reply(body=content) if content else None)
        if not content:
            await turn.refuse(Refusal(404), [])
            return
        await self._play(self._fault_of_path(path, exchange), turn, exchange)

    def _fault_of_path(self, path: str, exchange: LoggedRequest) -> Fault | None:
        return self._rules.faults.pick(Sought(path, "", exchange.key, False, ""), only_by_path=True)

    async def _play(self, fault: Fault | None, turn: ReplyTurn, exchange: LoggedRequest) -> None:
        if fault is None:
            await turn.answer()
            return
        exchange.fault = fault.kind
        await fault.play(turn)

    def _knows(self, key: str) -> bool:
        return self._rules.keys is None or key in self._rules.keys

    def _pace(self, ask: Ask) -> Pace | None:
        latency = self._rules.latency
        script = ask.script
        if "first_token_s" in script or "tokens_per_s" in script:
            latency = Latency(
                float(script.get("first_token_s", latency.first_token_s)),
                script.get("tokens_per_s", latency.tokens_per_s),
                latency.spread,
            )
        return latency.pace(self._random)

    def _cache(self, ask: Ask) -> tuple[int, int]:
        """Give the prompt tokens written to and read from the cache: written the first time, read from then on."""
        tokens = count_tokens(ask.cached_prefix)
        name = f"{ask.model}\x00{ask.cached_prefix}"
        if name in self._cached_prompts:
            return 0, tokens
        self._cached_prompts[name] = None
        if len(self._cached_prompts) > _MAX_CACHED_PROMPTS:
            self._cached_prompts.popitem(last=False)
        return tokens, 0


class _Server(web.Server):
    """aiohttp's server, which also tells when connections come and go."""

    def __init__(self, provider: Provider) -> None:
        # Limits far above any real header: refusing large requests is not what is simulated here.
        super().__init__(
            provider.handle,
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
            max_line_size=65_536,
            max_field_size=65_536,
        )
        self._provider = provider
        self.stopping = False

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._provider.connected()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._provider.disconnected(handler, by_client=not self.stopping)

    def abort(self) -> None:
        """Close every connection at once."""
        self.stopping = True
        for handler in self.connections:
            if handler.transport is not None:
                handler.transport.abort()

    def _request(self, message: Any, payload: Any, protocol: RequestHandler, writer: Any, task: Any) -> web.BaseRequest:
        # 0 lifts aiohttp's bound of 1 MiB on a body, which images exceed.
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=0)


class _Written(web.StreamResponse):
    """Tells aiohttp that the answer has been written already."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        if not keep_alive:
            self.force_close()
        else:
            self._keep_alive = True

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


_KEEP, _CLOSE = _Written(keep_alive=True), _Written(keep_alive=False)


async def _reject(turn: ReplyTurn, verdict: LimitDecision) -> None:
    limit = verdict.refused_by
    assert limit is not None
    reason = "tokens" if limit.kind == "tokens" else ""
    await turn.refuse(Refusal(429, reason), retry_after_headers(verdict.wait_s, limit.retry_after))
