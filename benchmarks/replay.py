"""The simulator's answers as bytes made in advance: each is computed once, and replayed for an equal request.

    python -m benchmarks.replay

The simulator needs as long for a typed answer as a lean client does for the whole call, and a client that waits for
its provider spends its time waking up. It prints two URLs: of the replay, and of the simulator itself, for streams.
"""

from __future__ import annotations

import asyncio
import sys
import urllib.request

from asyncllm.simulator import Simulator

from .provider import Connection, Seen, response


class Replay(Connection):
    """One client's connection.

    Args:
        seen: Counts what arrives.
        simulator: What answers a request that was not seen before.
        answers: The answers so far, by the body of the request.
    """

    def __init__(self, seen: Seen, simulator: Simulator, answers: dict[bytes, bytes]) -> None:
        super().__init__(seen)
        self._simulator = simulator
        self._answers = answers

    def answer(self, head: bytes, body: bytes) -> None:
        kept = self._answers.get(body)
        if kept is None:
            kept = self._answers[body] = self._computed(body)
        self.transport.write(kept)

    def _computed(self, body: bytes) -> bytes:
        # It blocks the loop, once for each distinct request, before anything is measured.
        headers = {"Content-Type": "application/json", "Authorization": "Bearer simulated"}
        asked = urllib.request.Request(f"{self._simulator.url}/chat/completions", body, headers)
        with urllib.request.urlopen(asked) as answer:
            return response(200, answer.read())


async def _serve(simulator: Simulator) -> None:
    seen, answers = Seen(), dict[bytes, bytes]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Replay(seen, simulator, answers), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", simulator.url, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with Simulator(record=False) as simulator:
        asyncio.run(_serve(simulator))
