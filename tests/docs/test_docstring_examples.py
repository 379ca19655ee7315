"""Every public name has an example in its docstring, and it runs."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path

import pytest

import asyncllm
from asyncllm import AsyncLLM
from tests.support.fences import Fence, fences_in, run_fences
from tests.support.public_names import is_error, public_names, resolved

# The methods that are called most.
_MOST_CALLED = ("with_options", "acompletion", "stream", "extract", "gather", "map")
METHODS = [f"asyncllm.AsyncLLM.{name}" for name in _MOST_CALLED]
# Results, and the example that they are shown in.
SHOWN_IN = {
    "asyncllm.Attempt": "asyncllm.CallRecord",
    "asyncllm.Chunk": "asyncllm.AsyncLLM.stream",
    "asyncllm.ExtractionAttempt": "asyncllm.Extraction",
    "asyncllm.JournalSummary": "asyncllm.Journal",
    "asyncllm.OutcomeStream": "asyncllm.AsyncLLM.map",
    "asyncllm.SkippedItem": "asyncllm.ItemStream",
    "asyncllm.distributed.SharedLimiter": "asyncllm.distributed.shared_limiter",
    "asyncllm.frames.FrameRequests": "asyncllm.frames.requests",
    "asyncllm.simulator.LoggedRequest": "asyncllm.simulator.RequestLog",
    "asyncllm.web.ProblemDetails": "asyncllm.web.problem_of",
}
PDF, JPEG = b"%PDF-1.4\n%%EOF\n", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\xff\xd9"


def example(name: str) -> list[Fence]:
    """Return the fences in the section `Example` of a docstring."""
    _, _, section = (inspect.getdoc(resolved(name)) or "").partition("\nExample:\n")
    return fences_in(section, name)


# Errors have their examples on the page of troubleshooting.
NAMES = [name for name, found in public_names().items() if not is_error(found) and typing.get_origin(found) is None]
# Those of Ray run where one is started: in the tests of `asyncllm.distributed`.
RUN_HERE = [name for name in [*NAMES, *METHODS] if name not in SHOWN_IN and ".distributed." not in name]


def test_every_public_name_has_an_example() -> None:
    """It has one of its own, or is shown in that of another."""
    assert [name for name in [*NAMES, *METHODS] if name not in SHOWN_IN and not example(name)] == []
    assert SHOWN_IN.keys() <= set(NAMES)
    assert all(example(other) for other in SHOWN_IN.values())


@pytest.mark.parametrize("name", RUN_HERE)
def test_an_example_runs(name: str, readers_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs the public names of the package, a client `llm`, and the files that a reader would have."""
    (readers_directory / "invoice.pdf").write_bytes(PDF)
    (readers_directory / "photo.jpg").write_bytes(JPEG)
    client = AsyncLLM(model="simulated/demo")
    given = {public: getattr(asyncllm, public) for public in asyncllm.__all__}
    given |= {"asyncllm": asyncllm, "llm": client, "_client": client}
    close = Fence("python", "await _client.aclose()", 1)
    run_fences([*example(name), close], name, monkeypatch, pytest.fail, given)
