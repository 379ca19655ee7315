"""The peers, each with its worker and its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

# Without these litellm fetches its price map at its import, and a machine without a network waits for it.
_OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
# Has a worker run on uvloop.
UVLOOP = {"BENCHMARK_LOOP": "uvloop"}


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody who calls the provider.

    Attributes:
        name: As tables show it.
        worker: Its module in `benchmarks.workers`.
        environment: The name of its environment and pins; None is the environment of asyncllm itself.
        arguments: What the worker is started with.
        variables: What the worker finds in its environment.
    """

    name: str
    worker: str
    environment: str | None
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def process(self) -> tuple[str, ...]:
        """What tells its process from others: those that call another format have the same name in tables."""
        return (self.name, *self.arguments)


OURS = Peer("asyncllm", "asyncllm_sdk", None)
OURS_LITELLM = Peer("asyncllm, litellm transport", "asyncllm_sdk", None, arguments=("litellm",))
OURS_UVLOOP = Peer("asyncllm on uvloop", "asyncllm_sdk", None, variables=UVLOOP)
OURS_TRIO = Peer("asyncllm on trio", "asyncllm_sdk", None, arguments=("wire", "trio"))
FLOOR = Peer("aiohttp + json", "floor", "floor")
OPENAI = Peer("openai SDK", "openai_sdk", "openai")
FLOOR_UVLOOP = replace(FLOOR, name="aiohttp + json on uvloop", variables=UVLOOP)
OPENAI_UVLOOP = replace(OPENAI, name="openai SDK on uvloop", variables=UVLOOP)
LITELLM = Peer("litellm", "litellm_sdk", "litellm", variables=_OFFLINE)
# The same releases below as asyncllm's transport has, so that the difference is the transport's own.
LITELLM_HERE = Peer("litellm, same environment", "litellm_sdk", None, variables=_OFFLINE)
ROUTER = Peer("litellm Router", "litellm_router", "litellm", variables=_OFFLINE)
INSTRUCTOR = Peer("instructor over litellm", "instructor_sdk", "instructor", variables=_OFFLINE)
OURS_CLAUDE = Peer("asyncllm", "asyncllm_sdk", None, arguments=("wire", "asyncio", "claude"))
OURS_GEMINI = Peer("asyncllm", "asyncllm_sdk", None, arguments=("wire", "asyncio", "gemini"))
ANTHROPIC = Peer("anthropic SDK", "anthropic_sdk", "anthropic")
LITELLM_CLAUDE = replace(LITELLM, arguments=("claude",))
LITELLM_GEMINI = replace(LITELLM, arguments=("gemini",))
INSTRUCTOR_CLAUDE = Peer("instructor with Anthropic", "instructor_anthropic", "anthropic")
GENAI = Peer("google-genai", "google_genai_sdk", "google-genai")
PYDANTIC_AI = Peer("pydantic-ai", "pydantic_ai_sdk", "pydantic-ai")
LANGCHAIN = Peer("langchain-openai", "langchain_sdk", "langchain")
BARE_PYTHON = Peer("bare Python", "", None)
