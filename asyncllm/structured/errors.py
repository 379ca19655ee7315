"""Errors of typed calls: the request, the answers, why each was refused, and their cost, on one screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from ..completions.completion import Completion, ExtractionAttempt
from ..completions.usage import Usage
from ..errors import ExtractionError, IncompleteOutputError, RefusalError
from ..messages import Request

# One screen of 80 columns holds the question, and three attempts with four lines of answer and four of reasons each.
_SHOWN_CHARACTERS = 300
_SHOWN_ATTEMPTS = 3
_ENDED_EARLY = frozenset(("content_filter", "length"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A typed request, as messages show it.

    Attributes:
        title: The name of the type.
        mode: The mode it was asked for in.
        request: The request as the caller made it.
    """

    title: str
    mode: str
    request: Request

    def __str__(self) -> str:
        content = self.request.messages[-1].get("content")
        if not isinstance(content, str):
            content = " ".join(str(part.get("text", f"[{part.get('type')}]")) for part in content or ())
        return f"{self.title} ({self.mode}) of {_shown(content)!r}"


class _FailureDetails(TypedDict):
    attempts: Sequence[ExtractionAttempt]
    completion: Completion
    usage: Usage
    cost_usd: float | None
    partial: object


def ended_early(
    completion: Completion, earlier: Sequence[ExtractionAttempt], partial: Callable[[Completion], object]
) -> ExtractionError | None:
    """Return the error of an incomplete answer. It is not asked for again, as the next one would end in the same way.

    Args:
        completion: The answer.
        earlier: The attempts before it.
        partial: Makes the partial value of an answer.

    Returns:
        None when the answer is complete.
    """
    refusal, reason = completion.refusal, completion.finish_reason
    if not refusal and reason not in _ENDED_EARLY:
        return None
    kind: type[ExtractionError] = RefusalError
    hint = "Ask in another way, or ask another model."
    if refusal:
        message = f"{completion.model} declined to answer: {_shown(refusal)}"
    elif reason == "content_filter":
        message = f"the content filter of {completion.model} stopped the answer."
    else:
        kind, hint = IncompleteOutputError, "Raise max_output_tokens, or ask for less at a time."
        message = f"{completion.model} was cut by the token limit after {completion.usage.output_tokens} tokens."
    return kind(message, hint=hint, **_details([*earlier, ExtractionAttempt(completion, message)], partial(completion)))


def refused(asked: Asked, attempts: Sequence[ExtractionAttempt], partial: object = None) -> ExtractionError:
    """Return the error of a call without a valid answer in any attempt."""
    completion = attempts[-1].completion
    details = _details(attempts, partial)
    count = len(attempts)
    lines = [
        f"{completion.model} gave no valid {asked.title} in {count} attempt{'s' * (count != 1)}, "
        f"for {_money(details['cost_usd'])}.",
        f"  asked: {asked}",
    ]
    if count > _SHOWN_ATTEMPTS:
        lines.append(f"  the last {_SHOWN_ATTEMPTS}:")
    for number, attempt in list(enumerate(attempts, 1))[-_SHOWN_ATTEMPTS:]:
        lines.append(f"  {number}. answer: {_shown(_answer_text(attempt.completion)) or '(empty)'}")
        lines.append(f"     refused: {_shown(attempt.error or '')}")
    return ExtractionError("\n".join(lines), **details)


def total_usage(attempts: Sequence[ExtractionAttempt]) -> Usage:
    """Return the usage of all attempts together."""
    usage = attempts[0].completion.usage
    for attempt in attempts[1:]:
        usage = usage + attempt.completion.usage
    return usage


def total_cost(attempts: Sequence[ExtractionAttempt]) -> float | None:
    """Return the cost of all attempts together in US dollars; None when that of any is unknown."""
    costs = [attempt.completion.cost_usd for attempt in attempts]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _answer_text(completion: Completion) -> str:
    return completion.text or " ".join(f"{call.name}({call.arguments})" for call in completion.tool_calls)


def _details(attempts: Sequence[ExtractionAttempt], partial: object) -> _FailureDetails:
    return {
        "attempts": attempts,
        "completion": attempts[-1].completion,
        "usage": total_usage(attempts),
        "cost_usd": total_cost(attempts),
        "partial": partial,
    }


def _money(cost: float | None) -> str:
    return "an unknown cost" if cost is None else f"${cost:.4g}"


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text):,} characters)"
