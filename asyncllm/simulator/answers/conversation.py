"""Requests and answers in the form that all wire formats share.

A format reads a request body into a `ChatRequest`; `compose` makes `SimulatedAnswer`s of it, which the format writes in
its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

# English text has about four characters to a token in current tokenizers; the simulator only needs it to be stable.
CHARS_PER_TOKEN = 4
# OpenAI's flat price of an image at low detail. Source: OpenAI's vision guide.
TOKENS_PER_IMAGE = 85


class InvalidRequestError(Exception):
    """The provider would not accept the request.

    Args:
        message: What is wrong, in the provider's words.
        param: The field that is wrong.
    """

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the answer may call."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(slots=True)
class ChatRequest:
    """One request, read from any format.

    Attributes:
        model: The model's name as it was sent.
        id: What the answer's id is made of; stable for the same request.
        user_texts: The messages of the user, in order.
        system_text: The messages of the system and developer roles.
        tool_result: The last tool result when the conversation ends with one.
        prompt_tokens: The estimate for everything that was sent.
        cached_prefix: What a `cache_control` mark asked to cache; empty when there was none.
        cache_ttl: How long it asked to.
        hides_thinking: Whether the thinking shall be there, without its text.
        tool_choice: `auto`, `none`, `required` or the name of a tool.
        script: The caller's instructions to the simulator itself, see `options.SCRIPT`.
    """

    model: str
    id: str = ""
    user_texts: list[str] = field(default_factory=list)
    system_text: str = ""
    tool_result: str = ""
    images: int = 0
    prompt_tokens: int = 0
    cached_prefix: str = ""
    cache_ttl: str = "5m"
    schema: Mapping[str, object] | None = None
    json_object: bool = False
    tools: list[Tool] = field(default_factory=list)
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    n: int = 1
    max_tokens: int | None = None
    stop: list[str] = field(default_factory=list)
    stream: bool = False
    include_usage: bool = False
    logprobs: bool = False
    thinking: bool = False
    hides_thinking: bool = False
    script: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def all_text(self) -> str:
        """The messages of the system and the user."""
        return "\n".join([self.system_text, *self.user_texts])

    @property
    def last_text(self) -> str:
        """The last message of the user."""
        return self.user_texts[-1] if self.user_texts else ""


@dataclass(frozen=True, slots=True)
class SimulatedToolCall:
    """A call in an answer; `arguments` is JSON text, cut short when the answer was."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class SimulatedAnswer:
    """One answer; `finish` is in OpenAI's words: stop, length, tool_calls, content_filter."""

    text: str = ""
    reasoning: str = ""
    refusal: str | None = None
    tool_calls: list[SimulatedToolCall] = field(default_factory=list)
    finish: str = "stop"
    stop_sequence: str | None = None

    @property
    def tokens(self) -> int:
        """The estimate for all of the answer, the reasoning included."""
        chars = len(self.text) + len(self.reasoning) + len(self.refusal or "")
        chars += sum(len(call.name) + len(call.arguments) for call in self.tool_calls)
        return max(1, -(-chars // CHARS_PER_TOKEN))


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text: about four characters each, at least one."""
    return max(1, -(-len(text) // CHARS_PER_TOKEN))


def stable_number(*parts: str) -> int:
    """Return a number of 64 bits that depends on the texts alone, in every process alike."""
    return int.from_bytes(blake2b("\x00".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def pieces_of(text: str, size: int) -> list[str]:
    """Split a text into pieces of `size` characters for a stream."""
    return [text[i : i + size] for i in range(0, len(text), size)]
