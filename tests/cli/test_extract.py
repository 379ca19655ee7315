"""`asyncllm extract`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncllm.simulator import Fault, Simulator
from tests.cli.conftest import Run

INVOICE = "Invoice R-2025-0417 over 1,249.00 EUR, payable by 30 April 2025."
SCHEMA = {
    "title": "Invoice",
    "type": "object",
    "properties": {
        "number": {"type": "string"},
        "total": {"type": "number"},
        "due": {"$ref": "#/$defs/day"},
    },
    "required": ["number", "total", "due"],
    "additionalProperties": False,
    "$defs": {"day": {"type": "string", "format": "date"}},
}


@pytest.fixture
def invoices(directory: Path) -> Path:
    """A module with a model, and the same as a JSON Schema."""
    (directory / "cli_invoices.py").write_text(
        "from datetime import date\nfrom pydantic import BaseModel\n"
        "class Invoice(BaseModel):\n    number: str\n    total: float\n    due: date\n"
        "class Book:\n    class Entry(BaseModel):\n        number: str\n"
    )
    (directory / "invoice.json").write_text(json.dumps(SCHEMA))
    return directory


@pytest.mark.parametrize("wanted", ["cli_invoices:Invoice", "invoice.json"])
def test_the_value_is_all_of_stdout(run: Run, invoices: Path, wanted: str) -> None:
    """A class of the working directory and a JSON Schema give the same JSON."""
    ran = run("extract", wanted, INVOICE)
    assert ran.code == 0
    assert ran.json == {"number": "R-2025-0417", "total": 1249.0, "due": "2025-04-30"}


def test_the_text_may_be_piped_in(run: Run, invoices: Path) -> None:
    """`-` reads the text from stdin, and an inner class is found."""
    assert run("extract", "cli_invoices:Book.Entry", "-", stdin=INVOICE).json == {"number": "R-2025-0417"}


def test_json_has_what_it_took(run: Run, invoices: Path) -> None:
    """`--json` puts usage and cost around the value."""
    answer = run("extract", "invoice.json", INVOICE, "--json").json
    assert answer["value"]["number"] == "R-2025-0417"
    assert answer["attempts"] == 1
    assert answer["cost_usd"] > 0


@pytest.mark.parametrize("wanted", ["cli_invoices:Invoice", "invoice.json"])
def test_no_valid_answer_is_a_failure(
    run: Run, invoices: Path, simulator: Simulator, at_provider: list[str], wanted: str
) -> None:
    """What does not validate is asked for again, and never printed."""
    simulator.faults(Fault("answer", text='{"number": "1", "total": 1, "due": "never"}'))
    ran = run("extract", wanted, INVOICE, *at_provider, "--set", "max_reasks=1")
    assert (ran.code, ran.out) == (1, "")
    assert simulator.seen.requests == 2
    assert "never" in ran.err


def test_a_schema_may_refer_to_itself(run: Run, directory: Path) -> None:
    """A tree is a type like any other, and so is one whose definitions stand elsewhere than in $defs."""
    tree = {"type": "object", "properties": {"name": {"type": "string"}, "parent": {"$ref": "#"}}, "required": ["name"]}
    (directory / "tree.json").write_text(json.dumps(tree))
    assert isinstance(run("extract", "tree.json", "The name is Oak").json["name"], str)
    number = {"type": "object", "properties": {"n": {"$ref": "#/definitions/number"}}, "required": ["n"]}
    (directory / "number.json").write_text(json.dumps(number | {"definitions": {"number": {"type": "integer"}}}))
    assert isinstance(run("extract", "number.json", "7 trees").json["n"], int)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("cli_invoices:Invoce", "did you mean 'Invoice'?"),
        ("cli_invoices", "names no type"),
        ("cli_envoices:Invoice", "no module 'cli_envoices'"),
        ("cli_broken:Invoice", "importing cli_broken failed: ZeroDivisionError"),
        ("cli_invoices:date.today", "date.today is no type that can be read"),
        ("nowhere.json", "nowhere.json: No such file"),
        ("text.json", "text.json is not valid JSON"),
        ("list.json", "list.json is not a JSON Schema"),
        ("wrong.json", "wrong.json: this is not a JSON Schema"),
        ("away.json", "another document"),
        ("gone.json", "to which it refers"),
    ],
)
def test_what_is_no_type_is_refused(run: Run, invoices: Path, wanted: str, says: str) -> None:
    """Nothing is sent, and the error names the thing."""
    (invoices / "cli_broken.py").write_text("1 / 0\n")
    (invoices / "text.json").write_text("not json")
    (invoices / "list.json").write_text("[1]")
    (invoices / "wrong.json").write_text('{"type": "objekt"}')
    (invoices / "away.json").write_text('{"$ref": "https://example.com/schema.json"}')
    (invoices / "gone.json").write_text('{"$ref": "#/$defs/gone"}')
    ran = run("extract", wanted, INVOICE)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
