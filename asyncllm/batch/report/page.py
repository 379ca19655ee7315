"""The report as a page: one HTML file without scripts that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ..formatting import dollars, duration, number
from .charts import charts
from .figures import Figures, ItemFigures
from .rendering import Tile, render

ITEM_COLUMNS = ("item", "took", "attempts", "tokens", "cost", "ended")


def page(figures: Figures, name: str, version: str) -> str:
    """Return the report as HTML."""
    return render(
        "batch/report/page.html.jinja",
        "; or take --text, which needs none",
        name=name,
        version=version,
        headline=headline(figures),
        advice=advice(figures),
        tiles=tiles(figures),
        charts=charts(figures),
        errors=figures.errors,
        models=model_rows(figures),
        slowest=item_rows(figures.slowest),
        dearest=item_rows(figures.dearest),
        item_columns=ITEM_COLUMNS,
    )


def headline(figures: Figures) -> str:
    """Return when and how long the batch ran, as a sentence."""
    if figures.began_at is None:
        return "Nothing was recorded of how it ran."
    began = datetime.fromtimestamp(figures.began_at, UTC)
    runs = f", in {len(figures.runs_s)} runs" if len(figures.runs_s) > 1 else ""
    now = " It is still running." if figures.running else ""
    return f"Begun {began:%d %B %Y, %H:%M} UTC; {duration(figures.elapsed_s)} of running time{runs}.{now}"


def advice(figures: Figures) -> str:
    """Return what to do about many 429s; empty when there were few, as there are while a limit is found."""
    if 2 * figures.throttled <= figures.attempts:
        return ""
    refused = f"{figures.throttled:,} of {figures.attempts:,} requests were refused with 429"
    remedy = "set it to the account's limit; or leave it out, and the limit is found."
    if "requests" in figures.limited_s or "tokens" in figures.limited_s:
        return f"{refused}: the configured rate is higher than the provider's. Lower it: {remedy}"
    return f"{refused}. If a rate is configured, it is higher than the provider's: {remedy}"


def tiles(figures: Figures) -> list[Tile]:
    """Return the figures at the top."""
    items = figures.done + figures.failed
    share = f"{figures.failed / items:.1%} of all" if items else ""
    cut = f"{figures.truncated:,} cut by a token limit" if figures.truncated else ""
    made = [
        Tile("Answered", f"{figures.done:,}", cut),
        Tile("Failed", f"{figures.failed:,}", share, bad=figures.failed > 0),
        Tile(
            "Cost", dollars(figures.known_cost_usd), f"{figures.unpriced:,} of unknown cost" if figures.unpriced else ""
        ),
        Tile("Tokens", number(figures.tokens), "in and out"),
    ]
    if figures.cached:
        made.append(Tile("From the cache", f"{figures.cached:,}", f"{dollars(figures.saved_usd)} saved"))
    if figures.elapsed_s:
        made.append(Tile("Rate", f"{number(items / figures.elapsed_s)}/s", "items, on average"))
    if figures.latency.count:
        shares = figures.latency.quantiles
        made.append(
            Tile(
                "Half within", duration(shares["p50"]), f"99 of 100 within {duration(shares['p99'])}, waiting included"
            )
        )
    if figures.attempts > items:
        made.append(Tile("Requests", f"{figures.attempts:,}", f"{figures.attempts - items:,} more than items"))
    if figures.throttled:
        made.append(Tile("Refused with 429", f"{figures.throttled:,}", f"of {figures.attempts:,} requests"))
    if (deferred := figures.deferred) is not None:
        rounds = f"in {deferred.rounds} round{'s' * (deferred.rounds > 1)}"
        unread = f", {deferred.unread:,} still with the provider" if deferred.unread else ""
        made += [
            Tile("Batches", f"{deferred.batches:,}", f"{rounds} at the provider{unread}"),
            Tile("Waited", duration(deferred.waited_s), f"for them; {duration(deferred.longest_s)} for the slowest"),
            Tile("Saved", dollars(deferred.saved_usd), "beside the same answers live"),
        ]
    if figures.unsettled:
        cost = f"in flight when a run ended; about {dollars(figures.unsettled_usd)} if paid"
        made.append(Tile("Outcome unknown", f"{figures.unsettled:,}", cost, bad=True))
    return made


def model_rows(figures: Figures) -> list[Sequence[str]]:
    """Return the table of models, as text."""
    rows: list[Sequence[str]] = []
    for name, total in figures.models.items():
        priced = total.answers - total.unpriced
        paid = priced - total.cached
        counts = (f"{count:,}" for count in (total.answers, total.input_tokens, total.output_tokens))
        cost, each = total.cost_usd if priced else None, total.cost_usd / paid if paid else None
        rows.append((name, *counts, dollars(cost), "-" if priced and not paid else dollars(each)))
    return rows


def item_rows(items: Sequence[ItemFigures]) -> list[Sequence[str]]:
    """Return the table of items that stand out, as text."""
    return [
        (
            item.name,
            "-" if item.elapsed_s is None else duration(item.elapsed_s),
            f"{item.attempts}",
            "-" if item.tokens is None else f"{item.tokens:,}",
            dollars(item.cost_usd),
            item.ending,
        )
        for item in items
    ]
