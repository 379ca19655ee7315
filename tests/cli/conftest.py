"""The command line, run in this process, in an empty directory."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asyncllm.cli import main


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote, as one JSON value."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it wrote, as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a configuration for the simulator."""
    (tmp_path / "config.toml").write_text('[llm]\nmodel = "simulated/demo"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def run(directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command in `directory`; `stdin` is what a file at its standard input holds."""
    with (directory.parent / f"{directory.name}.stdin").open("w+b") as file:

        def run(*arguments: str, stdin: str | bytes = "") -> Ran:
            file.truncate(0)
            file.seek(0)
            file.write(stdin if isinstance(stdin, bytes) else stdin.encode("utf-8", "surrogatepass"))
            file.seek(0)
            # Two views of one descriptor, as the real stdin is: the batch reads the bytes, the rest the text.
            with io.TextIOWrapper(open(file.fileno(), "rb", closefd=False)) as text:
                monkeypatch.setattr(sys, "stdin", text)
                code = main(list(arguments))
            captured = capsys.readouterr()
            return Ran(code, captured.out, captured.err)

        yield run


@pytest.fixture
def at_provider(simulator: Any, secret_key: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that send a command to the `simulator` of the test, as to a real provider, with a key."""
    monkeypatch.setenv("OPENAI_API_KEY", secret_key)
    return ["--model", "openai/gpt-5-mini", "--set", f"base_url={simulator.url}", "--set", "num_retries=0"]
