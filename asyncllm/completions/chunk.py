"""Chunk: a piece of a streamed answer."""

from __future__ import annotations

from typing import Any

from .text_chunk import AnyChunk, TextChunk
from .usage import Usage
from .view import view


class Chunk:
    """A piece of a streamed answer.

    Attributes:
        text: The text of the first choice; empty when the chunk has none.
        restarted: The answer begins anew with this chunk: what came before does not count.
    """

    __slots__ = ("_data", "restarted", "text")

    def __init__(self, data: AnyChunk, *, restarted: bool = False) -> None:
        self._data = data
        self.text: str = data.text if isinstance(data, TextChunk) else self._delta.get("content") or ""
        self.restarted = restarted

    @property
    def data(self) -> dict[str, Any]:
        """The chunk in the chat-completions form."""
        data = self._data
        if isinstance(data, TextChunk):
            data = self._data = data.to_dict()
        return data

    @property
    def reasoning(self) -> str:
        """The model's reasoning in this chunk; empty when it has none."""
        delta = self._delta
        return delta.get("reasoning_content") or delta.get("reasoning") or ""

    @property
    def tool_calls(self) -> list[Any]:
        """The tool-call deltas of this chunk, with attribute access."""
        deltas: list[Any] = view(self._delta.get("tool_calls") or [])
        return deltas

    @property
    def refusal(self) -> str | None:
        """A piece of a refusal."""
        return self._delta.get("refusal")

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped, on the chunk that says so."""
        choices = self.data.get("choices")
        return choices[0].get("finish_reason") if choices else None

    @property
    def logprobs(self) -> Any:
        """The log probabilities of this chunk's tokens, as the provider gives them."""
        choices = self.data.get("choices")
        return choices[0].get("logprobs") if choices else None

    @property
    def usage(self) -> Usage | None:
        """The usage of the whole answer, on the chunk that carries it."""
        usage = self.data.get("usage")
        return Usage.from_dict(usage) if usage else None

    @property
    def choices(self) -> list[Any]:
        """The choices with attribute access; a chunk without any answers with one empty choice.

        The chunk that carries the usage has no choices; so that `chunk.choices[0].delta.content or ""` holds for every
        chunk, it reads as one choice with an empty delta.
        """
        choices: list[Any] = view(self.data.get("choices") or [_EMPTY_CHOICE])
        return choices

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __repr__(self) -> str:
        return f"<Chunk {self.text!r}>"

    @property
    def _delta(self) -> dict[str, Any]:
        choices = self.data.get("choices")
        return (choices[0].get("delta") or {}) if choices else {}


_EMPTY_CHOICE: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": None}
