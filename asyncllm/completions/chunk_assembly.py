"""The assembly of streamed chunks into the answer that a plain call would have given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard, cast

from .surrogates import MISSING, joined
from .text_chunk import AnyChunk, TextChunk
from .usage import Usage

# The pieces of a delta that are texts to be joined; anything else a provider adds is kept as it last came.
TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


class ChunkAssembly:
    """A chat completion that grows by its chunks."""

    __slots__ = ("_choices", "_fields", "_head", "_usage")

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._fields = 0  # the most that a chunk has had
        self._choices: dict[int, _ChoiceAssembly] = {}
        self._usage: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The text of the first choice so far."""
        first = self._choices.get(0)
        return first.text("content") if first is not None else ""

    @property
    def written(self) -> str:
        """All that the model has written so far: texts, reasoning and arguments of all choices."""
        return "".join(choice.written for choice in self._choices.values())

    @property
    def finished(self) -> bool:
        """Whether every choice has its finish reason."""
        return bool(self._choices) and all(choice.finish_reason for choice in self._choices.values())

    @property
    def usage(self) -> dict[str, Any] | None:
        """The usage of the whole answer, once a chunk has carried it."""
        return self._usage

    @property
    def empty(self) -> bool:
        """Whether no part of an answer has arrived."""
        return not self._choices

    def add(self, chunk: AnyChunk) -> AnyChunk:
        """Add the next chunk, and return it as it is to be shown.

        Half a surrogate pair at the end of a text is moved, in the chunks as well, to where its other half comes.
        """
        if isinstance(chunk, TextChunk):
            first = self._choices.get(0)
            if first is not None and first.add_text(chunk.text):
                return chunk
            chunk = chunk.to_dict()
        if len(chunk) > self._fields:  # the first chunk, and one with the sources of the answer, for example
            self._fields = len(chunk)
            head = {key: value for key, value in chunk.items() if key not in ("choices", "usage", "object")}
            self._head = {**head, **self._head}
        usage = chunk.get("usage")
        if usage and (self._usage is None or "prompt_tokens" in usage):  # some send one without counts with each chunk
            self._usage = usage
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            growing = self._choices.get(index)
            if growing is None:
                growing = self._choices[index] = _ChoiceAssembly()
            growing.add(choice)
        return chunk

    def rest(self) -> dict[str, Any] | None:
        """Return a last chunk for what is held back, at a stream's end; None when nothing is."""
        left = [(index, choice.rest()) for index, choice in sorted(self._choices.items()) if choice.holds_back]
        return {**self._head, "choices": [{"index": index, "delta": delta} for index, delta in left]} if left else None

    def estimated(self, estimate: Callable[[str], Usage]) -> Usage:
        """Return the estimated usage of all that the model has written."""
        return estimate(self.written)

    def drop_texts(self) -> None:
        """Drop the texts so far, and what else grows with them."""
        for choice in self._choices.values():
            choice.drop_texts()

    def result(self) -> dict[str, Any]:
        """Return the answer so far, in the chat-completions form."""
        choices = [choice.result(index) for index, choice in sorted(self._choices.items())]
        answer = {**self._head, "object": "chat.completion", "choices": choices}
        if self._usage is not None:
            answer["usage"] = self._usage
        return answer


