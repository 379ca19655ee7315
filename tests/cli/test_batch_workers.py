"""`asyncllm batch --workers`: what is refused before Ray is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytest.importorskip("pyarrow", reason='pyarrow is not installed: pip install "asyncllm[ray]"')

ARGUMENTS = ("batch", "rows.jsonl", "-t", "Say {text}", "--model", "simulated/demo")


@pytest.fixture(autouse=True)
def rows(run: Run) -> None:
    """A file of rows in the working directory."""
    Path("rows.jsonl").write_text(json.dumps({"text": "a"}) + "\n")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("-o", "out", "--ray", "auto"), "--ray belongs to --workers"),
        (("-o", "out", "--workers", "2", "--sample", "3"), "--sample does not go with --workers"),
        (("-o", "out", "--workers", "2", "--journal", "j"), "--journal does not go with --workers"),
        (("-o", "-", "--workers", "2"), "--workers reads files and writes a folder"),
        (("-o", "rows.jsonl", "--workers", "2"), "rows.jsonl is a file, and --workers writes a folder"),
        (("-o", ".", "--workers", "2"), "has files that are not of this command"),
        (("-o", "out", "--workers", "2", "--set", "api_key=x"), "api_key is not sent to workers"),
        (("-o", "out", "--workers", "2", "-t", "Say {texx}"), "Did you mean {text}?"),
        (("-o", "out", "--workers", "2", "--budget", "0"), "--budget is more than 0"),
        (
            ("-o", "out", "--workers", "2", "--model", "openai/gpt-4o-mini", "--set", "api_key_env=NO_SUCH_KEY"),
            "names NO_SUCH_KEY, which is set neither",
        ),
    ],
)
def test_refused(run: Run, more: tuple[str, ...], message: str) -> None:
    """Options that do not fit, and outputs that must not be written, are named; nothing is sent."""
    ran = run(*ARGUMENTS, *more)
    assert ran.code == 2
    assert message in ran.err
