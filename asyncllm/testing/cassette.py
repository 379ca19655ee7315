"""Cassettes: files of recorded interactions, one JSON object a line.

A line with `request` begins an interaction; the lines until the next one are its answer: one `answer`, or each `chunk`
of a stream, and an `error` that ended it. Keys, headers of accounts and ids of organizations are not in them.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from .. import errors
from ..cache.fingerprint import endpoint_identity
from ..errors import AsyncLLMError, AuthenticationError, ProviderConnectionError, RecordingError
from ..narrowing import is_mapping, mapping_or_empty
from ..parameters import WITHOUT_EFFECT
from ..transports.base import Call
from ..transports.errors import redact

_VERSION = 1
_HEAD = {"asyncllm": "recording", "version": _VERSION}
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
# Response headers that a client reads; all others may name an account.
_KEPT_HEADERS = re.compile(r"retry-after.*|.*ratelimit.*|(x-)?request-id|x-should-retry")
_ACCOUNT_IDS = re.compile(r"\b(org|proj|user|acct)[-_][A-Za-z0-9]{8,}")
_DIFF_LINES = 40


@dataclass(slots=True)
class Interaction:
    """A request and what came back.

    Attributes:
        request: What the provider saw, except who asked.
        headers: The kept headers of the response.
        answer: The whole answer; None for a stream or an error.
        chunks: The chunks of a stream, each with the seconds since the one before.
        error: What it ended with; None when it succeeded.
        elapsed_s: Seconds until the answer or the error.
    """

    request: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    answer: dict[str, object] | None = None
    chunks: list[tuple[float, dict[str, object]]] = field(default_factory=list[tuple[float, dict[str, object]]])
    error: Mapping[str, object] | None = None
    elapsed_s: float = 0.0

    def lines(self) -> list[dict[str, object]]:
        """Return the lines of a cassette that say it."""
        lines: list[dict[str, object]] = [{"request": self.request, "headers": self.headers}]
        if self.answer is not None:
            lines.append({"answer": self.answer, "after_s": round(self.elapsed_s, 3)})
        for after_s, chunk in self.chunks:
            lines.append({"chunk": chunk, "after_s": round(after_s, 3)})
        if self.error is not None:
            lines.append({"error": self.error, "after_s": round(self.elapsed_s, 3)})
        return lines

    def add(self, line: Mapping[str, object]) -> None:
        """Add a line of a cassette that follows the request."""
        after_s = line.get("after_s")
        waited = float(after_s) if isinstance(after_s, int | float) else 0.0
        if "chunk" in line:
            self.chunks.append((waited, dict(mapping_or_empty(line["chunk"]))))
            return
        self.elapsed_s = waited
        if "answer" in line:
            self.answer = dict(mapping_or_empty(line["answer"]))
        elif "error" in line:
            self.error = mapping_or_empty(line["error"])


class Cassette:
    """The interactions of one file, each replayed once, those of equal requests in their order.

    Args:
        path: The file.
        interactions: Those that it has.
    """

    def __init__(self, path: Path, interactions: Sequence[Interaction] = ()) -> None:
        self.path = path
        self.interactions = list(interactions)
        self._unused: dict[str, list[Interaction]] = {}
        for interaction in interactions:
            self._unused.setdefault(_text(interaction.request), []).append(interaction)

    @classmethod
    def load(cls, path: Path) -> Cassette:
        """Read a file.

        Raises:
            RecordingError: It is no cassette, or of a newer version.
        """
        interactions: list[Interaction] = []
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines() or ["null"], start=1):
            try:
                line: object = json.loads(text)
            except ValueError as error:
                raise RecordingError(f"line {number} of the recording {path} is no JSON: {error}.") from None
            if number == 1:
                if not is_mapping(line) or line.get("asyncllm") != "recording" or line.get("version") != _VERSION:
                    raise RecordingError(f"{path} is no recording of version {_VERSION}.", hint="Record it anew.")
            elif is_mapping(line) and "request" in line:
                headers = {name: str(value) for name, value in mapping_or_empty(line.get("headers")).items()}
                interactions.append(Interaction(mapping_or_empty(line["request"]), headers))
            elif is_mapping(line) and interactions:
                interactions[-1].add(line)
        return cls(path, interactions)

    def take(self, request: Mapping[str, object]) -> Interaction | None:
        """Return the next interaction of a request; None when there is none, or none is left."""
        waiting = self._unused.get(_text(request))
        return waiting.pop(0) if waiting else None

    def missing(self, request: Mapping[str, object], hint: str) -> RecordingError:
        """Return the error for a request that was not recorded, with the nearest one that was."""
        what = f"the request to {request.get('model')} is not in the recording {self.path}"
        if not self.interactions:
            return RecordingError(f"{what}, which is empty.", hint=hint)
        if _text(request) in self._unused:
            return RecordingError(f"{what} as often as it is sent.", hint=hint)
        if any({**one.request, "endpoint": request.get("endpoint")} == request for one in self.interactions):
            hint = "Only the endpoint differs: set the base_url that it was recorded with, or record it anew."
        return RecordingError(f"{what}; the nearest one:\n{self._difference(request)}\n", hint=hint)

    def _difference(self, request: Mapping[str, object]) -> str:
        """Return the difference of a request to the nearest recorded one."""
        sent = _pretty(request)
        recorded = [_pretty(one.request) for one in self.interactions]
        nearest = max(recorded, key=lambda lines: difflib.SequenceMatcher(None, lines, sent).ratio())
        lines = list(difflib.unified_diff(nearest, sent, "recorded", "sent", lineterm="", n=1))
        return "\n".join(lines[:_DIFF_LINES] + (["..."] if len(lines) > _DIFF_LINES else []))

    def save(self, interactions: Sequence[Interaction]) -> None:
        """Write interactions to the file, in place of what it has."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [_HEAD, *(line for one in interactions for line in one.lines())]
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        self.path.write_text(text, encoding="utf-8")