class _ChoiceAssembly:
    __slots__ = ("_calls", "_held", "_logprobs", "_other", "_texts", "finish_reason")

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._held: dict[str, str] = {}  # halves of surrogate pairs
        self._calls = ToolCallAssembly()
        self.finish_reason: str | None = None
        self._logprobs: dict[str, list[object]] = {}
        self._other: dict[str, object] = {}

    @property
    def written(self) -> str:
        calls = (call["function"] for call in self._calls.result())
        return "".join([*map(self.text, self._texts), *(call["name"] + call["arguments"] for call in calls)])

    def text(self, name: str) -> str:
        pieces = self._texts.get(name)
        if not pieces:
            return ""
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]  # so that reading the text after every chunk stays cheap
        return pieces[0]

    @property
    def holds_back(self) -> bool:
        return bool(self._held or self._calls.held)

    def rest(self) -> dict[str, Any]:
        """Return a delta for the halves whose others have not come."""
        delta: dict[str, Any] = dict.fromkeys(self._held, MISSING)
        if self._calls.held:
            delta["tool_calls"] = [{"index": i, "function": {"arguments": MISSING}} for i in self._calls.held]
        self._held.clear()
        self._calls.held.clear()
        return delta

    def add_text(self, text: str) -> bool:
        """Add a piece of the content; False, and nothing is added, where half of a pair is waiting for it."""
        if self._held:
            return False
        pieces = self._texts.get("content")
        if pieces is None:
            self._texts["content"] = [text]
        else:
            pieces.append(text)
        return True

    def add(self, choice: dict[str, Any]) -> None:
        delta: dict[str, Any] = choice.get("delta") or {}
        for key, value in delta.items():
            if value is None:
                continue
            if key in TEXTS and isinstance(value, str):
                if self._held or not value.isascii():
                    value = delta[key] = joined(self._held, key, value)
                self._texts.setdefault(key, []).append(value)
            elif key == "tool_calls":
                for call in value:
                    self._calls.add(call)
            elif key != "role":
                self._add_other(key, value)
        if choice.get("finish_reason"):
            self.finish_reason = choice["finish_reason"]
            if self._held or self._calls.held:
                rest = self.rest()
                choice["delta"] = delta | {
                    name: (delta.get(name) or type(piece)()) + piece for name, piece in rest.items()
                }
                self.add({"delta": rest})
        logprobs: dict[str, Any] = choice.get("logprobs") or {}
        for name, tokens in logprobs.items():
            if isinstance(tokens, list):
                self._logprobs.setdefault(name, []).extend(cast(list[object], tokens))

    def drop_texts(self) -> None:
        self._texts.clear()
        self._logprobs.clear()
        self._other.clear()

    def result(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None, **self._other}
        message |= {name: self.text(name) for name in self._texts}
        calls = self._calls.result()
        if calls:
            message["tool_calls"] = calls
            message["content"] = message["content"] or None
        choice = {"index": index, "message": message, "finish_reason": self.finish_reason}
        return {**choice, "logprobs": self._logprobs} if self._logprobs else choice

    def _add_other(self, key: str, value: object) -> None:
        before = self._other.get(key)
        if key == "thinking_blocks":
            self._other[key] = _joined_thinking(before, value)
        elif isinstance(value, list) and isinstance(before, list):
            self._other[key] = [*cast(list[object], before), *cast(list[object], value)]
        elif isinstance(value, dict) and isinstance(before, dict):
            self._other[key] = {**cast(dict[str, object], before), **cast(dict[str, object], value)}
        else:
            self._other[key] = value


def _joined_thinking(before: object, blocks: object) -> object:
    """Add blocks to those before them; litellm streams them in pieces, of which the last has the signature."""
    if not _is_list(before) or not _is_list(blocks):
        return blocks
    joined = list(before)
    for block in blocks:
        last = joined[-1] if joined else None
        if _is_thinking(block) and _is_thinking(last) and not last.get("signature"):
            text = f"{last.get('thinking') or ''}{block.get('thinking') or ''}"
            joined[-1] = {**last, **block, "thinking": text}
        else:
            joined.append(block)
    return joined


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _is_thinking(block: object) -> TypeGuard[dict[str, object]]:
    return isinstance(block, dict) and ("type", "thinking") in block.items()


class ToolCallAssembly:
    """The tool calls of a choice, from deltas that may repeat their id, give it once, or leave out the index."""

    __slots__ = ("_by_index", "_calls", "_last", "held")

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}
        self._by_index: dict[int, int] = {}  # the key in `_calls` of the call that the provider means by an index
        self._last: int | None = None
        self.held: dict[int, str] = {}  # halves of surrogate pairs, by the key of their call

    def add(self, delta: dict[str, Any]) -> None:
        """Add one delta to the call that it belongs to."""
        index = self._index_of(delta)
        function: dict[str, Any] = delta.get("function") or {}
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = {"id": None, "type": "function", "name": "", "arguments": []}
        self._last = index
        call["id"] = call["id"] or delta.get("id")
        name = function.get("name")
        # Most providers send the name once and whole; some repeat it with every delta, and a few send it in pieces.
        if name and name != call["name"]:
            call["name"] = name if not call["name"] or name.startswith(call["name"]) else call["name"] + name
        arguments = function.get("arguments")
        if arguments:
            if self.held or not arguments.isascii():
                arguments = function["arguments"] = joined(self.held, index, arguments)
            call["arguments"].append(arguments)

    def result(self) -> list[dict[str, Any]]:
        """Return the calls in the order of their indexes."""
        return [
            {
                "id": call["id"] or f"call_{index}",
                "type": "function",
                "function": {"name": call["name"], "arguments": "".join(call["arguments"])},
            }
            for index, call in sorted(self._calls.items())
        ]

    def _index_of(self, delta: dict[str, Any]) -> int:
        index = delta.get("index")
        id = delta.get("id")
        if isinstance(index, int):
            at = self._by_index.setdefault(index, index)
            known = self._calls.get(at)
            # Some servers number every call 0; another id at a call that has one is another call, and what follows
            # without an id belongs to it.
            if id and known is not None and known["id"] and known["id"] != id:
                at = self._by_index[index] = self._with_id(id)
            return at
        if id:
            return self._with_id(id)
        function: dict[str, Any] = delta.get("function") or {}
        name = function.get("name")
        if self._last is None or (name and self._calls[self._last]["arguments"]):
            return len(self._calls)  # without id or index, a name after arguments begins the next call
        return self._last

    def _with_id(self, id: str) -> int:
        for index, call in self._calls.items():
            if call["id"] == id:
                return index
        return max(self._calls, default=-1) + 1
