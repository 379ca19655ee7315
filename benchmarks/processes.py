"""The processes of a benchmark, as the runner sees them: providers, workers, and whole programs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from .environments import CACHE, ROOT, clean_env, python_of
from .peers import Peer
from .provider import SEEN_PATH

# Far more than any command takes, and short enough for a run that hangs.
_COMMAND_TIMEOUT_S = 60.0
_STDERR_SHOWN = 400
_CERTIFICATE = """
import sys, trustme
ca = trustme.CA()
ca.cert_pem.write_to_path(sys.argv[1])
ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(sys.argv[2])
"""


class FailedRunError(Exception):
    """A process did not do what it was told; the message says what it did instead."""


class Provider:
    """A provider in a process of its own; use it in `with`.

    Args:
        certificate: A file with certificate and key to serve TLS with; None for plain HTTP.

    Attributes:
        url: Where it answers.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        given = () if certificate is None else ("--certificate", str(certificate))
        self._process = subprocess.Popen(
            (sys.executable, "-m", "benchmarks.provider", *given),
            cwd=ROOT,
            env=clean_env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise FailedRunError("the provider did not start")

    def seen(self) -> dict[str, int]:
        """Return how many requests, refusals and connections it has seen. Only a plain one can be asked."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + SEEN_PATH) as response:
            counts: dict[str, int] = json.load(response)
        return counts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)


class Worker:
    """A peer's worker in a process of its own; use it in `with`."""

    def __init__(self, peer: Peer, **variables: str) -> None:
        self._peer = peer
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed at the end of `with`
        self._process = subprocess.Popen(
            (python_of(peer.environment), "-m", f"benchmarks.workers.{peer.worker}", *peer.arguments),
            cwd=ROOT,
            env=clean_env(**peer.variables, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )

    def ask(self, command: Mapping[str, Any], url: str) -> dict[str, Any]:
        """Send a command and return the figures.

        Raises:
            FailedRunError: The worker failed, gave a wrong answer, or did not answer.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(_COMMAND_TIMEOUT_S, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps({**command, "url": url}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            self._process.wait()
            raise FailedRunError(f"{self._peer.name} ended with {self._process.returncode}: {self._said()}")
        figures: dict[str, Any] = json.loads(line)
        if "error" in figures:
            raise FailedRunError(f"{self._peer.name}: {figures['error']}")
        return figures

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)
        self._stderr.close()

    def _said(self) -> str:
        self._stderr.seek(0)
        return " ".join(self._stderr.read()[-_STDERR_SHOWN:].split()) or "it said nothing"


def run_first(peer: Peer, url: str) -> dict[str, Any]:
    """Start a peer's worker for one call; `start_s` is the time from the start of its process to its answer."""
    started = time.perf_counter()
    with Worker(peer) as worker:
        figures = worker.ask({"do": "first"}, url)
        return {**figures, "start_s": time.perf_counter() - started}


def run_snippet(peer: Peer, code: str) -> dict[str, Any]:
    """Run a line of Python in a peer's environment; `wall_ms` is what the whole process took.

    Raises:
        FailedRunError: It ended with an error.
    """
    started = time.perf_counter()
    command = (python_of(peer.environment), "-c", code)
    done = subprocess.run(command, cwd=ROOT, env=clean_env(**peer.variables), capture_output=True, text=True)
    elapsed_s = time.perf_counter() - started
    if done.returncode != 0:
        raise FailedRunError(f"{peer.name}: {done.stderr[-_STDERR_SHOWN:]}")
    return {"requests": 0, "wall_ms": elapsed_s * 1000}


@contextmanager
def workers(peers: Sequence[Peer]) -> Iterator[dict[tuple[str, ...], Worker]]:
    """Start workers that live for the whole run, by the process of their peer."""
    started: dict[tuple[str, ...], Worker] = {}
    try:
        for peer in peers:
            started[peer.process] = Worker(peer)
        yield started
    finally:
        for worker in started.values():
            worker.__exit__()


def make_certificate() -> tuple[Path, Path]:
    """Make an authority and a certificate for localhost, and return their files."""
    authority, certificate = CACHE / "authority.pem", CACHE / "localhost.pem"
    command = (python_of("tools"), "-c", _CERTIFICATE, str(authority), str(certificate))
    subprocess.run(command, check=True)
    return authority, certificate


def _end(process: subprocess.Popen[str]) -> None:
    streams: tuple[IO[str] | None, ...] = (process.stdin, process.stdout)
    for stream in streams:
        if stream is not None:
            stream.close()
    try:
        # A worker ends with its stdin.
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
