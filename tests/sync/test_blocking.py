"""The blocking API: the same calls without await, on a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncllm
from asyncllm import LLM, AsyncLLM, BadRequestError, CompletionStream, OutcomeStream, PartialStream
from asyncllm.simulator import Fault, Latency, Simulator
from asyncllm.sync.streams import BlockingOutcomes, BlockingPartials, BlockingStream
from tests.support.leaks import Held, left_since
from tests.support.waiting import collect

# What has another name, or no counterpart, without await.
RENAMED = {"acompletion": "completion", "aclose": "close"}


@pytest.fixture
def client(options: dict[str, Any]) -> Iterator[LLM]:
    """A blocking client of the simulator."""
    with LLM(**options) as llm:
        yield llm


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_both_apis_have_the_same_methods() -> None:
    """Every public name of the async client is there without await, and no other but its profile."""
    assert {RENAMED.get(name, name) for name in public(AsyncLLM)} | {"config"} == public(LLM)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (BlockingStream, CompletionStream),
        (BlockingPartials, PartialStream),
        (BlockingOutcomes, OutcomeStream),
    ],
)
def test_what_is_iterated_has_the_same_names(ours: type, theirs: type) -> None:
    """A blocking stream offers what the stream offers."""
    assert {RENAMED.get(name, name) for name in public(theirs)} == public(ours)


def test_a_call(client: LLM) -> None:
    """A plain call answers in both spellings."""
    answer = client.completion(messages=[{"role": "user", "content": "Hello!"}])
    assert answer["choices"][0]["message"]["content"] == answer.text
    assert client.stats().succeeded == 1


def test_a_typed_call(client: LLM) -> None:
    """A typed answer is of the type, with and without its completion."""
    assert client.extract(list[int], "I have 3") == [3]
    assert client.extract_with_completion(list[int], "I have 3").value == [3]


def test_a_batch(client: LLM) -> None:
    """gather gives the outcomes in order; map in `with`, as they are done or in order."""
    assert [outcome.index for outcome in client.gather(["a", "b", "c"])] == [0, 1, 2]
    with client.map(["a", "b", "c"], ordered=True) as outcomes:
        assert [outcome.index for outcome in outcomes] == [0, 1, 2]


def test_an_error_is_the_same_error(client: LLM, simulator: Simulator) -> None:
    """Errors arrive as they are."""
    simulator.faults(Fault("status", code=400))
    with pytest.raises(BadRequestError):
        client.completion("hi")
    with pytest.raises(BadRequestError):
        client.stream("hi").collect()
    with pytest.raises(BadRequestError):
        client.gather(["hi"], on_error="raise")
    with pytest.raises(BadRequestError), client.map(["hi"], on_error="raise") as outcomes:
        list(outcomes)


def test_a_stream_is_incremental(client: LLM, simulator: Simulator) -> None:
    """The first chunk is handed over while the provider still holds back the rest; leaving closes its connection."""
    simulator.faults(Fault("stall", after_chunks=3))
    with client.stream("hi") as stream:
        for _ in stream:
            if stream.text:
                break
        assert simulator.seen.in_flight == 1
    simulator.seen.wait(lambda seen: seen.connections_aborted == 1)
    assert stream.completion.text == stream.text
    assert client.stats().in_flight == 0


def test_a_whole_stream(client: LLM) -> None:
    """Reading to the end needs no block; the litellm habit works as well."""
    stream = client.stream("hi")
    text = "".join(chunk.text for chunk in stream)
    assert text == stream.completion.text != ""
    habit = client.completion("hi", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in habit) == text


def test_outcomes_are_incremental(client: LLM, simulator: Simulator) -> None:
    """A finished outcome is handed over while another hangs; leaving cancels that one."""
    simulator.faults(Fault("stall", contains="slow"))
    with client.map(["slow one", "quick one"]) as outcomes:
        assert "quick one" in next(outcomes).text
    simulator.seen.wait(lambda seen: seen.in_flight == 0)
    assert client.stats().in_flight == 0


def test_leaving_a_batch_closes_its_source(client: LLM) -> None:
    """A generator that was not read to its end is closed."""
    closed = threading.Event()

    def rows() -> Iterator[str]:
        try:
            while True:
                yield "row"
        finally:
            closed.set()

    with client.map(rows(), max_concurrency=2) as outcomes:
        next(outcomes)
    assert closed.is_set()


def test_a_view_shares_the_thread(client: LLM, simulator: Simulator) -> None:
    """with_options gives a view with the same connections and counters."""
    client.with_options(temperature=0.5).completion("hi")
    assert client.stats().calls == 1
    assert simulator.seen.bodies[0]["temperature"] == 0.5


@pytest.mark.anyio
async def test_it_works_inside_a_running_loop(options: dict[str, Any]) -> None:
    """In a notebook or an async framework a blocking call blocks, and works."""
    with LLM(**options) as llm:
        assert llm.completion("hi").text
        assert "".join(chunk.text for chunk in llm.stream("hi"))
        with llm.map(["a", "b"], ordered=True) as outcomes:
            assert [outcome.ok for outcome in outcomes] == [True, True]


@pytest.mark.leaks
def test_without_with_it_opens_on_first_use(options: dict[str, Any]) -> None:
    """Nothing is started before the first call, and `close()` ends what was."""
    before = threading.active_count()
    llm = LLM(**options)
    assert threading.active_count() == before
    assert llm.completion("hi").text
    llm.close()
    llm.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        llm.completion("hi")


@pytest.mark.leaks
def test_an_unclosed_client_warns_and_ends(options: dict[str, Any], simulator: Simulator) -> None:
    """A blocking client that nobody closed ends its thread when it is collected, with a ResourceWarning."""
    clients: list[Any] = [LLM(**options)]
    clients[0].completion("hi")
    with pytest.warns(ResourceWarning, match="a blocking client was never closed"):
        collect(clients)
    simulator.seen.wait(lambda seen: seen.connections_open == 0)


def test_threads_may_share_a_client(client: LLM, simulator: Simulator) -> None:
    """Calls of several threads run side by side."""
    simulator.latency(Latency(first_token_s=0.05))
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(client.completion("hi").text)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 5
    assert simulator.seen.max_in_flight > 1


def test_a_hundred_one_offs_leave_nothing(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`asyncllm.completion()` again and again leaves threads and descriptors as they were."""
    lines = [f'{name} = "{options[name]}"' for name in ("model", "api_key", "base_url", "transport")]
    (tmp_path / "config.toml").write_text("[llm]\n" + "\n".join(lines))
    monkeypatch.chdir(tmp_path)
    assert asyncllm.completion("hi").text
    before = Held.now()
    for _ in range(100):
        asyncllm.completion("hi")
    assert left_since(before) == []
    assert asyncllm.extract(list[int], "I have 3") == [3]
    assert [outcome.ok for outcome in asyncllm.gather(["a"])] == [True]


def test_a_one_off_does_not_stream(options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client is gone when it returns, and a stream with it; the error says what to use instead."""
    (tmp_path / "config.toml").write_text(f'[llm]\nmodel = "openai/x"\nbase_url = "{options["base_url"]}"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match="stream"):
        asyncllm.completion("hi", stream=True)  # type: ignore[call-arg]
