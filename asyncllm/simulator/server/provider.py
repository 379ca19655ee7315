"""The simulated provider: the answer to each request.

A request is routed by its path, checked for its key, read by its format, admitted by the limits, and then answered, or
met by a fault.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from random import Random

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ..answers.conversation import ChatRequest, InvalidRequestError, count_tokens
from ..answers.json_values import as_number
from ..faults import Fault, RequestTraits, retry_after_headers
from ..formats.provider_format import ErrorDetails
from .behaviour import Behaviour
from .http_server import WRITTEN
from .latency import Latency, Pace
from .rate_limits import LimitDecision
from .raw_response import RawResponse, Reply
from .request_log import LoggedRequest
from .request_recorder import RequestRecorder
from .responder import Responder
from .routes import (
    CHATS,
    MISSING_MODEL,
    chat_format,
    format_of_errors,
    key_of,
    model_endpoint,
    read_chat,
    scripted_fault,
)

log = logging.getLogger("asyncllm.simulator")

# As many cached prompts are remembered as a test can use; providers forget after minutes.
_MAX_CACHED_PROMPTS = 1000


class Provider:
    """Answers every request of one simulator; lives on its loop."""

    def __init__(self, behaviour: Behaviour, recorder: RequestRecorder) -> None:
        self._behaviour = behaviour
        self._recorder = recorder
        self._random = Random(behaviour.seed)
        self._cached_prompts: OrderedDict[str, None] = OrderedDict()
        self._open: dict[RequestHandler, LoggedRequest] = {}
        self._kept: set[RequestHandler] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; by the return everything is written."""
        logged = self._recorder.begin(request.method, request.raw_path, key_of(request.headers), request.headers)
        protocol = request.protocol
        self._open[protocol] = logged
        response = RawResponse(request, logged, self._recorder)
        response.fresh = protocol not in self._kept
        self._kept.add(protocol)
        try:
            await self._serve(request, logged, response)
        except ConnectionError:
            # The client left while something was written; the connection's end is reported by connection_lost.
            response.keep_alive = False
            if request.transport is not None:
                self._recorder.abort(logged)
        except asyncio.CancelledError:
            if logged.outcome == "open":
                logged.outcome = "stopped"
            raise
        finally:
            self._open.pop(protocol, None)
            self._recorder.end(logged)
            log.debug("%s %s %d %s", request.method, request.raw_path, logged.status, logged.outcome)
        return WRITTEN[response.keep_alive]

    def connected(self) -> None:
        """Count a new connection."""
        self._recorder.connected()

    def disconnected(self, protocol: RequestHandler, *, by_client: bool) -> None:
        """Count a connection that is gone; when the client closed it, the answer under way is aborted."""
        self._kept.discard(protocol)
        self._recorder.disconnected(self._open.get(protocol) if by_client else None)

    async def _serve(self, request: web.BaseRequest, logged: LoggedRequest, response: RawResponse) -> None:
        body = await request.read()
        self._recorder.received(logged, body)
        path = logged.path.partition("?")[0]
        format_, path_model = chat_format(path)
        if format_ is None:
            await self._serve_other(request, path, logged, response, body)
            return
        responder = Responder(response, format_)
        if not await self._is_allowed(request, "POST", path, logged, responder):
            return
        try:
            responder.chat = chat = read_chat(format_, body, request.headers, path_model)
            logged.model, logged.stream = chat.model, chat.stream
            await self._serve_chat(responder, logged, path, chat)
        except InvalidRequestError as error:
            await responder.refuse(ErrorDetails(400, message=error.message, param=error.param))

    async def _serve_chat(self, responder: Responder, logged: LoggedRequest, path: str, chat: ChatRequest) -> None:
        fault = scripted_fault(chat)
        if MISSING_MODEL in chat.model:
            await responder.refuse(ErrorDetails(404))
            return
        if not await self._behaviour.concurrency.enter():
            logged.outcome = "rejected"
            await responder.refuse(ErrorDetails(429))
            return
        try:
            responder.pace = self._pace(chat)
            if chat.cached_prefix:
                responder.cached = self._cache(chat)
            decision = self._decision(responder, logged, chat)
            if decision is not None and decision.refused_by is not None:
                logged.outcome = "rejected"
                reason = "tokens" if decision.refused_by.kind == "tokens" else ""
                headers = retry_after_headers(decision.wait_s, decision.refused_by.retry_after)
                await responder.refuse(ErrorDetails(429, reason), headers)
                return
            traits = RequestTraits(path, chat.model, logged.key, chat.stream, chat.all_text)
            await self._play(fault or self._behaviour.faults.pick(traits), responder, logged)
        finally:
            self._behaviour.concurrency.leave()

    async def _serve_other(
        self, request: web.BaseRequest, path: str, logged: LoggedRequest, response: RawResponse, body: bytes
    ) -> None:
        """Answer requests that are no chat: about models, and with unknown paths."""
        format_ = format_of_errors(path, request.headers)
        endpoint = model_endpoint(path, body, request.headers)
        if endpoint is None:
            known = ", ".join(CHATS)
            message = f"Invalid URL ({request.method} {path}): the simulator serves {known} and lists of models."
            status, content = format_.error(ErrorDetails(404, "path", message))
        else:
            (method, content), status = endpoint, 200
            responder = Responder(response, format_)
            if not await self._is_allowed(request, method, path, logged, responder):
                return
            if not content:
                await responder.refuse(ErrorDetails(404))
                return
        fault = self._behaviour.faults.pick(RequestTraits(path, "", logged.key, False, ""), only_by_path=True)
        await self._play(fault, Responder(response, format_, Reply(status=status, body=content)), logged)

    async def _is_allowed(
        self, request: web.BaseRequest, method: str, path: str, logged: LoggedRequest, responder: Responder
    ) -> bool:
        """Check the method and the key of a request; one that is refused is answered."""
        keys = self._behaviour.keys
        if request.method != method:
            error = ErrorDetails(405, message=f"Not allowed to {request.method} on {path}")
            await responder.refuse(error, [(b"allow", method.encode())])
        elif keys is not None and logged.key not in keys:
            await responder.refuse(ErrorDetails(401, "key"))
        else:
            return True
        return False

    def _decision(self, responder: Responder, logged: LoggedRequest, chat: ChatRequest) -> LimitDecision | None:
        """Count a request against the rate limits, and add their headers to its answer."""
        limiter = self._behaviour.limiter
        if not limiter.limits:
            return None
        tokens = chat.prompt_tokens + responder.reply().tokens if limiter.counts_tokens else 0
        decision = limiter.admit(logged.key, tokens, time.monotonic())
        responder.headers += responder.format.limit_headers(decision.states)
        return decision

    async def _play(self, fault: Fault | None, responder: Responder, logged: LoggedRequest) -> None:
        if fault is None:
            await responder.answer()
            return
        logged.fault = fault.kind
        await fault.play(responder)

    def _pace(self, chat: ChatRequest) -> Pace | None:
        latency = self._behaviour.latency
        script = chat.script
        if "first_token_s" in script or "tokens_per_s" in script:
            per_s = script.get("tokens_per_s", latency.tokens_per_s)
            try:
                latency = Latency(
                    as_number(script.get("first_token_s", latency.first_token_s)),
                    None if per_s is None else as_number(per_s),
                    latency.spread,
                )
            except (TypeError, ValueError) as problem:
                raise InvalidRequestError(f"'simulator': {problem}", "simulator") from None
        return latency.pace(self._random)

    def _cache(self, chat: ChatRequest) -> tuple[int, int]:
        """Return the prompt tokens written to and read from the cache: written the first time, read from then on."""
        tokens = count_tokens(chat.cached_prefix)
        name = f"{chat.model}\x00{chat.cached_prefix}"
        if name in self._cached_prompts:
            return 0, tokens
        self._cached_prompts[name] = None
        if len(self._cached_prompts) > _MAX_CACHED_PROMPTS:
            self._cached_prompts.popitem(last=False)
        return tokens, 0
