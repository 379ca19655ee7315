"""Serve the simulator in the foreground: `python -m asyncllm.simulator`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from .server.foreground import serve
from .server.options import SimulatorOptions, manual, parse_fault, parse_latency, parse_limit
from .server.simulator import Simulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the URL goes to stdout, everything else to stderr."""
    given = _parser().parse_args(arguments)
    if given.log:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
        logging.getLogger("asyncllm.simulator").setLevel(logging.DEBUG)
    options = SimulatorOptions(
        port=given.port,
        keys=tuple(given.key) or None,
        latency=given.latency,
        limits=tuple(given.limit),
        faults=tuple(given.fault),
        seed=given.seed,
        max_in_flight=given.max_in_flight,
        queue=given.queue,
    )
    try:
        stopped = serve(options, _announce)
    except (OSError, ValueError) as problem:
        print(f"the simulator cannot start: {problem}", file=sys.stderr)
        return 2
    print(f"simulator stopped: {stopped.seen!r}", file=sys.stderr)
    return 0


def _announce(simulator: Simulator) -> None:
    print(simulator.url, flush=True)
    print(
        f"asyncllm simulator, not a real provider. OpenAI and Azure clients: {simulator.url}; Anthropic, Ollama: "
        f"{simulator.root_url}. Ctrl-C stops it.",
        file=sys.stderr,
        flush=True,
    )


def _parser() -> argparse.ArgumentParser:
    help_of = {one.name: one.metadata["help"] for one in fields(SimulatorOptions)}
    parser = argparse.ArgumentParser(
        prog="python -m asyncllm.simulator",
        description="Serve a simulated provider of language models on loopback.",
        epilog=manual(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=int, default=SimulatorOptions.port, help=f"{help_of['port']} (default: {SimulatorOptions.port})"
    )
    parser.add_argument("--key", action="append", default=[], metavar="KEY", help=help_of["keys"])
    parser.add_argument("--latency", type=_explained(parse_latency), metavar="LATENCY", help=help_of["latency"])
    parser.add_argument(
        "--limit", type=_explained(parse_limit), action="append", default=[], metavar="LIMIT", help=help_of["limits"]
    )
    parser.add_argument(
        "--fault", type=_explained(parse_fault), action="append", default=[], metavar="FAULT", help=help_of["faults"]
    )
    parser.add_argument("--seed", type=int, default=SimulatorOptions.seed, help=help_of["seed"])
    parser.add_argument("--max-in-flight", type=int, metavar="N", help=help_of["max_in_flight"])
    parser.add_argument("--queue", action="store_true", help=help_of["queue"])
    parser.add_argument("--log", action="store_true", help="write a line for each request to stderr")
    return parser


def _explained(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let argparse show why a value was refused, which it does for this exception alone."""

    def parse_or_explain(text: str) -> Any:
        try:
            return parse(text)
        except (TypeError, ValueError) as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return parse_or_explain


if __name__ == "__main__":
    sys.exit(main())
