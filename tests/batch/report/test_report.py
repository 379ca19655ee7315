"""The report of a journal: its figures, and what the page and the text show of them."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from asyncllm import BadRequestError, Journal, Outcome, Request, ServerError
from asyncllm.batch.formatting import dollars, duration, number
from asyncllm.batch.journal.journal import RunSummary, Sample
from asyncllm.batch.report import figures
from asyncllm.batch.report.page import advice, page
from asyncllm.batch.report.text import text
from asyncllm.batch.report.timeline import Timeline
from asyncllm.completions.call_record import Attempt
from tests.batch.journals import completion, write_run
from tests.cli.conftest import Run

SCRIPT = '<script src="https://example.org/x.js"></script>'


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal of seven items: five answers, one of them cut, and two kinds of errors; with samples of its run."""
    path = tmp_path / "out.csv.journal"
    outcomes: list[Outcome[Any]] = [
        Outcome(n, None, None, "an answer", completion(), None, 0.25 * (n + 1), completion().usage) for n in range(4)
    ]
    cut = completion("cut", finish_reason="length")
    outcomes.append(Outcome(4, None, None, "cut", cut, None, None, cut.usage))
    outcomes += [Outcome(5, error=BadRequestError(f"no {SCRIPT}")), Outcome(6, error=ServerError("down"))]
    requests = [Request(f"Item {n}", id=f"id-{n}" if n else SCRIPT * 5) for n in range(7)]
    write_run(path, requests, outcomes)
    with closing(sqlite3.connect(path)) as connection, connection:
        for second in range(60):
            reason = "rate" if 10 <= second < 40 else None
            values = (100.0 + second, 1, second % 7, 3, second // 15, second // 45, second * 10, second / 100, reason)
            connection.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    return path


def test_figures_add_up(journal: Path) -> None:
    """What is counted is what is in the journal, each item once."""
    found = figures(Journal.read(journal))
    assert (found.done, found.failed, found.truncated) == (5, 2, 1)
    assert {kind: error.count for kind, error in found.errors.items()} == {"BadRequestError": 1, "ServerError": 1}
    assert found.errors["ServerError"].examples == [("id-6", "down")]
    model = found.models["openai/gpt-4o-mini"]
    assert (model.answers, model.input_tokens, model.output_tokens, model.unpriced) == (5, 60, 35, 1)
    assert [item.name for item in found.dearest][:2] == ["id-3", "id-2"]
    assert found.latency.count == 5
    assert sum(found.latency.counts) == 5
    assert found.latency.quantiles["p50"] == 0.5
    assert found.limited_s == {"rate": pytest.approx(30.0)}
    assert json.loads(json.dumps(found.to_dict()))["done"] == 5


def test_what_happened_over_time_adds_up(journal: Path) -> None:
    """The curve holds every item that was sent, at the moment it ended."""
    found = figures(Journal.read(journal))
    width = found.moments[1].at_s - found.moments[0].at_s
    assert sum(moment.done_per_s for moment in found.moments) * width == pytest.approx(5)
    assert found.moments[-1].cost_usd == pytest.approx(2.5)
    # Five requests of half a second each were at the provider.
    assert sum(moment.in_flight for moment in found.moments) * width == pytest.approx(2.5)
    assert all(0 <= moment.waiting <= 6 for moment in found.moments)


def run_summary(run: int, started_at: float, ended_at: float | None) -> RunSummary:
    """Return a run of which only the time matters."""
    return RunSummary(run, started_at, ended_at, "done", 0, 0, 0, 0, 0, 0.0, 0, 0.0)


def test_pauses_between_runs_are_left_out() -> None:
    """A run that was continued the next day goes on where it stopped; one that was killed ends at its last sample."""
    samples = [Sample(100.0 + second, 1, 5, 0, 0, 0, 0, 0.0, "slots") for second in range(11)]
    samples += [Sample(90_000.0 + second, 2, 7, 0, 0, 0, 0, 0.0, "slots") for second in range(21)]
    timeline = Timeline([run_summary(1, 100.0, None), run_summary(2, 90_000.0, 90_020.0)], samples)
    assert timeline.elapsed_s == 30.0
    assert timeline.runs_s == [0.0, 10.0]
    assert [(limit.from_s, limit.to_s) for limit in timeline.limits()] == [(0.0, 30.0)]


class Elements(HTMLParser):
    """The elements of a page, and what in them could load or run something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            inside = (value or "").startswith("#")
            if name in ("src", "href", "xlink:href", "srcset", "data", "action") and not inside:
                self.loads.append(f"{tag} {name}={value}")
            if name.startswith("on"):
                self.loads.append(f"{tag} {name}")


def test_the_page_loads_and_runs_nothing(journal: Path) -> None:
    """No script, no address, and what a provider or an id says is text; the page forbids the rest itself."""
    html = page(figures(Journal.read(journal)), "out.csv", "1.0")
    found = Elements(html)
    assert not found.loads
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(found.names)
    assert not re.search(r"url\((?!#)|@import", html)
    assert "default-src 'none'" in html
    assert "&lt;script" in html
    assert len(html) < 400_000


def test_the_page_can_be_used_without_seeing_it(journal: Path) -> None:
    """Every chart has a name, a sentence and its figures as a table, and names within the page are unique."""
    html = page(figures(Journal.read(journal)), "out.csv", "1.0")
    found = Elements(html)
    charts = found.names.count("svg")
    assert charts >= 5
    assert html.count('role="img"') == html.count("<title>") - 1 == charts
    assert found.names.count("details") == charts
    assert len(set(found.ids)) == len(found.ids)
    # Every colour is one of the page's, which has two sets of them.
    assert not re.search(r"(?:fill|stroke): #", "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL)))


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A journal of two answers without a price, after five 429s."""
    path = tmp_path / "refused.csv.journal"
    outcomes: list[Outcome[Any]] = []
    for index, refusals in enumerate((2, 3)):
        answer = completion()
        answer.record.attempts[:0] = [Attempt("default", answer.model, status_code=429) for _ in range(refusals)]
        outcomes.append(Outcome(index, value="an answer", completion=answer, usage=answer.usage))
    write_run(path, [Request(f"Item {number}") for number in range(2)], outcomes)
    return path


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        ("requests", "the configured rate is higher than the provider's"),
        ("cooldown", "If a rate is configured, it is higher"),
    ],
)
def test_a_storm_of_429s_is_named(refused: Path, limit: str, verdict: str) -> None:
    """The number of refusals, and what to do; for certain where requests waited for a configured rate."""
    with closing(sqlite3.connect(refused)) as connection, connection:
        for second in range(3):
            values = (100.0 + second, 1, 1, 0, 1, 0, 10, 0.0, limit)
            connection.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    found = figures(Journal.read(refused))
    assert (found.throttled, found.attempts) == (5, 7)
    for shown in (text(found, "out.csv", 80), page(found, "out.csv", "1.0")):
        words = " ".join(unescape(shown).split())
        assert "5 of 7 requests were refused with 429" in words
        assert verdict in words
    assert re.search(r"Refused with 429 +5  of 7 requests", text(found, "out.csv", 80))


