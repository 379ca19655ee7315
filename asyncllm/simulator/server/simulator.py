"""The simulator: its thread, its port, and the switches that change it while it runs."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Self

from ..faults import Fault, FaultPlan, Script
from .admission import BACKLOG, ConnectionGate, settle
from .behaviour import Behaviour
from .concurrency import ConcurrencyLimit
from .latency import Latency
from .rate_limits import Limit, Limiter
from .request_log import RequestLog, setter_for_this_loop
from .request_recorder import RequestRecorder


class Simulator:
    """A provider of language models on loopback that answers by rule, without a model.

    It serves the OpenAI, Azure, Anthropic, Gemini and Ollama chat formats over real HTTP from a thread of its own, for
    blocking, asyncio and trio callers. Use it as a context manager, plain or async, or call `start` and `stop`.

    Args:
        port: The port on 127.0.0.1; 0 takes a free one.
        keys: The API keys that are accepted; None accepts any, and requests without one.
        latency: The speed of answers; None for no delay.
        limits: Rate limits; a request must pass all of them.
        faults: Faults; a request meets the first that applies to it.
        seed: Decides every draw (faults by rate, the spread of the latency).
        max_in_flight: Requests answered at a time; None for any number.
        queue: Let requests beyond `max_in_flight` wait, instead of refusing them with a 429.
        record: Keep the last requests with their headers and bodies for `seen`.
        ssl_context: Serve https with this.

    Attributes:
        seen: The log of requests and connections; readable at any time, also after the stop.
        batches: The clock, limits and faults of batches; changed at any time.

    Example:
        ```python
        from asyncllm.simulator import Simulator

        with Simulator() as simulator:
            async with AsyncLLM(model="openai/any", base_url=simulator.url, api_key="any") as llm:
                await llm.acompletion("Name a colour.")
        assert simulator.seen.requests == 1
        ```
    """

    def __init__(
        self,
        port: int = 0,
        *,
        keys: Iterable[str] | None = None,
        latency: Latency | None = None,
        limits: Iterable[Limit] = (),
        faults: Iterable[Fault | Script] = (),
        seed: int = 0,
        max_in_flight: int | None = None,
        queue: bool = False,
        record: bool = True,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if isinstance(keys, str):
            raise TypeError("keys is a collection of keys, not one key")
        self._recorder = RequestRecorder(record=record)
        self.seen: RequestLog = self._recorder
        self._wanted_port = port
        self._ssl_context = ssl_context
        self._behaviour = Behaviour(None if keys is None else frozenset(keys), seed)
        self.batches = self._behaviour.batches
        self._behaviour.latency = latency or Latency()
        self._behaviour.limiter = Limiter(limits)
        self._behaviour.faults = FaultPlan(faults, seed)
        self._behaviour.concurrency = ConcurrencyLimit(max_in_flight, queue=queue)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._gate: ConnectionGate | None = None
        self._port = 0
        self._failure: BaseException | None = None
        self._on_end: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"Simulator({self.root_url if self._thread else 'stopped'})"

    @property
    def url(self) -> str:
        """The base URL of the OpenAI format, ending in /v1."""
        return f"{self.root_url}/v1"

    @property
    def root_url(self) -> str:
        """The base URL of the other formats.

        Raises:
            RuntimeError: The simulator was never started.
        """
        if not self._port:
            raise RuntimeError("the simulator has no address before it is started")
        return f"{'https' if self._ssl_context else 'http'}://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Start serving; return when connections are accepted.

        Raises:
            OSError: The port is not free.
            RuntimeError: It is running already.
        """
        ready = threading.Event()
        self._launch(ready.set)
        ready.wait()
        self._check_started()
        return self

    def stop(self) -> None:
        """Close every connection and end the thread; does nothing when it is not running."""
        thread = self._request_stop(None)
        if thread is not None:
            thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        import anyio

        ready = anyio.Event()
        self._launch(setter_for_this_loop(ready))
        with anyio.CancelScope(shield=True):
            await ready.wait()
        self._check_started()
        return self

    async def __aexit__(self, *error: object) -> None:
        import anyio

        ended = anyio.Event()
        # Shielded: a thread that is left behind would outlive the cancelled caller.
        with anyio.CancelScope(shield=True):
            thread = self._request_stop(setter_for_this_loop(ended))
            if thread is not None:
                await ended.wait()
                # The thread is about to end.
                thread.join()
                self._thread = None

    def faults(self, *faults: Fault | Script) -> None:
        """Replace the faults, from the next request on."""
        self._behaviour.faults = FaultPlan(faults, self._behaviour.seed)
        if self._gate is not None:
            self._gate.set_refusing(self._behaviour.faults.refuses)

    def limits(self, *limits: Limit) -> None:
        """Replace the rate limits, from the next request on; counting starts anew."""
        self._behaviour.limiter = Limiter(limits)

    def latency(self, latency: Latency | None) -> None:
        """Replace the latency, from the next request on."""
        self._behaviour.latency = latency or Latency()

    def max_in_flight(self, number: int | None, *, queue: bool = False) -> None:
        """Replace the number of requests answered at a time; those being answered stay."""
        concurrency = ConcurrencyLimit(number, queue=queue)
        if self._loop is None:
            self._behaviour.concurrency = concurrency
        else:
            self._loop.call_soon_threadsafe(self._behaviour.concurrency.change, concurrency)

    def reset(self) -> None:
        """Clear the log; open connections and running requests stay counted."""
        self._recorder.clear()

    def _launch(self, on_ready: Callable[[], None]) -> None:
        if self._thread is not None:
            raise RuntimeError("the simulator is running already")
        listener = socket.create_server(("127.0.0.1", self._wanted_port), backlog=BACKLOG)
        self._port = listener.getsockname()[1]
        self._failure = None
        # A daemon, so that a simulator that was not stopped does not keep the process alive.
        self._thread = threading.Thread(
            target=self._run, args=(listener, on_ready), name="asyncllm-simulator", daemon=True
        )
        self._thread.start()

    def _check_started(self) -> None:
        if self._failure is not None:
            assert self._thread is not None
            self._thread.join()
            self._thread = None
            raise self._failure

    def _request_stop(self, on_end: Callable[[], None] | None) -> threading.Thread | None:
        loop, stopping = self._loop, self._stopping
        if self._thread is None or loop is None or stopping is None:
            return None
        self._on_end = on_end
        loop.call_soon_threadsafe(stopping.set)
        return self._thread

    def _run(self, listener: socket.socket, on_ready: Callable[[], None]) -> None:
        try:
            asyncio.run(self._serve(listener, on_ready))
        except Exception as error:
            self._failure = error
            on_ready()
        finally:
            self._loop = self._stopping = self._gate = None
            listener.close()
            if self._on_end is not None:
                self._on_end()

    async def _serve(self, listener: socket.socket, on_ready: Callable[[], None]) -> None:
        # aiohttp takes a quarter of a second to import, which only starting a simulator needs.
        from .http_server import HttpServer
        from .provider import Provider

        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = HttpServer(Provider(self._behaviour, self._recorder))
        gate = ConnectionGate(server, listener, self._ssl_context)
        await gate.accept()
        if self._behaviour.faults.refuses:
            await gate.refuse()
        self._gate = gate
        on_ready()
        await self._stopping.wait()
        self._gate = None
        await gate.close()
        server.abort()
        # The connections report that they are closed before the run ends their handlers.
        await settle()
