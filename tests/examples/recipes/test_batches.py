"""Recipes for many inputs: classification, documents, duplicates, judgements, translation, long documents."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path

import pytest

from asyncllm import AsyncLLM
from asyncllm.simulator import Fault, Simulator

from .conftest import Load, Run

ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_each_row_gets_a_verdict_once(run: Run, simulator: Simulator, tmp_path: Path) -> None:
    """A second run writes the same file, and sends nothing."""
    source = tmp_path / "in.csv"
    source.write_text('review_id,review\nr1,"Broke, at once."\nr2,\nr3,Lovely.\n')
    assert run("classify_csv", str(source)) == 0
    first = Path("verdicts.csv").read_text()
    rows = list(csv.DictReader(first.splitlines()))
    assert [row["review_id"] for row in rows] == ["r1", "r3"]
    assert all(row["topic"] in ("quality", "price", "delivery", "other") for row in rows)
    assert simulator.seen.requests == 2
    assert run("classify_csv", str(source)) == 0
    assert (Path("verdicts.csv").read_text(), simulator.seen.requests) == (first, 2)


def test_a_row_that_fails_says_why(run: Run, simulator: Simulator, tmp_path: Path) -> None:
    """The other rows have their verdicts, and the exit code is 1."""
    source = tmp_path / "in.csv"
    source.write_text("review_id,review\nr1,Terrible.\nr2,Lovely.\n")
    simulator.faults(Fault("status", code=400, contains="Terrible"))
    assert run("classify_csv", str(source)) == 1
    failed, fine = csv.DictReader(Path("verdicts.csv").read_text().splitlines())
    assert "400" in failed["error"]
    assert fine["topic"]


def test_documents_become_receipts(
    run: Run, simulator: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PDFs go as files and photos as images; anything else in the folder is left alone."""
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(b"%PDF-1.4 nothing")
    (folder / "b.PNG").write_bytes(ONE_PIXEL)
    (folder / "notes.txt").write_text("nothing to read")
    receipt = '{"seller": "Bakery", "day": "2025-03-01", "total": "4.20", "currency": "EUR"}'
    simulator.faults(Fault("answer", text=receipt))
    assert run("extract_documents", str(folder)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(line["file"] for line in lines) == ["a.pdf", "b.PNG"]
    assert all(line["receipt"] == json.loads(receipt) for line in lines)
    kinds = [part["type"] for body in simulator.seen.bodies for part in body["messages"][-1]["content"]]
    assert sorted(kinds) == ["file", "image_url", "text", "text"]


def test_records_of_one_company_are_one_group(
    run: Run, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only pairs that look alike are asked about."""
    simulator.faults(
        Fault("answer", text='{"reason": "another town", "same": false}', contains="Acme Berlin"),
        Fault("answer", text='{"reason": "the same name", "same": true}'),
    )
    assert run("deduplicate", stdin="ACME Inc.\nGlobex\nAcme, Inc\nAcme Inc (US)\nAcme Berlin\n") == 0
    assert capsys.readouterr().out.splitlines() == ["ACME Inc. | Acme, Inc | Acme Inc (US)", "Globex", "Acme Berlin"]
    assert "Globex" not in json.dumps(list(simulator.seen.bodies))


@pytest.mark.parametrize(
    ("verdicts", "counts"),
    [
        (("first", "second"), {"a": 1, "disagreed": 0}),
        (("second", "first"), {"b": 1, "disagreed": 0}),
        (("first", "first"), {"tie": 1, "disagreed": 1}),
        (("tie", "tie"), {"tie": 1, "disagreed": 0}),
    ],
)
def test_a_judge_is_asked_in_both_orders(
    run: Run,
    simulator: Simulator,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verdicts: tuple[str, str],
    counts: dict[str, int],
) -> None:
    """A win counts when the swap does not change it."""
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"question": "2 + 2?", "a": "four", "b": "five"}))
    answers = [json.dumps({"reasons": "", "better": verdict}) for verdict in verdicts]
    simulator.faults(
        Fault("answer", text=answers[0], contains="First answer: four"),
        Fault("answer", text=answers[1], contains="First answer: five"),
    )
    assert run("judge_pairs", str(pairs)) == 0
    assert json.loads(capsys.readouterr().out) == counts


def test_a_translation_without_a_term_is_asked_for_again(
    run: Run, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model reads which term is missing; the other paragraph is not asked for again."""
    simulator.faults(
        Fault("answer", text='{"german": "Eine Stelle ist frei."}', contains="A slot", times=1),
        Fault("answer", text='{"german": "Ein Platz ist frei."}', contains="A slot"),
        Fault("answer", text='{"german": "Hallo."}'),
    )
    assert run("translate", stdin="A slot is free.\n\nHello.") == 0
    assert capsys.readouterr().out == "Ein Platz ist frei.\n\nHallo.\n"
    assert simulator.seen.requests == 3
    assert "the translation must contain: Platz" in json.dumps(list(simulator.seen.bodies))


def test_a_paragraph_without_a_translation_is_kept(
    run: Run, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and the exit code is 1."""
    simulator.faults(Fault("answer", text='{"german": "Eine Stelle."}'))
    assert run("translate", stdin="A slot.") == 1
    said = capsys.readouterr().out
    assert said.startswith("[not translated: ")
    assert said.endswith("A slot.\n")


@pytest.mark.anyio
async def test_a_long_document_is_summarised_in_pieces(load: Load, simulator: Simulator) -> None:
    """Every paragraph is in one piece, and the summaries are joined until one is left."""
    recipe = load("long_document")
    simulator.faults(Fault("answer", text="Short."))
    async with AsyncLLM() as llm:
        text = "\n\n".join(f"Paragraph {n}: " + "x" * 40 for n in range(9)) + "y" * 150
        assert await recipe["summarise"](llm, text, chars=120) == "Short."
    prompts = [body["messages"][-1]["content"] for body in simulator.seen.bodies]
    assert all(any(f"Paragraph {n}:" in prompt for prompt in prompts) for n in range(9))
    assert sum(prompt.startswith("Join") for prompt in prompts) == 1
    assert max(map(len, prompts)) < 120 + 100


@pytest.mark.anyio
async def test_summaries_that_do_not_get_shorter_are_an_error(load: Load, simulator: Simulator) -> None:
    """It does not go on for ever."""
    recipe = load("long_document")
    simulator.faults(Fault("answer", text="z" * 100))
    async with AsyncLLM() as llm:
        with pytest.raises(ValueError, match="larger pieces"):
            await recipe["summarise"](llm, "x" * 300, chars=100)


def test_a_document_has_a_journal(run: Run, simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """The second run of the script sends nothing."""
    Path("text.txt").write_text("A short document.")
    assert run("long_document", "text.txt") == 0
    assert run("long_document", "text.txt") == 0
    assert simulator.seen.requests == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
