"""The outcome of one item of a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from ..completions.call_record import Attempt
from ..completions.completion import Completion
from ..completions.usage import Basis, Usage

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Identified(Protocol):
    """An item of a batch."""

    @property
    def index(self) -> int: ...

    @property
    def id(self) -> str | None: ...

    @property
    def data(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """The end of one item of a batch: a value, or an error.

    Attributes:
        index: Its position in the input, from 0.
        id: The id of its `Request`; None when it had none.
        data: The `data` of its `Request`.
        value: The typed value, or the text of a plain call; None when it failed.
        completion: The answer; None when there was none.
        error: Why it failed; None when it succeeded.
        cost_usd: Its cost in US dollars, all its answers together; None when unknown. The duplicate of a request that
            was sent cost nothing.
        usage: The tokens of all its answers together; None when there was none.
        from_journal: Whether its answer is from the journal: it was sent, and paid for, in an earlier run.
        duplicate_of: The index of the identical request whose answer it shares; None when it was sent itself.

    Example:
        ```python
        for outcome in await llm.gather(["Name a colour.", "Name a fruit."]):
            if outcome.ok:
                print(outcome.index, outcome.value, outcome.cost_usd)
            else:
                print(outcome.index, outcome.error)
        ```
    """

    index: int
    id: str | None = None
    data: Any = None
    value: T_co | None = None
    completion: Completion | None = None
    error: Exception | None = None
    cost_usd: float | None = None
    usage: Usage | None = None
    from_journal: bool = False
    duplicate_of: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.error is None

    @property
    def text(self) -> str:
        """The text of the answer; empty when there is none."""
        return self.completion.text if self.completion is not None else ""

    @property
    def cost_basis(self) -> Basis:
        """Whether `cost_usd` is known, estimated (from an estimated usage or price) or unknown."""
        if self.cost_usd is None:
            return "unknown"
        bases = (self.usage and self.usage.basis, self.completion and self.completion.cost_basis)
        return "estimated" if "estimated" in bases else "known"

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The `Attempt` of each request that was sent for its last answer or error, in order."""
        if self.completion is not None:
            return tuple(self.completion.record.attempts)
        return tuple(attempt for attempt in getattr(self.error, "attempts", ()) if isinstance(attempt, Attempt))

    def unwrap(self) -> T_co:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # an item without an error has one


def duplicate(outcome: Outcome[T], item: Identified, index: int) -> Outcome[T]:
    """Return the outcome of an item that shares the answer of an identical one, and cost nothing.

    Args:
        outcome: That of the other.
        index: The index of the other.
    """
    return replace(outcome, index=item.index, id=item.id, data=item.data, cost_usd=0.0, usage=None, duplicate_of=index)
