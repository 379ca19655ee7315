"""One value of a type: asked for, and asked for again with what was wrong while the answer is none."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from ..completions.completion import Completion, ExtractionAttempt
from ..completions.usage import Basis, Usage
from ..messages import Request
from ..models import ModelInfo
from .errors import Asked, ended_early, refused, total_cost, total_usage
from .partial.snapshots import partial_value
from .prompting import prepared
from .schema.answer_type import BadAnswerError

T = TypeVar("T")
Ask = Callable[[Request], Awaitable[Completion]]
Check = Callable[[T], object]
"""Looks at a value, and raises Reask when it will not do; a coroutine function, or a plain one."""


class Reask(ValueError):  # what the user tells us, and no failure of the call
    """Raised by a check, or by a pydantic validator: the value will not do, and the model is told why.

    Args:
        reason: What is wrong, in words for the model.
    """


@dataclass(frozen=True, slots=True)
class Extraction(Generic[T]):
    """A typed answer, and how it was got.

    Attributes:
        value: The value, of exactly the type that was asked for.
        completion: The answer that it was read from, with its own usage.
        attempts: Every answer, in order, and why it was refused.
    """

    value: T
    completion: Completion
    attempts: tuple[ExtractionAttempt, ...]

    @property
    def usage(self) -> Usage:
        """The usage of all answers together."""
        return total_usage(self.attempts)

    @property
    def cost_usd(self) -> float | None:
        """The cost of all answers together in US dollars; None when that of any is unknown."""
        return total_cost(self.attempts)

    @property
    def cost_basis(self) -> Basis:
        """Whether `cost_usd` is known, estimated or unknown."""
        return "unknown" if self.cost_usd is None else self.usage.basis


async def extract(
    response_model: Any,
    request: Request,
    ask: Ask,
    *,
    mode: str,
    max_reasks: int,
    info: Callable[[], ModelInfo],
    check: Check[Any] | None = None,
    context: Any = None,
) -> Extraction[Any]:
    """Ask for a value of a type, and again with what was wrong while the answer is none.

    Args:
        response_model: The type, or a JSON Schema.
        request: What to ask.
        ask: Sends a request and returns the answer.
        mode: How to ask: `auto`, `tools`, `json_schema`, `json` or `md_json`.
        max_reasks: How often a bad answer is asked again.
        info: What is known about the model, for `auto`.
        check: Looks at a value of the type.
        context: For pydantic's validators.

    Raises:
        RefusalError: The model declined.
        IncompleteOutputError: The answer was cut by the token limit.
        ExtractionError: No answer was a value of the type.
        ProviderError: As for a plain call.
        TypeError: It is no type that can be asked for.
    """
    form = await prepared(response_model, mode, info)
    first = form.request(request)
    asked = first
    attempts: list[ExtractionAttempt] = []
    while True:
        completion = await ask(asked)
        if ended := ended_early(completion, attempts, partial(partial_value, form)):
            raise ended
        reason: str | None = None
        value: Any = None
        try:
            value = form.read(completion, context)
            if check is not None:
                await _passes(check, value)
        except (BadAnswerError, Reask) as error:
            reason = str(error)
        attempts.append(ExtractionAttempt(completion, reason))
        if reason is None:
            return Extraction(value, completion, tuple(attempts))
        if len(attempts) > max_reasks:
            wanted = Asked(form.answer_type.title, form.mode, request)
            raise refused(wanted, attempts, partial_value(form, completion))
        # From the first messages on: what came before the last answer would only repeat itself at a growing price.
        asked = form.reask(first, completion, reason)


async def _passes(check: Check[Any], value: Any) -> None:
    checking = check(value)
    if inspect.isawaitable(checking):
        await checking
