"""Recordings: the first run of a test talks to the provider, later ones need no network and no key."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import anyio

from ..completions.text_chunk import AnyChunk, chunk_data
from ..errors import AsyncLLMError, RecordingError
from ..pipeline.interception import intercepting
from ..transports.base import Answer, Call, ChunkStream, Connection, Transport
from ..transports.litellm.importing import model_response
from .cassette import (
    Cassette,
    Interaction,
    kept_headers,
    plain_answer,
    plain_error,
    rebuilt_error,
    request_of,
    without_setup_failures,
)

RecordingMode = Literal["once", "none", "new", "all"]
"""`once`: record where there is no file, else replay; `none`: replay; `new`: replay, and record what is missing; `all`:
record everything anew."""

_MODES = ("once", "none", "new", "all")
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


class Recording:
    """The interactions of a block, recorded or replayed.

    Attributes:
        replays: Whether calls may be answered from the file.
        needs_keys: Whether a call without a key fails.
        played: How many were.
        added: How many were recorded.

    Args:
        path: The file.
        mode: As for `recorded`.
        timings: Replay the waits of streams and of errors as they were.
        option: How a mode is chosen, for messages.

    Example:
        ```python
        from asyncllm.testing import recorded

        with recorded("cassettes/colours.jsonl") as recording:
            await llm.acompletion("Name a colour.")
        print(recording.played, recording.added)
        ```
    """

    def __init__(self, path: Path, mode: RecordingMode, *, timings: bool, option: str = 'mode="{}"') -> None:
        if mode not in _MODES:
            raise ValueError(f"mode is one of {', '.join(_MODES)}, not {mode!r}")
        exists = path.is_file()
        if mode == "none" and not exists:
            raise RecordingError(f"there is no recording {path}.", hint=f"Locally, {option.format('once')} makes it.")
        self.replays = mode != "all" and exists
        self.needs_keys = not self.replays
        self.played = 0
        self.added = 0
        self.timings = timings
        self._hint = (
            f"Record it{' locally' if mode == 'none' else ''}: {option.format('new')} adds what is missing, "
            f"{option.format('all')} records everything anew."
        )
        self._records = mode in ("new", "all") or not exists
        self._cassette = Cassette.load(path) if self.replays else Cassette(path)
        self._new: list[Interaction] = []
        self._lock = threading.Lock()

    def wrap(self, transport: Transport) -> Transport:
        """Return a transport that replays and records what goes over another."""
        return _RecordedTransport(transport, self)

    def take(self, request: Mapping[str, object]) -> Interaction | None:
        """Return the recorded interaction of a request; None when it has to be sent.

        Raises:
            RecordingError: It is not there, and nothing is recorded.
        """
        with self._lock:
            found = self._cassette.take(request) if self.replays else None
            if found is not None:
                self.played += 1
            elif not self._records:
                raise self._cassette.missing(request, self._hint)
        return found

    def add(self, interaction: Interaction) -> None:
        """Record an interaction."""
        with self._lock:
            self._new.append(interaction)
            self.added += 1

    def save(self) -> None:
        """Write what was recorded, without calls that ended in a failure of the set-up."""
        kept = without_setup_failures(self._new)
        self.added = len(kept)
        if kept:
            self._cassette.save([*self._cassette.interactions, *kept])

    def error_of(self, found: Interaction) -> AsyncLLMError | None:
        """Return the error of a recorded interaction, with a note of the file; None when there is none."""
        if found.error is None:
            return None
        error = rebuilt_error(found.error, waits=self.timings)
        error.add_note(f"(replayed from {self._cassette.path})")
        return error


@contextmanager
def recorded(path: str | Path, mode: RecordingMode = "once", *, timings: bool = False) -> Generator[Recording]:
    """Record the calls of a block to a file, or replay them from it; those of all clients of the process.

    Calls are matched by what the provider would see, and by its endpoint; equal ones are replayed in their order.
    Errors are recorded as well, so that retries are replayed; calls that end because no connection was made or the key
    was refused are not. Keys are not.

    Args:
        path: The file, JSON Lines; its folder is made.
        mode: `once`: record where there is no file, else replay; `none`: replay; `new`: replay, and record what is
            missing; `all`: record everything anew.
        timings: Replay the waits of streams and of errors as they were; otherwise nothing waits.

    Raises:
        RecordingError: The file is missing or no recording; in a call, that it is not recorded, with the nearest one.

    Example:
        ```python
        from asyncllm.testing import recorded

        with recorded("cassettes/refunds.jsonl"):
            answer = await llm.acompletion("May I return it?")
        ```
    """
    with recording_calls(Recording(Path(path), mode, timings=timings)) as recording:
        yield recording


@contextmanager
def recording_calls(recording: Recording) -> Generator[Recording]:
    """Record or replay the calls of a block, and write what was recorded."""
    try:
        with intercepting(recording):
            yield recording
    finally:
        recording.save()


@contextmanager
def no_provider_calls() -> Generator[None]:
    """Fail calls to real providers in a block; the simulator, and what else is on this machine, may be called.

    Raises:
        RecordingError: In a call, with the model and the endpoint.

    Example:
        ```python
        from asyncllm.testing import no_provider_calls

        with no_provider_calls():
            answer = await llm.acompletion("Name a colour.")  # the simulator's, which is allowed
        ```
    """
    with intercepting(_Forbidding()):
        yield


class _Forbidding:
    """Refuses calls that would leave this machine."""

    replays = False
    needs_keys = False

    def wrap(self, transport: Transport) -> Transport:
        return _LoopbackTransport(transport)


class _Passing:
    """A transport before another one, which it closes with itself."""

    def __init__(self, inner: Transport) -> None:
        self.name = inner.name
        self._inner = inner

    async def warm_up(self, connection: Connection) -> None:
        await self._inner.warm_up(connection)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def drop(self) -> None:
        self._inner.drop()


class _LoopbackTransport(_Passing):
    """Sends calls to this machine, and refuses all others."""

    async def complete(self, call: Call) -> Answer:
        _check_loopback(call)
        return await self._inner.complete(call)

    async def open_stream(self, call: Call) -> ChunkStream:
        _check_loopback(call)
        return await self._inner.open_stream(call)


def _check_loopback(call: Call) -> None:
    url = call.connection.options.get("base_url")
    if call.connection.is_embedded or (url is not None and urlsplit(str(url)).hostname in _LOOPBACK):
        return
    raise RecordingError(
        f"a call to {call.model} was about to be sent, and no_provider_calls() forbids it.",
        hint="Use the simulator, or recorded(...) within it.",
    )


class _RecordedTransport(_Passing):
    """Replays what is recorded, and records the rest."""

    def __init__(self, inner: Transport, recording: Recording) -> None:
        super().__init__(inner)
        self._recording = recording

    async def warm_up(self, connection: Connection) -> None:
        if not self._recording.replays:
            await super().warm_up(connection)

    async def complete(self, call: Call) -> Answer:
        request = request_of(call, stream=False)
        found = self._recording.take(request)
        if found is not None:
            await self._replayed_wait(found)
            return Answer(found.answer or {}, found.headers, model_response)
        take = _Take(self._recording, call, request)
        try:
            answer = await self._inner.complete(call)
        except AsyncLLMError as error:
            take.failed(error)
            raise
        take.interaction.headers = kept_headers(answer.headers)
        take.interaction.answer = plain_answer(answer.data, call.secrets())
        take.ended()
        return answer

    async def open_stream(self, call: Call) -> ChunkStream:
        request = request_of(call, stream=True)
        found = self._recording.take(request)
        if found is not None:
            if not found.chunks:
                await self._replayed_wait(found)
            return _ReplayedStream(found, self._recording)
        take = _Take(self._recording, call, request)
        try:
            stream = await self._inner.open_stream(call)
        except AsyncLLMError as error:
            take.failed(error)
            raise
        return _StreamTake(stream, take)

    async def _replayed_wait(self, found: Interaction) -> None:
        """Wait as long as the provider took, where waits are replayed; raise the error that was recorded."""
        await anyio.sleep(found.elapsed_s if self._recording.timings else 0.0)
        if (error := self._recording.error_of(found)) is not None:
            raise error


class _Take:
    """One interaction while it is recorded."""

    def __init__(self, recording: Recording, call: Call, request: Mapping[str, object]) -> None:
        self.interaction = Interaction(request)
        self._recording = recording
        self._secrets = call.secrets()
        self._started = self._last = time.monotonic()
        self._is_over = False

    def chunks(self, chunks: Sequence[AnyChunk]) -> None:
        """Add chunks that came together."""
        now = time.monotonic()
        for chunk in chunks:
            self.interaction.chunks.append((now - self._last, plain_answer(chunk_data(chunk), self._secrets)))
            self._last = now

    def failed(self, error: AsyncLLMError) -> None:
        """Add the error that it ended with."""
        self.interaction.error = plain_error(error, self._secrets)
        self.ended()

    def ended(self) -> None:
        """Record it, once."""
        if not self._is_over:
            self._is_over = True
            self.interaction.elapsed_s = time.monotonic() - self._started
            self._recording.add(self.interaction)


class _StreamTake:
    """A stream that is recorded as it is read; one that is left early, as far as it was read."""

    def __init__(self, stream: ChunkStream, take: _Take) -> None:
        self.headers = stream.headers
        self.build_response = stream.build_response
        self._stream = stream
        self._take = take
        take.interaction.headers = kept_headers(stream.headers)

    async def read(self, timeout_s: float) -> Sequence[AnyChunk]:
        try:
            chunks = await self._stream.read(timeout_s)
        except AsyncLLMError as error:
            self._take.failed(error)
            raise
        self._take.chunks(chunks)
        if not chunks:
            self._take.ended()
        return chunks

    async def aclose(self) -> None:
        self._take.ended()
        await self._stream.aclose()

    def abandon(self) -> None:
        self._take.ended()
        self._stream.abandon()


class _ReplayedStream:
    """A stream that was recorded."""

    def __init__(self, found: Interaction, recording: Recording) -> None:
        self.headers = found.headers
        self.build_response: Callable[[dict[str, object]], object] | None = model_response
        self._found = found
        self._recording = recording
        self._chunks = iter(found.chunks)

    async def read(self, timeout_s: float) -> Sequence[dict[str, object]]:
        for waited_s, chunk in self._chunks:
            await anyio.sleep(waited_s if self._recording.timings else 0.0)
            return [chunk]
        if (error := self._recording.error_of(self._found)) is not None:
            raise error
        return []

    async def aclose(self) -> None:
        """Do nothing: no connection is open."""

    def abandon(self) -> None:
        """Do nothing: no connection is open."""
