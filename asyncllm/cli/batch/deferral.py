"""Deferred batches of the command: whether they are waited for, and how they are cancelled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from ..terminal.exit_codes import DONE, UsageProblem
from ..terminal.output import note
from .arguments import BatchArguments
from .job import Job

if TYPE_CHECKING:
    from asyncllm.batch.deferred.status import JobStatus

    from .plan import Plan

_OWN = ("mixed", "reask", "no_wait", "poll", "cancel")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)")
_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Deferral:
    """How a batch is deferred.

    Attributes:
        waits: Whether the command waits for the results.
        poll_s: Seconds between two questions; None for pauses that grow.
        reask: Where typed answers that are not valid are asked for again: `live` or `deferred`.
        is_mixed: Whether what the limits leave free is sent live.
    """

    waits: bool = True
    poll_s: float | None = None
    reask: str = "live"
    is_mixed: bool = False

    @classmethod
    def of(cls, given: BatchArguments) -> Deferral | None:
        """Return what the command line asks for; None for a live batch.

        Raises:
            UsageProblem: The options do not fit together.
        """
        if not (given.deferred or given.adopt):
            for name in _OWN:
                if getattr(given, name):
                    raise UsageProblem(f"--{name.replace('_', '-')} belongs to --deferred.", "Give --deferred too.")
            return None
        if given.reask not in (None, "live", "deferred"):
            raise UsageProblem(f"--reask is live or deferred, not {given.reask!r}.")
        if given.mixed and given.no_wait:
            raise UsageProblem("--mixed waits for what is sent live, which --no-wait does not.", "Leave one out.")
        if given.output == "-" and given.journal is None:
            raise UsageProblem("--deferred needs a journal.", "Write to a file, or give --journal FILE.")
        poll_s = None if given.poll is None else _seconds(given.poll)
        return cls(not given.no_wait, poll_s, given.reask or "live", given.mixed)

    @property
    def options(self) -> dict[str, Any]:
        """The options of `map`."""
        return {"deferred": "auto" if self.is_mixed else True, "poll_s": self.poll_s, "reask": self.reask}


def cancel(job: Job) -> int:
    """Cancel the batches of a job at the provider, and return the exit code."""
    from asyncllm import AsyncLLM

    journal = job.target.journal
    if journal is None or not journal.exists():
        raise UsageProblem(f"there is no journal {journal}, and nothing to cancel.")

    async def run() -> JobStatus:
        async with AsyncLLM(job.config) as llm:
            return await llm.deferred(journal).cancel()

    status = anyio.run(run)
    answered = sum(batch.answered for batch in status.batches)
    note(f"cancelled: {answered:,} requests were answered before, and come with the same command without --cancel")
    return DONE


def note_sent(status: JobStatus) -> None:
    """Note what is with the provider."""
    sent = [batch for batch in status.batches if batch.state == "sent"]
    batches = "1 batch" if len(sent) == 1 else f"{len(sent):,} batches"
    note(f"{status.waiting:,} requests are with the provider, in {batches}")
    note("the same command without --no-wait waits for them; asyncllm jobs shows their state")


def add_deferred_price(plan: Plan, job: Job) -> None:
    """Add to a plan what it costs deferred."""
    from asyncllm import AsyncLLM
    from asyncllm.models import batch_prices, worst_case_cost

    prices = AsyncLLM(job.config).model_info.prices
    if prices is None or plan.most_usd is None:
        return
    deferred, plan.deferred_is_known = batch_prices(prices)
    mean = plan.input_tokens // plan.rows if plan.rows else 0
    each = worst_case_cost(deferred, input_tokens=mean, max_output_tokens=plan.answer_tokens)
    plan.deferred_usd = None if each is None else each * plan.left


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise UsageProblem(f"--poll takes a time such as 60s or 5m, not {text!r}.")
    return float(found[1]) * _UNITS_S[found[2]]
