"""The faults, each with the ending of a call that meets it, for the documentation and its test.

A case is played to a plain call, a stream and a typed call, each over both transports, with one retry allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from asyncllm.simulator import Fault

Shape = Literal["plain", "stream", "typed"]
Transport = Literal["wire", "litellm", "claude", "gemini"]
SHAPES: tuple[Shape, ...] = ("plain", "stream", "typed")
TRANSPORTS: tuple[Transport, ...] = ("wire", "litellm")
Cell = tuple[Transport, Shape]
CELLS: tuple[Cell, ...] = tuple((transport, shape) for transport in TRANSPORTS for shape in SHAPES)
# Anthropic's and Gemini's formats on the wire end as OpenAI's, but for what the cases say; the table shows OpenAI's.
FORMATS: tuple[Transport, ...] = ("claude", "gemini")
FORMAT_CELLS: tuple[Cell, ...] = tuple((transport, shape) for transport in FORMATS for shape in SHAPES)


class Ending(NamedTuple):
    """The ending of a call.

    Attributes:
        error: The class of the error; empty when there was an answer.
        attempts: The number in the record.
        requests: The number that arrived at the provider.
        cost: `none`, `possible` (an answer that was lost may be billed), `known` or `estimated`.
    """

    error: str = ""
    attempts: int = 1
    requests: int = 1
    cost: str = "known"


@dataclass(frozen=True)
class Case:
    """A fault and its endings.

    Attributes:
        name: The fault in words.
        fault: The fault of the simulator.
        ends: The usual ending.
        stream: The ending of a stream, where it differs.
        wire: The ending over the wire, where it differs.
        litellm: The ending over litellm, where it differs.
        claude: The endings over the wire in Anthropic's format by the shape of the call, where they differ.
        gemini: Those in Gemini's format.
        options: Options of the client.
        server: `http`; `https` with an untrusted certificate; `http_as_https`, where TLS is not spoken; or `nowhere`, a
            name that does not resolve.
        primed: Each client makes a call before the fault is switched on.
        sampled: It is played under trio and by aiohttp's session as well.
    """

    name: str
    fault: Fault | None
    ends: Ending
    stream: Ending | None = None
    wire: Ending | None = None
    litellm: Ending | None = None
    claude: Mapping[Shape, Ending] = field(default_factory=dict[Shape, Ending])
    gemini: Mapping[Shape, Ending] = field(default_factory=dict[Shape, Ending])
    options: Mapping[str, Any] = field(default_factory=dict)
    server: Literal["http", "https", "http_as_https", "nowhere"] = "http"
    primed: bool = False
    sampled: bool = False

    def expected(self, cell: Cell) -> Ending:
        """Return the ending of a cell."""
        transport, shape = cell
        of_format = {"claude": self.claude, "gemini": self.gemini}.get(transport, {})
        if shape in of_format:
            return of_format[shape]
        of_shape = self.stream if shape == "stream" else None
        return of_shape or (self.litellm if transport == "litellm" else self.wire) or self.ends


def _refused(error: str) -> Ending:
    """Return the ending of a request that a retry would not change."""
    return Ending(error, 1, 1, "none")


def _failed(error: str) -> Ending:
    """Return the ending of a request that is retried, fails again and costs nothing."""
    return Ending(error, 2, 2, "none")


def _lost(error: str) -> Ending:
    """Return the ending of a request that is retried and fails again, when the provider may have done the work."""
    return Ending(error, 2, 2, "possible")


def _unreached(error: str) -> Ending:
    """Return the ending of requests that never arrived."""
    return Ending(error, 2, 0, "none")


_ANSWERED = Ending()
_CUT = _lost("ProviderConnectionError")
_UNREADABLE = _lost("MalformedResponseError")
_TIMED_OUT = _lost("ProviderTimeoutError")
_INTERRUPTED = Ending("StreamInterruptedError", 1, 1, "estimated")
_REDIRECTED = _refused("ProviderError")
_LIMITED = _failed("RateLimitError")

# Long enough for a busy machine to send the request, and short enough to wait for.
_WAIT_S = 1.0
_SHORT_TIMEOUTS = {"timeout": _WAIT_S, "first_token_timeout": _WAIT_S, "idle_timeout": _WAIT_S}
# The first chunk of the stream arrives, and then no other.
_SHORT_IDLE = {"timeout": _WAIT_S, "idle_timeout": _WAIT_S}
_SOON: dict[str, Any] = {"retry_after": 0.01, "retry_after_form": "fraction"}
_READ_S = 0.5  # the client has read by then what was sent before the connection breaks
_HUGE_BYTES = 4 * 1024 * 1024  # above the lowered bounds of the test


def _status(code: int, ends: Ending, suffix: str = "", **options: Any) -> Case:
    sampled = code in (401, 500)
    return Case(f"HTTP {code}{suffix}", Fault("status", code=code, **options), ends, sampled=sampled)


def _reason(name: str, reason: str, ends: Ending, style: str = "") -> Case:
    return Case(name, Fault("status", reason=reason, style=style), ends)


STATUSES = (
    _status(400, _refused("BadRequestError")),
    _reason("HTTP 400: the prompt is too long", "context_window", _refused("ContextWindowExceededError")),
    _reason("HTTP 400: the policy refuses it", "content_policy", _refused("ContentPolicyError")),
    Case(
        "HTTP 400: no credit (Anthropic)",
        Fault("status", reason="quota", style="anthropic"),
        _refused("QuotaExceededError"),
    ),
    _status(401, _refused("AuthenticationError")),
    _status(402, _refused("QuotaExceededError")),
    _status(403, _refused("PermissionDeniedError")),
    _reason("HTTP 403: flagged (OpenRouter)", "content_policy", _refused("ContentPolicyError"), "openrouter"),
    _status(404, _refused("NotFoundError")),
    _status(405, _refused("ProviderError")),
    _status(408, _failed("ProviderError")),
    _status(409, _failed("ProviderError")),
    _status(413, _refused("BadRequestError")),
    _status(418, _refused("ProviderError")),
    _status(422, _refused("BadRequestError")),
    _status(429, _LIMITED, ", no Retry-After"),
    Case("HTTP 429, Retry-After", Fault("status", code=429, **_SOON), _LIMITED, sampled=True),
    _status(429, _LIMITED, ", Retry-After is nonsense", retry_after=1, retry_after_form="nonsense"),
    _status(429, _LIMITED, ", Retry-After is negative", retry_after=1, retry_after_form="negative"),
    _status(429, _LIMITED, ", Retry-After is a date in the past", retry_after=60, retry_after_form="past"),
    Case(
        "HTTP 429, Retry-After of two hours, a deadline of one minute",
        Fault("status", code=429, retry_after=7200),
        _refused("DeadlineExceededError"),
        options={"deadline": 60.0},
    ),
    _reason("HTTP 429: no credit", "quota", _refused("QuotaExceededError")),
    _reason("HTTP 429: no credit (Gemini)", "quota", _refused("QuotaExceededError"), "gemini"),
    Case("HTTP 429: a minute's quota (Gemini)", Fault("status", code=429, style="gemini"), _LIMITED),
    _status(500, _failed("ServerError")),
    _status(501, _failed("ServerError")),
    _status(502, _failed("ServerError")),
    _status(503, _failed("ServerError")),
    _status(504, _lost("ServerError")),
    _status(524, _lost("ServerError")),
    _status(529, _failed("ServerError")),
    Case("HTTP 502 with a page", Fault("garbage", code=502), _failed("ServerError")),
    Case("HTTP 503, empty", Fault("garbage", code=503, what="empty"), _failed("ServerError")),
    Case("HTTP 500, nested without end", Fault("garbage", code=500, what="deep_nesting"), _failed("ServerError")),
)

CONNECTIONS = (
    Case("connection refused", Fault("refuse"), _unreached("ProviderConnectionError"), sampled=True),
    Case("no such host", None, _unreached("ProviderConnectionError"), server="nowhere"),
    Case("certificate not trusted", None, _unreached("ProviderConnectionError"), server="https"),
    Case("no TLS at an https address", None, _unreached("ProviderConnectionError"), server="http_as_https"),
    Case("reset before the headers", Fault("reset"), _CUT),
    Case("reset after the headers", Fault("reset", at="after_headers"), _CUT),
    Case("reset in the body", Fault("reset", at="body", seconds=_READ_S), _CUT, stream=_INTERRUPTED, sampled=True),
    Case("closed before the headers", Fault("cut"), _CUT),
    Case("closed after the headers", Fault("cut", at="after_headers"), _CUT),
    Case("closed in the body", Fault("cut", at="body", seconds=_READ_S), _CUT, stream=_INTERRUPTED),
    Case(
        "closed in a body without length",
        Fault("cut", at="body", framed=False, seconds=_READ_S),
        _UNREADABLE,
        stream=_INTERRUPTED,
    ),
    Case(
        "kept connection closed under the next request",
        Fault("close_kept"),
        _ANSWERED,
        wire=Ending(requests=2),
        litellm=Ending(attempts=2, requests=2, cost="known, and once possible"),
        primed=True,
        sampled=True,
    ),
    Case("stall before the headers", Fault("stall"), _TIMED_OUT, options=_SHORT_TIMEOUTS, primed=True),
    Case(
        "stall after the headers",
        Fault("stall", at="after_headers"),
        _TIMED_OUT,
        options=_SHORT_TIMEOUTS,
        primed=True,
        sampled=True,
    ),
    Case(
        "stall in the body, between two chunks",
        Fault("stall", at="body", after_chunks=2),
        _TIMED_OUT,
        stream=Ending("ProviderTimeoutError", 1, 1, "estimated"),
        options=_SHORT_IDLE,
        primed=True,
    ),
    Case("one byte a second", Fault("drip", seconds=1.0), _TIMED_OUT, options=_SHORT_TIMEOUTS, primed=True),
    Case("redirect to the same host", Fault("redirect"), _REDIRECTED),
    Case("redirect to another host", Fault("redirect", to="other"), _REDIRECTED, sampled=True),
    Case("redirect in a loop", Fault("redirect", to="loop"), _REDIRECTED),
    Case("redirect that turns a POST into a GET", Fault("redirect", code=303, to="other"), _REDIRECTED),
)

BODIES = (
    Case("a page", Fault("garbage", what="html"), _UNREADABLE, sampled=True),
    Case("empty", Fault("garbage", what="empty"), _UNREADABLE),
    Case("`null`", Fault("garbage", what="null", after_chunks=0), _UNREADABLE),
    Case("JSON cut short", Fault("garbage", what="invalid_json", after_chunks=0), _UNREADABLE),
    Case("JSON cut short, later", Fault("garbage", what="invalid_json"), _UNREADABLE, stream=_INTERRUPTED),
    Case("JSON of another shape", Fault("garbage", what="wrong_shape", after_chunks=0), _UNREADABLE),
    Case("JSON of another shape, later", Fault("garbage", what="wrong_shape"), _UNREADABLE, stream=_INTERRUPTED),
    Case("values of wrong types", Fault("garbage", what="wrong_types", after_chunks=0), _UNREADABLE),
    Case("values of wrong types, later", Fault("garbage", what="wrong_types"), _UNREADABLE, stream=_INTERRUPTED),
    Case("not UTF-8", Fault("garbage", what="invalid_utf8", after_chunks=0), _UNREADABLE),
    Case("not UTF-8, later", Fault("garbage", what="invalid_utf8"), _UNREADABLE, stream=_INTERRUPTED),
    Case("nested without end", Fault("garbage", what="deep_nesting", after_chunks=0), _UNREADABLE),
    Case("nested without end, later", Fault("garbage", what="deep_nesting"), _UNREADABLE, stream=_INTERRUPTED),
    Case(
        "gzip cut short",
        Fault("truncated_gzip"),
        _UNREADABLE,
        stream=_INTERRUPTED,
        claude={"stream": _UNREADABLE},  # the half that comes holds no piece of the answer
    ),
    Case(
        "shorter than announced",
        Fault("wrong_length"),
        _TIMED_OUT,
        stream=_ANSWERED,
        options=_SHORT_IDLE,
        primed=True,
        # The end of the body is that of the stream, and never comes.
        gemini={"stream": Ending("ProviderTimeoutError")},
    ),
    Case("longer than announced", Fault("wrong_length", size_bytes=-100), _UNREADABLE),
    Case("a header without end", Fault("huge_header"), _UNREADABLE),
    Case("larger than any answer", Fault("huge_body", size_bytes=_HUGE_BYTES), _UNREADABLE),
    Case("larger, once unpacked", Fault("huge_body", size_bytes=_HUGE_BYTES, gzipped=True), _UNREADABLE),
    Case("without end", Fault("endless"), _UNREADABLE, stream=_INTERRUPTED),
)

_ERROR_AS_ANSWER = '{"error": {"message": "the engine coughed", "code": 503}}'
_ERROR_WITHOUT_STATUS = '{"error": {"message": "the engine coughed", "type": "engine"}}'
_ERROR_IN_CHOICE = (
    '{"id": "sim", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "error",'
    ' "message": {"role": "assistant", "content": ""}, "delta": {"role": "assistant", "content": ""},'
    ' "error": {"message": "the engine coughed", "code": 502}}]}'
)

ERRORS = (
    Case("an error with a status", Fault("garbage", text=_ERROR_AS_ANSWER, after_chunks=0), _failed("ServerError")),
    Case("an error without one", Fault("garbage", text=_ERROR_WITHOUT_STATUS, after_chunks=0), _UNREADABLE),
    Case(
        "an error in a choice (OpenRouter)",
        Fault("garbage", text=_ERROR_IN_CHOICE, after_chunks=0),
        _failed("ServerError"),
        claude=dict.fromkeys(SHAPES, _UNREADABLE),  # it has no choices
        gemini=dict.fromkeys(SHAPES, _UNREADABLE),
    ),
)

STREAMS = (
    Case("an event more than once", Fault("repeat", count=150), _ANSWERED),
    Case(
        "no `[DONE]`",
        Fault("missing_done"),
        _ANSWERED,
        gemini={"stream": _INTERRUPTED},  # the last event, which has the reason, is the mark of the end
    ),
    Case(
        "error event first",
        Fault("error_event", after_chunks=0),
        _failed("ServerError"),
        stream=_UNREADABLE,
        claude={"stream": _failed("ServerError")},  # its type says that the provider is overloaded
        gemini={"stream": _failed("ServerError")},  # its code is a status
    ),
    Case(
        "error event first, with a status",
        Fault("error_event", after_chunks=0, code=503, style="vllm"),
        _failed("ServerError"),
    ),
    Case("error event", Fault("error_event"), _failed("ServerError"), stream=_INTERRUPTED, sampled=True),
    Case(
        "error event in a choice (OpenRouter)",
        Fault("error_event", code=502, style="openrouter"),
        _failed("ServerError"),
        stream=_INTERRUPTED,
    ),
)

SECTIONS: Mapping[str, tuple[Case, ...]] = {
    "Statuses": STATUSES,
    "Connections": CONNECTIONS,
    "Bodies with HTTP 200": BODIES,
    "Errors with HTTP 200": ERRORS,
    "Streams": STREAMS,
}
CASES: Mapping[str, Case] = {case.name: case for cases in SECTIONS.values() for case in cases}
