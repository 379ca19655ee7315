"""The plan of a batch, before anything is sent: rows, tokens, money, time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

from asyncllm import AsyncLLM, Request
from asyncllm.batch.files import BadRow, Row
from asyncllm.batch.formatting import dollars, duration
from asyncllm.batch.journal.fingerprint import Fingerprinter
from asyncllm.batch.journal.resumption import looking_ahead, reasons
from asyncllm.models import count_tokens, estimate_tokens, worst_case_cost
from asyncllm.parameters import output_limit, profile_params

from ..terminal.exit_codes import UsageProblem
from ..terminal.output import note, write
from .job import Job
from .job_record import JobRecord, recorded

# Prompts whose tokens are counted; those of the others are estimated from their length, at the same rate. A thousand
# prompts take 0.1 s, and their mean is within a few per cent.
_COUNTED = 1_000
# Enough to see what is wrong with the file.
_SHOWN_PROBLEMS = 20
# The assumed length of an answer that is not limited: a long paragraph.
_ASSUMED_ANSWER_TOKENS = 500


@dataclass(slots=True)
class Plan:
    """The plan of a batch.

    Attributes:
        problems: The first few of them.
        nulled: Rows with NaN or Infinity, which are read as null.
        answer_tokens: The most tokens of an answer, or the number that is assumed.
        limited: Whether answers are limited to that.
        done: Rows that the journal has an answer for.
        again: Rows that were sent before and are sent again, by reason.
        input_usd: The cost of the prompts; None when no price is known.
        most_usd: The cost of everything, if every answer is that long.
        deferred_usd: The same by the provider's batch API; None for a live batch, or where it is not known.
        deferred_is_known: Whether that price is known, rather than the usual half.
    """

    rows: int = 0
    bad: int = 0
    problems: list[BadRow] = field(default_factory=list[BadRow])
    nulled: int = 0
    input_tokens: int = 0
    answer_tokens: int = _ASSUMED_ANSWER_TOKENS
    limited: bool = False
    done: int = 0
    again: Counter[str] = field(default_factory=Counter[str])
    input_usd: float | None = None
    most_usd: float | None = None
    deferred_usd: float | None = None
    deferred_is_known: bool = False

    @property
    def left(self) -> int:
        """Rows that are still to be sent."""
        return self.rows - self.done

    def lines(self, job: Job) -> Iterator[tuple[str, str]]:
        """Yield the plan as pairs of a name and a text."""
        bad = f", {self.bad:,} that cannot be used" if self.bad else ""
        nulled = f", {self.nulled:,} with NaN or Infinity read as null" if self.nulled else ""
        sample = f", a random sample of {job.source.sample:,}" if job.source.sample else ""
        yield "rows", f"{self.left:,} to send{sample}{bad}{nulled}"
        if len(job.source.files) > 1:
            yield "files", f"{len(job.source.files):,}"
        if self.again:
            yield "again", f"about {self.again.total():,} of these: {reasons(self.again)}"
        if self.done:
            yield "answered", f"about {self.done:,} before, in {job.target.journal}"
        yield "model", job.config.model
        yield "tokens in", f"about {self.input_tokens:,}"
        length = f"{self.answer_tokens:,} each"
        yield "tokens out", f"at most {length}" if self.limited else f"not limited; taken to be {length} (--max-tokens)"
        yield "cost", self._cost()
        if self.deferred_usd is not None and self.most_usd is not None:
            about = "" if self.deferred_is_known else ", at the usual half"
            saved = dollars(self.most_usd - self.deferred_usd)
            yield "deferred", f"{dollars(self.deferred_usd)} with such answers, which saves {saved}{about}"
        yield "time", self._time(job)

    def _cost(self) -> str:
        if self.most_usd is None or self.input_usd is None:
            return "unknown, the model has no known price"
        return f"from {dollars(self.input_usd)} for the prompts to {dollars(self.most_usd)} with such answers"

    def _time(self, job: Job) -> str:
        config, rows = job.config, self.left
        share = rows / self.rows if self.rows else 0.0
        tokens = share * self.input_tokens + rows * self.answer_tokens
        minutes = [
            (rows / config.requests_per_minute, "requests_per_minute") if config.requests_per_minute else None,
            (tokens / config.tokens_per_minute, "tokens_per_minute") if config.tokens_per_minute else None,
        ]
        known = [limit for limit in minutes if limit is not None]
        if not known:
            return f"unknown: no rate is configured; up to {config.max_concurrency} at once"
        slowest, name = max(known)
        return f"at least {duration(60 * slowest)}, by {name}"


def survey(job: Job) -> Plan:
    """Read the whole input once, and return its plan."""
    plan = Plan()
    model, tokenizer = job.config.model, job.config.custom_tokenizer
    sampled_tokens = sampled_length = length = 0
    with job.source.open() as reading:
        rows = reading.rows()
        first = job.first_rows(rows, reading)
        with _compared(job, plan) as compare:
            for row, made in job.items(chain(first, rows)):
                if isinstance(made, BadRow):
                    plan.bad += 1
                    if len(plan.problems) < _SHOWN_PROBLEMS:
                        plan.problems.append(made)
                    continue
                compare(made)
                plan.rows += 1
                plan.nulled += isinstance(row, Row) and row.nulled is not None
                size = estimate_tokens(made.messages)
                length += size
                if plan.rows <= _COUNTED:
                    sampled_tokens += count_tokens(made.messages, model, custom_tokenizer=tokenizer).tokens
                    sampled_length += size
    plan.input_tokens = round(sampled_tokens * length / sampled_length) if sampled_length else 0
    _price(plan, job)
    return plan


def show_plan(plan: Plan, job: Job) -> None:
    """Write the plan to stdout."""
    rows = list(plan.lines(job))
    width = max(len(name) for name, _ in rows)
    write("".join(f"{name:<{width}}  {text}\n" for name, text in rows))


def confirm(plan: Plan, limit_usd: float, *, yes: bool) -> bool:
    """Ask whether to spend more than a limit; without a terminal to ask at, refuse.

    Returns:
        Whether to go on.
    """
    if yes or (plan.most_usd is not None and plan.most_usd <= limit_usd):
        return True
    cost = "an unknown sum" if plan.most_usd is None else f"up to {dollars(plan.most_usd)}"
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stderr.isatty():
        raise UsageProblem(
            f"this may cost {cost}, and more than {dollars(limit_usd)} is to be confirmed.",
            "Nothing was sent. Give --yes to go on without being asked, or --budget to limit it.",
        )
    note(f"{plan.left:,} row{'s' * (plan.left != 1)}, about {plan.input_tokens:,} tokens in: this may cost {cost}.")
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def _compared(job: Job, plan: Plan) -> Generator[Callable[[Request], None]]:
    """Yield a function that looks a request up in the journal of earlier runs; enter the counts into the plan."""
    path, config = job.target.journal, job.config
    if path is None or not path.exists():
        yield lambda request: None
        return
    before = recorded(path)
    changed = before is not None and before.prompt != JobRecord.of(job).prompt
    identify = Fingerprinter(
        config.model, profile_params(config), job.params, job.response_model, config.structured_mode
    )
    with looking_ahead(path, prompt_changed=changed) as ahead:
        yield lambda request: ahead.add(identify(request))
        plan.again = ahead.counts()
    plan.done, _ = plan.again.pop("done", 0), plan.again.pop("new", 0)


def _price(plan: Plan, job: Job) -> None:
    limit = output_limit({**profile_params(job.config), **job.params})
    plan.limited = limit is not None
    plan.answer_tokens = limit or _ASSUMED_ANSWER_TOKENS
    info = AsyncLLM(job.config).model_info  # a client opens nothing before its first call
    # Rates may depend on the length of a prompt: those of the mean one hold, not of one as long as all together.
    mean = plan.input_tokens // plan.rows if plan.rows else 0
    each = worst_case_cost(info, input_tokens=mean, max_output_tokens=plan.answer_tokens)
    alone = worst_case_cost(info, input_tokens=mean, max_output_tokens=0)
    if each is not None and alone is not None:
        plan.input_usd = alone * plan.left
        plan.most_usd = each * plan.left
