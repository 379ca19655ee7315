"""Runs the scenarios, a peer and then asyncllm, round after round."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .environments import install, versions
from .peers import Peer
from .processes import FailedRunError, Provider, Worker, make_certificate, run_first, run_snippet, workers
from .scenarios import Scenario


class Bench:
    """A provider, the workers that live for the whole run, and one sample after the other.

    Args:
        provider: Who answers.
        kept: The workers, by the process of their peer.
        tls: Who answers over TLS, and the certificate to trust.
    """

    def __init__(
        self, provider: Provider, kept: dict[tuple[str, ...], Worker], tls: tuple[Provider, Path] | None
    ) -> None:
        self._provider = provider
        self._kept = kept
        self._tls = tls

    def run(self, scenario: Scenario) -> list[dict[str, Any]]:
        """Measure every pair in every round; a pair that failed once is not asked again."""
        rounds: list[dict[str, Any]] = []
        failed: set[str] = set()
        for number in range(scenario.rounds):
            for peer in scenario.peers:
                if peer.name in failed:
                    continue
                try:
                    theirs = self.sample(scenario, peer)
                    ours = self.sample(scenario, scenario.ours)
                except FailedRunError as error:
                    failed.add(peer.name)
                    rounds.append({"round": number, "peer": peer.name, "error": str(error)})
                else:
                    rounds.append({"round": number, "peer": peer.name, "theirs": theirs, "ours": ours})
        return rounds

    def sample(self, scenario: Scenario, peer: Peer) -> dict[str, Any]:
        """Measure once.

        Raises:
            FailedRunError: The peer failed, gave a wrong answer, or sent other requests than it was asked for.
        """
        if scenario.where == "snippet":
            return run_snippet(peer, scenario.code[peer.name])
        if scenario.where == "fresh over TLS":
            assert self._tls is not None
            provider, authority = self._tls
            with Worker(peer, SSL_CERT_FILE=str(authority)) as worker:
                return worker.ask(scenario.command, provider.url)
        before = self._provider.seen()
        if scenario.where == "first call":
            figures = run_first(peer, self._provider.url)
        elif scenario.where == "fresh":
            with Worker(peer) as worker:
                figures = worker.ask(scenario.command, self._provider.url)
        else:
            figures = self._kept[peer.process].ask(scenario.command, self._provider.url)
        after = self._provider.seen()
        sent = after["requests"] - before["requests"]
        if after["refused"] > before["refused"] or sent != figures["requests"]:
            refused = after["refused"] - before["refused"]
            raise FailedRunError(
                f"{peer.name}: {sent} requests arrived for {figures['requests']} calls, {refused} were refused"
            )
        return {**figures, "connections": after["connections"] - before["connections"]}


def run(scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Install what is missing, run everything, and return the results in the form of results.json."""
    all_peers = {peer.name: peer for scenario in scenarios for peer in (*scenario.peers, scenario.ours)}
    environments = {peer.environment for peer in all_peers.values() if peer.environment is not None}
    for environment in sorted(environments | {"tools"}):
        install(environment)
    releases = {"asyncllm": versions(None), **{name: versions(name) for name in sorted(environments)}}
    results: dict[str, Any] = {"machine": _machine(), "versions": releases, "scenarios": {}}
    kept = {peer.process: peer for one in scenarios if one.where == "kept" for peer in (*one.peers, one.ours)}
    authority, certificate = make_certificate()
    started = time.monotonic()
    with Provider() as plain, Provider(certificate) as tls, workers(list(kept.values())) as started_workers:
        bench = Bench(plain, started_workers, (tls, authority))
        for number, scenario in enumerate(scenarios, 1):
            _say(f"{time.monotonic() - started:4.0f} s  {number:2d}/{len(scenarios)}  {scenario.title}")
            results["scenarios"][scenario.key] = {"title": scenario.title, "rounds": bench.run(scenario)}
    results["seconds"] = round(time.monotonic() - started)
    return results


def errors(results: dict[str, Any]) -> Iterable[str]:
    """Return every failure of a run."""
    for scenario in results["scenarios"].values():
        for one in scenario["rounds"]:
            if "error" in one:
                yield f"{scenario['title']}: {one['error']}"


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_at_start": os.getloadavg()[0],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
