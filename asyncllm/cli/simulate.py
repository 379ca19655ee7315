"""`asyncllm simulate`: a simulated provider, in the foreground."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from ..simulator.server.options import SimulatorOptions, manual, parse_fault, parse_latency, parse_limit
from .settings import Settings, command_without_profile
from .terminal.exit_codes import DONE, UsageProblem
from .terminal.output import note, write

if TYPE_CHECKING:
    from ..simulator import Simulator

T = TypeVar("T")
_HELP = {one.name: one.metadata["help"] for one in fields(SimulatorOptions)}
_EXAMPLES = """
FORMATS
  OpenAI         POST /v1/chat/completions, GET /v1/models
  Azure          POST /openai/deployments/MODEL/chat/completions
  Anthropic      POST /v1/messages
  Gemini         POST /v1beta/models/MODEL:generateContent, :streamGenerateContent
  Ollama         POST /api/chat
  LiteLLM proxy  GET /model/info, beside OpenAI's
  Any model's name is taken. A request for a typed answer (response_format,
  tools) gets one that is valid, with values from the text of the request where
  it has some.

EXAMPLES
  asyncllm simulate --latency first_token_s=0.3,tokens_per_s=80
  asyncllm simulate --limit requests,per_minute=500 \\
    --fault status,code=503,rate=0.02
  asyncllm simulate --key k1 --key k2 --max-in-flight 8 --queue

  asyncllm ask "Hello" --model openai/any --set api_key=any \\
    --set base_url=http://127.0.0.1:8400/v1

  chat=http://127.0.0.1:8400/v1/chat/completions
  curl $chat --json '{"model": "any", "messages": [{"role": "user",
    "content": "Hello"}]}'
  curl -N $chat --json '{"model": "any", "stream": true,
    "messages": [{"role": "user", "content": "Hello"}]}'
  curl $chat --json '{"model": "any", "simulator": {"fault": {"kind": "stall"}},
    "messages": [{"role": "user", "content": "Hi"}]}'
"""


class Command(TyperCommand):
    """The command with the manual below its options."""

    def format_epilog(self, ctx: object, formatter: Any) -> None:
        """Write the manual line by line, rather than wrapped into paragraphs."""
        formatter.write(f"{_EXAMPLES}\n{manual()}\n")


@command_without_profile
def run(
    settings: Settings,
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help=_HELP["port"])] = SimulatorOptions.port,
    key: Annotated[list[str] | None, typer.Option(metavar="KEY", help=_HELP["keys"])] = None,
    latency: Annotated[str | None, typer.Option(metavar="LATENCY", help=_HELP["latency"])] = None,
    limit: Annotated[list[str] | None, typer.Option(metavar="LIMIT", help=_HELP["limits"])] = None,
    fault: Annotated[list[str] | None, typer.Option(metavar="FAULT", help=_HELP["faults"])] = None,
    seed: Annotated[int, typer.Option(metavar="N", help=_HELP["seed"])] = SimulatorOptions.seed,
    max_in_flight: Annotated[int | None, typer.Option(metavar="N", min=1, help=_HELP["max_in_flight"])] = None,
    queue: Annotated[bool, typer.Option("--queue", help=_HELP["queue"])] = False,
) -> int:
    """Serve a simulated provider on this machine, until Ctrl-C.

    It answers by rule, without a model: for tests, for trying limits and faults out, for load. The address goes to
    stdout, everything else to stderr.
    """
    from ..simulator.server.foreground import serve

    options = SimulatorOptions(
        port=port,
        keys=tuple(key) if key else None,
        latency=None if latency is None else _parsed("--latency", parse_latency, latency),
        limits=tuple(_parsed("--limit", parse_limit, text) for text in limit or ()),
        faults=tuple(_parsed("--fault", parse_fault, text) for text in fault or ()),
        seed=seed,
        max_in_flight=max_in_flight,
        queue=queue,
    )
    try:
        stopped = serve(options, _announce)
    except OSError as error:
        # The event loop adds an address to strerror.
        reason = os.strerror(error.errno) if error.errno else error
        raise UsageProblem(f"port {port} cannot be served: {reason}.", "--port 0 takes a free one.") from None
    seen = stopped.seen
    note(
        f"stopped; {seen.requests:,} requests, {seen.rejected:,} refused, {seen.faults_played:,} met by a fault; "
        f"{seen.connections_opened:,} connections, {seen.connections_aborted:,} aborted by the client"
    )
    return DONE


def _announce(simulator: Simulator) -> None:
    write(f"{simulator.url}\n")
    note(
        f"A simulator, no real provider. OpenAI and Azure clients: {simulator.url}; Anthropic, Gemini, Ollama: "
        f"{simulator.root_url}. Ctrl-C stops it."
    )


def _parsed(option: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except (TypeError, ValueError) as error:
        raise UsageProblem(f"{option} {text}: {error}.", "`asyncllm simulate --help` is the manual.") from None