def test_a_few_429s_need_no_remedy(journal: Path, refused: Path) -> None:
    """Without any, nothing is said of them; while a limit is found, some are as it should be."""
    assert "429" not in text(figures(Journal.read(journal)), "out.csv", 80)
    found = figures(Journal.read(refused))
    found.attempts = 2 * found.throttled
    assert not advice(found)


def test_a_cost_that_is_not_known_is_not_nothing(journal: Path, refused: Path) -> None:
    """Where no answer has a price the cost is unknown; where some have one, their sum, and the number of the others."""
    assert re.search(r"Cost +unknown  2 of unknown cost", text(figures(Journal.read(refused)), "out.csv", 80))
    assert re.search(r"Cost +\$2.50  1 of unknown cost", text(figures(Journal.read(journal)), "out.csv", 80))


def test_the_same_journal_makes_the_same_page(journal: Path) -> None:
    """A report can be kept under version control."""
    found = figures(Journal.read(journal))
    assert page(found, "out.csv", "1.0") == page(found, "out.csv", "1.0")


def test_the_text_fits_its_width(journal: Path) -> None:
    """Everything that counts is there, on lines that a terminal shows whole."""
    shown = text(figures(Journal.read(journal)), "out.csv", 80)
    for part in ("Answered", "1 cut by a token limit", "BadRequestError: 1", "rate", "p99", "slowest", "dearest"):
        assert part in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_a_journal_without_items_has_a_report(tmp_path: Path) -> None:
    """A run that was killed before its first answer is no error."""
    path = tmp_path / "out.journal"
    write_run(path, [Request("Hi")], [None], ended=None)
    found = figures(Journal.read(path))
    assert "Answered" in text(found, "out", 80)
    assert "<svg" not in page(found, "out", "1.0")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0"),
        (0.0213, "21.3 ms"),
        (0.9996, "1 s"),
        (1.284, "1.28 s"),
        (45.2, "45 s"),
        (600, "10 min"),
        (7200, "2 h"),
        (12_000, "3 h 20 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_in_words(seconds: float, shown: str) -> None:
    """With the units that count."""
    assert duration(seconds) == shown


def test_numbers_and_money_in_words() -> None:
    """Three digits that count, or all of it."""
    assert [number(value) for value in (0.123456, 7, 7.25, 1234567.8)] == ["0.123", "7", "7.25", "1,234,568"]
    costs = {None: "unknown", 0: "$0.00", 12.345: "$12.35", 0.01234: "$0.0123", 0.0000567: "$0.0000567"}
    assert [dollars(cost) for cost in costs] == list(costs.values())
    assert dollars(0.5, "estimated") == "about $0.5"


def test_the_command_writes_a_page_beside_the_journal(run: Run, journal: Path, directory: Path) -> None:
    """Named by the results or by the journal; stdout stays empty."""
    journal.rename(directory / "out.csv.journal")
    (directory / "out.csv").write_text("")
    for given in ("out.csv", "out.csv.journal"):
        ran = run("report", given)
        assert (ran.code, ran.out) == (0, "")
        assert "the report is in out.csv.journal.html" in ran.err
    assert (directory / "out.csv.journal.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run("report", "out.csv", "-o", "-").out.startswith("<!doctype html>")


def test_the_command_as_text_and_as_json(run: Run, journal: Path) -> None:
    """For a terminal, and for a program; neither needs what draws the page."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("matplotlib", "matplotlib.figure", "jinja2"):
            patch.setitem(sys.modules, name, None)
        assert "Answered" in run("report", str(journal), "--text").out
        assert run("report", str(journal), "--json").json["done"] == 5
        missing = run("report", str(journal))
        assert missing.code == 2
        assert "asyncllm[report]" in missing.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.journal"], "no journal"),
        (["config.toml"], "config.toml"),
        (["JOURNAL", "--text", "--json"], "one of them"),
        (["JOURNAL", "-o", "."], "is a directory"),
        (["JOURNAL", "-o", "nowhere/page.html"], "No such file"),
    ],
)
def test_what_the_command_cannot_do_is_said(run: Run, journal: Path, arguments: list[str], says: str) -> None:
    """One line, exit code 2."""
    ran = run("report", *(str(journal) if argument == "JOURNAL" else argument for argument in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