def without_setup_failures(interactions: Sequence[Interaction]) -> list[Interaction]:
    """Return interactions without the calls that ended because no connection was made, or the key was refused.

    Errors that an answer to the same messages follows are kept: a retry or a fallback needs them.
    """
    unanswered: dict[str, list[Interaction]] = {}
    for one in interactions:
        errors_since = unanswered.setdefault(json.dumps(one.request.get("messages")), [])
        if one.error is None:
            errors_since.clear()
        else:
            errors_since.append(one)
    dropped = {id(one) for those in unanswered.values() if those and _is_setup_failure(those[-1]) for one in those}
    return [one for one in interactions if id(one) not in dropped]


def _is_setup_failure(interaction: Interaction) -> bool:
    error = rebuilt_error(interaction.error or {}, waits=True)
    never_sent = isinstance(error, ProviderConnectionError) and not error.request_sent
    return never_sent or isinstance(error, AuthenticationError)


def request_of(call: Call, *, stream: bool) -> dict[str, object]:
    """Return what a provider sees of a call, in plain data and without its key."""
    connection = call.connection
    endpoint = None if connection.is_embedded else endpoint_identity(connection.options.get("base_url"))
    if endpoint is not None and urlsplit(endpoint).hostname in _LOOPBACK:
        endpoint = f"loopback{urlsplit(endpoint).path}"  # on another port each time
    sent: dict[str, object] = {
        "model": call.model,
        "endpoint": endpoint,
        "stream": stream,
        "messages": call.messages,
        "params": {name: value for name, value in call.params.items() if name not in WITHOUT_EFFECT},
    }
    plain: dict[str, object] = json.loads(_scrubbed(json.dumps(sent, default=repr), call.secrets()))
    return plain


def plain_error(error: AsyncLLMError, secrets: tuple[str, ...]) -> dict[str, object]:
    """Return an error as plain data: its class, and those of its attributes that JSON can express."""
    kept = {name: value for name, value in vars(error).items() if isinstance(value, str | int | float | None)}
    data: dict[str, object] = json.loads(_scrubbed(json.dumps({"class": type(error).__name__, **kept}), secrets))
    return data


def rebuilt_error(data: Mapping[str, object], *, waits: bool) -> AsyncLLMError:
    """Return an error that was recorded; without the wait that it asks for, unless waits are replayed."""
    cls = cast(type[AsyncLLMError], getattr(errors, str(data.get("class")), AsyncLLMError))
    error = cls(str(data.get("message", "")))
    vars(error).update({name: value for name, value in data.items() if name != "class"})
    if not waits and getattr(error, "retry_after", None) is not None:
        vars(error)["retry_after"] = 0.0
    return error


def plain_answer(data: Mapping[str, object], secrets: tuple[str, ...]) -> dict[str, object]:
    """Return an answer or a chunk without secrets and ids of accounts."""
    plain: dict[str, object] = json.loads(_scrubbed(json.dumps(data), secrets))
    return plain


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a response that are recorded."""
    return {name: value for name, value in headers.items() if _KEPT_HEADERS.fullmatch(name)}


def _scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    without = redact(text, tuple(json.dumps(secret)[1:-1] for secret in secrets))
    return _ACCOUNT_IDS.sub(r"\1-***", without)


def _text(request: Mapping[str, object]) -> str:
    return json.dumps(request, sort_keys=True)


def _pretty(request: Mapping[str, object]) -> list[str]:
    # The prompt first, since a difference in it is the one to see.
    names = sorted(request, key=lambda name: (name != "messages", name))
    sorted_within = {name: json.loads(json.dumps(request[name], sort_keys=True)) for name in names}
    return json.dumps(sorted_within, indent=1, ensure_ascii=False).splitlines()
