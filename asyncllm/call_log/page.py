"""The log of calls as a page: sums, and a table of the newest calls, in the style of a batch's report."""

from __future__ import annotations

from datetime import datetime

from ..batch.formatting import dollars, duration, number
from ..batch.report.rendering import Tile, render
from .database import TOTALS, CallDatabase, Selection, Total
from .entry import LoggedCall
from .folder import CallFolder

_SUM_COLUMNS = ["calls", "failed", "cached", "tokens in", "tokens out", "cost", "saved", "mean time"]
# The part of a prompt that is shown: enough to know the call by.
_PROMPT_CHARACTERS = 120


def page(log: CallDatabase | CallFolder, selection: Selection, limit: int, name: str, version: str) -> str:
    """Return the page of a log as HTML.

    Args:
        log: The log.
        selection: Which calls are meant.
        limit: The number of calls in the table; the sums are over all.
        name: The name of the log, its heading.
        version: The version of the package.
    """
    sums = {key: log.totals(selection, key) for key in TOTALS}
    if not any(total.key is not None for total in sums["tenant"]):
        del sums["tenant"]
    calls = [_row(call) for call in log.calls(selection, limit)]
    count = sum(total.calls for total in sums["model"])
    return render(
        "call_log/page.html.jinja",
        name=name,
        version=version,
        headline=_headline([total.key for total in sums["day"] if total.key is not None]),
        tiles=_tiles(sums["model"]),
        sum_columns=_SUM_COLUMNS,
        sums={key: [_sum_row(total) for total in totals] for key, totals in sums.items()},
        calls_title="Calls" if len(calls) == count else f"The newest {len(calls):,} of {count:,} calls",
        call_columns=list(calls[0]) if calls else [],
        calls=calls,
    )


def _headline(days: list[str]) -> str:
    if not days:
        return "There are no calls."
    return f"Calls of {days[0]}." if len(days) == 1 else f"Calls from {days[0]} to {days[-1]}."


def _tiles(totals: list[Total]) -> list[Tile]:
    calls, failed = sum(total.calls for total in totals), sum(total.failed for total in totals)
    cached, saved = sum(total.cached for total in totals), sum(total.saved_usd for total in totals)
    tiles = [
        Tile("Calls", f"{calls:,}"),
        Tile("Not answered", f"{failed:,}", f"{failed / calls:.1%} of all" if calls else "", bad=failed > 0),
        Tile("Cost", dollars(sum(total.cost_usd for total in totals))),
        Tile("Tokens", number(sum(total.input_tokens + total.output_tokens for total in totals)), "in and out"),
    ]
    if cached:
        tiles.append(Tile("From the cache", f"{cached:,}", f"{dollars(saved)} saved"))
    return tiles


def _sum_row(total: Total) -> list[str]:
    counts = (total.calls, total.failed, total.cached, total.input_tokens, total.output_tokens)
    money = (dollars(total.cost_usd), dollars(total.saved_usd))
    return [total.key or "-", *(f"{count:,}" for count in counts), *money, duration(total.elapsed_s)]


def _row(call: LoggedCall) -> dict[str, str]:
    tokens = (call.input_tokens or 0) + (call.output_tokens or 0)
    return {
        "at": f"{datetime.fromtimestamp(call.at):%Y-%m-%d %H:%M:%S}",
        "model": call.model,
        "profile": call.profile,
        "tenant": call.tenant or "",
        "took": duration(call.elapsed_s),
        "tokens": "" if call.input_tokens is None else f"{tokens:,}",
        "cost": "" if call.cost_usd is None else dollars(call.cost_usd),
        "ended": call.error or call.finish_reason or call.status,
        "prompt": call.prompt_text.strip()[:_PROMPT_CHARACTERS],
    }
