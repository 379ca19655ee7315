"""Extraction of one value of a type, with re-asks."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..completions.completion import Completion, ExtractionAttempt
from ..completions.usage import Basis, Usage
from ..messages import Request
from .errors import Asked, ended_early, total_cost, total_usage
from .errors import refused as refused_error
from .forms import TypedForms
from .schema.readers import BadAnswerError

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")
Ask = Callable[[TypedForms[Any]], Awaitable[Completion]]
Check = Callable[[T], object]
"""Examines a value and raises Reask to refuse it; a coroutine function, or a plain one."""


class Reask(ValueError):  # not an AsyncLLMError: it is the user's verdict, and no failure of the call
    """Raised by a check, or by a pydantic validator, to ask the model again.

    Args:
        reason: The problem with the value, in words for the model.

    Example:
        ```python
        def is_leap(year: int) -> None:
            if year % 4:
                raise Reask("Leap years are divisible by 4.")

        year = await llm.extract(int, "In which leap year were the Games in Paris, 1900 or 2024?", check=is_leap)
        ```
    """


@dataclass(frozen=True, slots=True)
class Extraction(Generic[T]):
    """A typed answer, and the attempts it took.

    Attributes:
        value: The value, of exactly the type that was asked for.
        completion: The answer that it was read from, with its own usage.
        attempts: Every answer, in order, and why it was refused.

    Example:
        ```python
        found = await llm.extract_with_completion(int, "How many legs has a spider?")
        print(found.value, found.usage.total_tokens)
        for attempt in found.attempts:
            print(attempt.error or "accepted")
        ```
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
    response_model: TypeForm[T],
    request: Request,
    ask: Ask,
    *,
    mode: str,
    max_reasks: int,
    check: Check[T] | None = None,
    context: object = None,
    refused: Sequence[ExtractionAttempt] = (),
) -> Extraction[T]:
    """Ask for a value of a type, and again with the reason while the answer is invalid.

    Args:
        response_model: The type, or a JSON Schema.
        request: The messages and parameters.
        ask: Sends the request in the form that its endpoint takes, and returns the answer.
        mode: `auto`, `tools`, `json_schema`, `json` or `md_json`.
        max_reasks: How often a bad answer is asked for again.
        check: Examines a value of the type.
        context: For pydantic's validators.
        refused: The answers that were refused before, of which the last is asked for again.

    Raises:
        RefusalError: The model declined.
        IncompleteOutputError: The answer was cut by the token limit.
        ExtractionError: No answer was a value of the type.
        ProviderError: As for a plain call.
        TypeError: It is no type that can be asked for.
    """
    forms = TypedForms(response_model, request, mode)
    attempts = [*refused]
    if attempts:
        forms.reask(attempts[-1].completion, attempts[-1].error or "")
    while True:
        completion = await ask(forms)
        form = forms.form
        if ended := ended_early(completion, attempts, form.partial):
            raise ended
        try:
            value = form.read(completion, context)
            if check is not None and inspect.isawaitable(checking := check(value)):
                await checking
        except (BadAnswerError, Reask) as error:
            reason = str(error)
        else:
            return Extraction(value, completion, (*attempts, ExtractionAttempt(completion)))
        attempts.append(ExtractionAttempt(completion, reason))
        if len(attempts) > max_reasks:
            wanted = Asked(form.answer_type.title, form.mode, request)
            raise refused_error(wanted, attempts, form.partial(completion))
        forms.reask(completion, reason)
