"""Recordings: made once over the network, replayed without it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from pydantic import BaseModel

from asyncllm import (
    AsyncLLM,
    AuthenticationError,
    ProviderConnectionError,
    ProviderError,
    RateLimitError,
    RecordingError,
    StreamInterruptedError,
    load_config,
)
from asyncllm.simulator import Fault, Simulator
from asyncllm.testing import RecordingMode, no_provider_calls, recorded
from tests.support.secrets import SECRET

pytestmark = pytest.mark.anyio


ELSEWHERE: dict[str, Any] = {"base_url": "https://api.example.com/v1"}


class City(BaseModel):
    name: str
    population: int


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a recording, in a folder that is not there yet."""
    return tmp_path / "cassettes" / "calls.jsonl"


@pytest.fixture
def offline(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The options of a client without a key, of a provider that is not there."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    path = urlsplit(options["base_url"]).path
    return {**options, "base_url": f"http://127.0.0.1:1{path}", "api_key": None}


def content(path: Path) -> str:
    """Return what a file has."""
    return path.read_text()


async def twice(llm: AsyncLLM, prompt: str) -> None:
    """Make the same call twice."""
    for _ in range(2):
        await llm.acompletion(prompt)


async def use(options: dict[str, Any]) -> list[object]:
    """Make a call, a stream, a typed call and a batch, and return what came."""
    async with AsyncLLM(**options) as llm:
        plain = await llm.acompletion("hi")
        async with llm.stream("hi") as stream:
            chunks = [chunk.text async for chunk in stream]
        value = await llm.extract(City, "Paris")
        outcomes = await llm.gather(["one", "two"])
    statuses = [attempt.status_code for attempt in plain.record.attempts]
    texts = [outcome.value for outcome in outcomes]
    return [plain.to_dict(), plain.cost_usd, statuses, chunks, stream.completion.usage, value, texts]


async def test_every_kind_of_call_is_replayed(
    options: dict[str, Any], offline: dict[str, Any], simulator: Simulator, path: Path
) -> None:
    """With chunks, costs, errors and retries; the second time without network and key."""
    simulator.faults(Fault("status", code=429, times=1, retry_after=0.001, retry_after_form="fraction"))
    with recorded(path) as recording:
        first = await use(options)
    assert (recording.added, recording.played) == (6, 0)
    requests = simulator.seen.requests
    with recorded(path, mode="none") as recording:
        assert await use(offline) == first
    assert (recording.added, recording.played) == (0, 6)
    assert simulator.seen.requests == requests


async def test_gemini_is_replayed(simulator: Simulator, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own format over the wire."""
    options: dict[str, Any] = {"model": "gemini/gemini-2.5-flash", "base_url": simulator.root_url, "api_key": SECRET}
    with recorded(path):
        first = await use(options)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with recorded(path, mode="none") as recording:
        assert await use({**options, "base_url": "http://127.0.0.1:1", "api_key": None}) == first
    assert recording.played == 5
    assert SECRET not in content(path)


async def test_waits_are_replayed_with_timings(options: dict[str, Any], path: Path) -> None:
    """A stream takes as long between its chunks as it did; without them, nothing waits."""
    async with AsyncLLM(**options) as llm:
        with recorded(path):
            await llm.stream("hi").collect()
        lines = [json.loads(line) for line in content(path).splitlines()]
        chunks = [line for line in lines if "chunk" in line]
        assert all(line["after_s"] >= 0 for line in chunks)
        chunks[1]["after_s"] = 0.1
        await anyio.Path(path).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        began = time.monotonic()
        with recorded(path, timings=True):
            await llm.stream("hi").collect()
        assert time.monotonic() - began >= 0.1


async def test_an_error_and_a_cut_stream_are_replayed(
    options: dict[str, Any], offline: dict[str, Any], simulator: Simulator, path: Path
) -> None:
    """With their class, message and what had come; a wait that the provider asked for is not waited."""

    notes: list[list[str]] = []

    async def fail(options: dict[str, Any]) -> list[str]:
        async with AsyncLLM(**options) as llm:
            with pytest.raises(RateLimitError) as caught:
                await llm.acompletion("hi", num_retries=0)
            with pytest.raises(ProviderError) as cut:
                await llm.stream("there", num_retries=0).collect()
            assert isinstance(cut.value, StreamInterruptedError)
            assert cut.value.partial is not None
            notes.append(getattr(caught.value, "__notes__", []))
            return [caught.value.message, cut.value.message, cut.value.partial.text]

    simulator.faults(
        Fault("status", code=429, times=1, retry_after=0.001, retry_after_form="fraction"), Fault("cut", after_chunks=4)
    )
    with recorded(path):
        first = await fail(options)
    with recorded(path):
        assert await fail(offline) == first
    assert notes == [[], [f"(replayed from {path})"]]


@pytest.mark.parametrize("mode", ["once", "new"])
async def test_a_failure_of_the_setup_is_not_stored(
    options: dict[str, Any], simulator: Simulator, path: Path, mode: RecordingMode
) -> None:
    """Refused connections and keys are sent again, after their retries, in streams too."""
    setup: list[tuple[Fault, type[ProviderError]]] = [(Fault("refuse"), ProviderConnectionError)]
    setup += [(Fault("status", code=code), AuthenticationError) for code in (401, 403)]
    async with AsyncLLM(**options, num_retries=1) as llm:
        for fault, error in setup:
            simulator.faults(fault)
            with recorded(path, mode) as recording:
                with pytest.raises(error):
                    await llm.acompletion("hi")
                with pytest.raises(error):
                    await llm.stream("hi").collect()
            assert recording.added == 0
        assert not await anyio.Path(path).exists()
        simulator.faults()
        with recorded(path, mode) as recording:
            await llm.acompletion("hi")
        assert recording.added == 1


@pytest.mark.parametrize("code", [400, 429, 500])
async def test_other_errors_are_stored(options: dict[str, Any], simulator: Simulator, path: Path, code: int) -> None:
    """A test that asks for them gets them again."""
    simulator.faults(Fault("status", code=code))
    async with AsyncLLM(**options, num_retries=0) as llm:
        for added in (1, 0):
            with recorded(path) as recording, pytest.raises(ProviderError) as caught:
                await llm.acompletion("hi")
            assert (recording.added, caught.value.status_code) == (added, code)
    assert simulator.seen.requests == 1


async def test_a_failure_of_the_setup_before_a_fallback_is_stored(
    options: dict[str, Any], simulator: Simulator, path: Path
) -> None:
    """The replay takes the same way."""
    simulator.faults(Fault("status", code=401, model="first"))
    used = []
    config = path.with_name("config.toml")
    config.parent.mkdir()
    options = {name: value for name, value in options.items() if name not in ("model", "base_url")}
    text = f'[llm]\nmodel = "openai/first"\nbase_url = "{simulator.url}"\nfallbacks = ["second"]\n'
    config.write_text(f'{text}[llm.second]\nmodel = "openai/second"\n')
    async with AsyncLLM(load_config(path=config, **options)) as llm:
        for _ in range(2):
            with recorded(path):
                answer = await llm.acompletion("hi")
            used.append([attempt.status_code for attempt in answer.record.attempts])
    assert used == [[401, None], [401, None]]
    assert simulator.seen.requests == 2


async def test_only_the_endpoint_differs(options: dict[str, Any], path: Path) -> None:
    """The remedy is the endpoint, not a recording; of `none`, a recording elsewhere."""
    async with AsyncLLM(**options) as llm:
        with recorded(path):
            await llm.acompletion("hi")
        with recorded(path, mode="none"), pytest.raises(RecordingError, match='Record it locally: mode="new"'):
            await llm.acompletion("there")
    async with AsyncLLM(**(options | ELSEWHERE)) as llm:
        with recorded(path), pytest.raises(RecordingError, match="set the base_url") as caught:
            await llm.acompletion("hi")
    assert "mode=" not in str(caught.value)


async def test_a_request_that_is_not_recorded(options: dict[str, Any], path: Path) -> None:
    """The error shows the nearest one and the difference; a mode that records adds it."""
    async with AsyncLLM(**options) as llm:
        with recorded(path):
            await llm.acompletion("What is the capital of France?")
        with recorded(path), pytest.raises(RecordingError) as caught:
            await llm.acompletion("What is the capital of Spain?")
        assert '-   "content": "What is the capital of France?"' in str(caught.value)
        assert '+   "content": "What is the capital of Spain?"' in str(caught.value)
        assert 'Record it: mode="new" adds' in str(caught.value)
        with recorded(path, mode="new") as recording:
            await llm.acompletion("What is the capital of Spain?")
            await llm.acompletion("What is the capital of France?")
        assert (recording.added, recording.played) == (1, 1)
        with recorded(path, mode="none"), pytest.raises(RecordingError, match="as often as it is sent"):
            await twice(llm, "What is the capital of Spain?")
        with recorded(path, mode="all") as recording:
            await llm.acompletion("hi")
        assert (recording.added, len(content(path).splitlines())) == (1, 3)


async def test_a_difference_in_the_prompt_is_shown_first(options: dict[str, Any], path: Path) -> None:
    """Before that of the endpoint."""
    with recorded(path):
        async with AsyncLLM(**options) as llm:
            await llm.acompletion("Name a river.")
    with recorded(path), pytest.raises(RecordingError) as caught:
        async with AsyncLLM(**(options | ELSEWHERE)) as llm:
            await llm.acompletion("Name a lake.")
    message = str(caught.value)
    assert 0 < message.index("Name a lake.") < message.index("api.example.com")


async def test_a_made_up_key_does_not_change_what_is_recorded(
    options: dict[str, Any], offline: dict[str, Any], path: Path
) -> None:
    """A key such as "any" may be a word of the request, here of the schema's `anyOf`."""
    values = []
    made_up: dict[str, Any] = {**options, "api_key": "any"}
    for settings in (made_up, offline):
        with recorded(path):
            async with AsyncLLM(**settings) as llm:
                values.append(await llm.extract(int | None, "7 apples"))
    assert values[0] == values[1]
    assert "anyOf" in content(path)


async def test_no_key_and_no_account_is_in_the_file(options: dict[str, Any], path: Path) -> None:
    """Not even where the prompt or the provider repeats it."""
    options |= {"extra_headers": {"x-team": "header-secret-1"}}
    async with AsyncLLM(**options) as llm:
        with recorded(path):
            await llm.acompletion("Repeat: header-secret-1 org-abcdefgh12345678")
    text = content(path)
    assert not [word for word in (SECRET, "header-secret-1", "abcdefgh12345678") if word in text]
    assert [next(iter(json.loads(line))) for line in text.splitlines()] == ["asyncllm", "request", "answer"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no recording"),
        ('{"asyncllm": "recording", "version": 99}\n', "is no recording of version 1"),
        ('{"asyncllm": "recording", "version": 1}\nnonsense\n', "line 2 .* is no JSON"),
    ],
)
def test_a_file_that_is_no_recording(path: Path, text: str, problem: str) -> None:
    """The message names the file, and the line."""
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(RecordingError, match=problem), recorded(path):
        pass


def test_a_recording_that_is_missing(path: Path) -> None:
    """`none` does not make one, and the mode must be one of four."""
    with pytest.raises(RecordingError, match="there is no recording"), recorded(path, mode="none"):
        pass
    with pytest.raises(ValueError, match="mode is one of once, none, new, all"), recorded(path, mode="some"):  # type: ignore[arg-type]
        pass


async def test_real_calls_can_be_forbidden(options: dict[str, Any], simulator: Simulator) -> None:
    """What is on this machine may be called."""
    async with AsyncLLM(**(options | ELSEWHERE)) as llm:
        with no_provider_calls(), pytest.raises(RecordingError, match="was about to be sent"):
            await llm.acompletion("hi")
        with no_provider_calls(), pytest.raises(RecordingError, match="was about to be sent"):
            await llm.stream("hi").open()
    async with AsyncLLM(**options) as llm, AsyncLLM(model="simulated/demo") as embedded:
        with no_provider_calls():
            await llm.acompletion("hi")
            await embedded.acompletion("hi")
    assert simulator.seen.requests == 1


async def test_calls_without_a_key_are_forbidden_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than refused for want of a key, which is what a call outside of the block gets."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with no_provider_calls(), pytest.raises(RecordingError, match="was about to be sent"):
        async with AsyncLLM(model="anthropic/claude-sonnet-4-5") as llm:
            await llm.acompletion("hi")
    async with AsyncLLM(model="anthropic/claude-sonnet-4-5") as llm:
        with pytest.raises(AuthenticationError, match="there is no key"):
            await llm.acompletion("hi")
