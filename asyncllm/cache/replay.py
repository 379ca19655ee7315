"""A whole answer, replayed as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..narrowing import is_mapping, list_or_empty, mapping_or_empty

# About the length of what providers send at a time.
_PIECE_CHARACTERS = 32
_TEXTS = ("reasoning_content", "reasoning", "content", "refusal")


class ReplayedStream:
    """The chunks of an answer that is there, as fast as they are read.

    Attributes:
        headers: None were received.
        build_response: Makes litellm's `ModelResponse` of the assembled answer.

    Args:
        answer: The answer in the chat-completions form.
    """

    def __init__(
        self, answer: Mapping[str, object], build_response: Callable[[dict[str, object]], object] | None
    ) -> None:
        self.headers: Mapping[str, str] = {}
        self.build_response = build_response
        self._chunks = chunks_of(answer)

    async def read(self, timeout_s: float) -> Sequence[dict[str, object]]:
        """Return the next chunk; none at the end."""
        return [chunk for chunk in (next(self._chunks, None),) if chunk is not None]

    async def aclose(self) -> None:
        """Do nothing: no connection is open."""

    def abandon(self) -> None:
        """Do nothing: no connection is open."""


def chunks_of(answer: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Yield chunks that assemble into an answer: each choice in turn, its end, and then the usage."""
    head = {key: value for key, value in answer.items() if key not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"
    for choice in map(mapping_or_empty, list_or_empty(answer.get("choices"))):
        index = choice.get("index") or 0
        for delta in _deltas(mapping_or_empty(choice.get("message"))):
            yield {**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
        end: dict[str, object] = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}
        if choice.get("logprobs"):
            end["logprobs"] = choice["logprobs"]
        yield {**head, "choices": [end]}
    usage = answer.get("usage")
    if is_mapping(usage):
        yield {**head, "choices": [], "usage": usage}


def _deltas(message: Mapping[str, object]) -> Iterator[dict[str, object]]:
    known = ("role", "tool_calls", *_TEXTS)
    others = {key: value for key, value in message.items() if key not in known and value is not None}
    yield {"role": message.get("role") or "assistant", **others}
    for name in _TEXTS:
        text = message.get(name)
        if isinstance(text, str):
            for start in range(0, len(text), _PIECE_CHARACTERS):
                yield {name: text[start : start + _PIECE_CHARACTERS]}
        elif text:
            yield {name: text}
    for index, call in enumerate(map(mapping_or_empty, list_or_empty(message.get("tool_calls")))):
        yield {"tool_calls": [{"index": index, **call}]}
