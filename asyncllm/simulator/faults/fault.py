"""One fault, and the requests that meet it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from ..formats.error_bodies import STYLES
from .garbage import GARBAGE
from .kinds import KINDS, REDIRECTS
from .retry_after import RETRY_AFTER_FORMS

if TYPE_CHECKING:
    from ..server.responder import Responder
    from .plan import RequestTraits

At = Literal["before_headers", "after_headers", "body"]
AT = ("before_headers", "after_headers", "body")


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of answering wrongly, and the requests that meet it.

    Args:
        kind: What goes wrong: a key of `KINDS`.
        rate: The share of the matching requests, 0 to 1, drawn from the simulator's seed.
        times: The number of requests after which the fault is over; None for never.
        code: `status`: the HTTP status; by default what the provider uses for the reason, else 500. `garbage`: the
            status, instead of 200. `redirect`: 307 by default.
        reason: `status`, `error_event`: `context_window`, `content_policy`, `quota`, `tokens`, or empty.
        message: `status`, `error_event`: replaces the provider's usual message.
        style: `status`, `error_event`: the provider whose words it is in: `openai`, `azure`, `anthropic`, `gemini`,
            `mistral`, `vllm` or `openrouter`; by default that of the request's format.
        retry_after: `status`: seconds in a Retry-After header.
        retry_after_form: `status`: `seconds`, `fraction`, `date`, `ms` (retry-after-ms), `none`, `nonsense`, `negative`
            or `past` (a date).
        seconds: `delay`: before the headers; `drip`: between two bytes; `reset`, `cut`: before it happens, so that
            the client has read what was sent.
        at: `stall`, `reset`, `cut`: `before_headers`, `after_headers` or `body` (in the middle of it).
        after_chunks: `stall`, `reset`, `cut`, `error_event`, `garbage`, `repeat`: in a stream, after this many events.
        framed: `cut`: False sends a body that the closing connection ends, so that a cut looks like its end.
        what: `garbage`: `html`, `invalid_json`, `empty`, `wrong_shape`, `wrong_types`, `null`, `invalid_utf8` or
            `deep_nesting`.
        size_bytes: `huge_body`, `huge_header`: the size; `wrong_length`: how much more is announced than sent, or less
            when negative.
        gzipped: `huge_body`: compressed to a thousandth of its size.
        count: `repeat`: how often the event is repeated.
        to: `redirect`: `same` (the same host), `other` (another name of it) or `loop`.
        text: `answer`: the text of the answer, or the arguments of its tool call. `garbage`: what is sent, instead of
            `what`.
        path: Only requests whose path matches this (`*` stands for anything); without it, all chats and nothing else.
        model: Only requests whose model matches this.
        key: Only requests with this key.
        stream: Only streams, or only plain requests.
        contains: Only requests with this text in their messages.

    Raises:
        ValueError: The kind or a value is unknown; the message names those that are known.

    Example:
        ```python
        from asyncllm.testing import Fault, Simulator

        busy = Fault("status", code=429, retry_after=0.1, times=2)
        meaning = Fault("answer", text="42", contains="meaning of life")
        with Simulator(faults=[busy, meaning]) as simulator:
            client = AsyncLLM(model="openai/any", base_url=simulator.url, api_key="any")
        ```
    """

    kind: str
    _: KW_ONLY
    rate: float = 1.0
    times: int | None = None
    code: int | None = None
    reason: str = ""
    message: str = ""
    style: str = ""
    retry_after: float | None = None
    retry_after_form: str = "seconds"
    seconds: float = 0.0
    at: At = "before_headers"
    after_chunks: int | None = None
    framed: bool = True
    what: str = "html"
    size_bytes: int | None = None
    gzipped: bool = False
    count: int = 3
    to: str = "same"
    text: str = ""
    path: str | None = None
    model: str | None = None
    key: str | None = None
    stream: bool | None = None
    contains: str | None = None

    def __post_init__(self) -> None:
        _check("kind", self.kind, KINDS)
        _check("at", self.at, AT)
        _check("what", self.what, GARBAGE)
        _check("retry_after_form", self.retry_after_form, RETRY_AFTER_FORMS)
        _check("reason", self.reason, ("", "context_window", "content_policy", "quota", "tokens"))
        _check("style", self.style, ("", *STYLES))
        _check("to", self.to, REDIRECTS)
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must be between 0 and 1, not {self.rate}")
        if self.of_connections and any(
            getattr(self, one.name) != one.default for one in fields(self) if one.name not in ("kind", "_")
        ):
            raise ValueError(f"{self.kind} must be given alone: it is for every connection, before there is a request")

    @property
    def of_connections(self) -> bool:
        """Whether this fault is one of connections, which comes before there is a request."""
        return KINDS[self.kind].play is None

    async def play(self, responder: Responder) -> None:
        """Answer a request with this fault."""
        play = KINDS[self.kind].play
        assert play is not None, "a fault of connections is not played to a request"
        await play(self, responder)

    def matches(self, request: RequestTraits) -> bool:
        """Return whether this fault is for a request."""
        return (
            (self.path is None or fnmatchcase(request.path, self.path))
            and (self.model is None or fnmatchcase(request.model, self.model))
            and (self.key is None or self.key == request.key)
            and (self.stream is None or self.stream is request.stream)
            and (self.contains is None or self.contains in request.text)
        )


def _check(name: str, value: str, allowed: Iterable[str]) -> None:
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(word or 'empty' for word in allowed)}, not {value!r}")
