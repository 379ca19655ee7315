"""Completion: a whole answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..content import ToolCall
from ..messages import Message
from .call_record import CallRecord
from .usage import Basis, Usage
from .view import view

if TYPE_CHECKING:
    from litellm import ModelResponse  # noqa: TID251  # a name for type checkers; nothing is imported


class Completion:
    """An answer.

    It has the short form (`r.text`) and both spellings of the chat-completions form
    (`r.choices[0].message.content`, `r["choices"][0]["message"]["content"]`).

    Attributes:
        usage: The tokens it took.
        record: The record of the call.

    Example:
        ```python
        answer = await llm.acompletion("Name a colour.")
        print(answer.text, answer.finish_reason, answer.usage.total_tokens, answer.cost_usd)
        assert answer.text == answer.choices[0].message.content == answer["choices"][0]["message"]["content"]
        ```
    """

    __slots__ = ("_build_response", "_cost", "_data", "_price", "_price_basis", "record", "usage")

    record: CallRecord
    usage: Usage

    def __init__(
        self,
        data: dict[str, Any],
        record: CallRecord,
        *,
        usage: Usage | None = None,
        price: Callable[[Usage], float | None] | None = None,
        price_basis: Basis = "known",
        build_response: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self._data = data
        self.record = record
        self.usage = Usage.from_dict(data.get("usage")) if usage is None else usage
        self._price = price
        self._price_basis: Basis = price_basis
        self._cost: float | None = None
        self._build_response = build_response

    @property
    def text(self) -> str:
        """The text of the first choice; empty when there is none."""
        content = self._message.get("content")
        if isinstance(content, list):
            parts = (cast(dict[str, Any], part) for part in cast(list[object], content) if isinstance(part, dict))
            return "".join(part.get("text") or "" for part in parts)
        return content or ""

    @property
    def reasoning(self) -> str:
        """The model's reasoning, where the provider shows it; else empty."""
        return self._message.get("reasoning_content") or self._message.get("reasoning") or ""

    @property
    def refusal(self) -> str | None:
        """What the model said instead of answering; None when it answered."""
        return self._message.get("refusal")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of the first choice, in the model's order."""
        return tuple(ToolCall.from_dict(call) for call in self._message.get("tool_calls") or ())

    @property
    def message(self) -> Message:
        """The first choice as a message, to be put back into the conversation."""
        fields: dict[str, Any] = self._message.get("provider_specific_fields") or {}
        return Message(
            "assistant",
            self.text or None,
            tool_calls=self.tool_calls,
            thinking_blocks=self._message.get("thinking_blocks") or (),
            thought_signatures=fields.get("thought_signatures") or (),
        )

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`; None when unknown."""
        return self._choice.get("finish_reason")

    @property
    def model(self) -> str:
        """The model as the provider names it."""
        return self._data.get("model") or self.record.model

    @property
    def id(self) -> str | None:
        """The provider's id of the answer."""
        return self._data.get("id")

    @property
    def choices(self) -> list[Any]:
        """The choices with attribute access, as chat completions have them."""
        choices: list[Any] = view(self._data.get("choices") or [])
        return choices

    @property
    def cost_usd(self) -> float | None:
        """The cost of the answer in US dollars; None when the model's price or the usage is unknown."""
        if self._price is not None:
            self._cost, self._price = self._price(self.usage), None
        return self._cost

    @property
    def cost_basis(self) -> Basis:
        """Whether `cost_usd` is known, estimated (from an estimated usage or price) or unknown."""
        if self.cost_usd is None:
            return "unknown"
        return self.usage.basis if self._price_basis == "known" else self._price_basis

    @property
    def response(self) -> ModelResponse:
        """litellm's `ModelResponse`, built on first use (which imports litellm)."""
        if self._build_response is None:
            raise AttributeError("this Completion was unpickled or made by hand and has no litellm response")
        return cast("ModelResponse", self._build_response(self._data))

    def to_dict(self) -> dict[str, Any]:
        """Return the answer in the chat-completions form, a shallow copy."""
        return dict(self._data)

    model_dump = to_dict

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def get(self, key: str, default: object = None) -> Any:
        """Return a value of the chat-completions form, or the default."""
        return self._data.get(key, default)

    def __repr__(self) -> str:
        shown = self.text if len(self.text) <= 60 else f"{self.text[:57]}..."
        return f"<Completion {self.model} {self.finish_reason}: {shown!r}>"

    def __getstate__(self) -> dict[str, object]:
        cost, basis = self.cost_usd, self._price_basis
        return {"data": self._data, "record": self.record, "usage": self.usage, "cost": cost, "price_basis": basis}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._data, self.record, self.usage = state["data"], state["record"], state["usage"]
        self._cost, self._price, self._build_response = state["cost"], None, None
        self._price_basis = state["price_basis"]

    @property
    def _choice(self) -> dict[str, Any]:
        choices = self._data.get("choices")
        return choices[0] if choices else {}

    @property
    def _message(self) -> dict[str, Any]:
        choices = self._data.get("choices")
        return (choices[0].get("message") or {}) if choices else {}


@dataclass(frozen=True, slots=True)
class ExtractionAttempt:
    """One answer to a typed call.

    Attributes:
        completion: The answer, with its own usage.
        error: Why it was rejected; None for the one that was accepted.
    """

    completion: Completion
    error: str | None = None
