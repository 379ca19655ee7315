"""Servers that refuse how a typed answer is asked for: the mode `auto` learns, one set by hand is kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from asyncllm import AsyncLLM, BadRequestError, LLMConfig, ProviderError, ServerError
from asyncllm.simulator import Fault, Latency, Script, Simulator
from tests.structured.conftest import TRANSPORTS

pytestmark = pytest.mark.anyio


class Person(BaseModel):
    name: str


class Place(BaseModel):
    name: str


ANSWER = '{"name": "Jane"}'
JANE = Person(name="Jane")
NO_SCHEMA = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
NO_TOOLS = "No endpoints found that support tool use."

# The status and the words of a server that does not take a mode.
REFUSALS: list[tuple[str, int, str]] = [
    ("json_schema", 400, NO_SCHEMA),
    ("json_schema", 400, "This response_format type is unavailable now"),
    ("json_schema", 400, "Unrecognized request argument supplied: response_format"),
    ("json_schema", 422, '[{"type": "extra_forbidden", "loc": ["body", "response_format"]}]'),
    ("json_schema", 400, "Invalid schema for response_format 'Person': 'format' is not permitted."),
    ("json_schema", 404, "json_schema is not served here"),
    ("json_schema", 415, "structured outputs are not supported"),
    ("json_schema", 500, "failed to parse grammar"),
    ("tools", 404, NO_TOOLS),
    ("tools", 400, "registry.ollama.ai/library/gemma:2b does not support tools"),
    ("tools", 400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
    ("tools", 400, "Function calling is not enabled for models/gemma-3-27b-it"),
    ("tools", 500, "tools param requires --jinja flag"),
    ("tools", 501, "functions are not implemented"),
]


class Listener(logging.Handler):
    """Keeps the events of a level."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.events: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the fields of an event."""
        self.events.append({"event": getattr(record, "event", ""), **getattr(record, "fields", {})})


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A handler of the package's logger."""
    handler = Listener()
    logger = logging.getLogger("asyncllm")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture(params=["litellm", "wire"])
def transport(request: pytest.FixtureRequest) -> str:
    """Run a test over both transports of OpenAI's format, in whose words servers refuse a mode."""
    name: str = request.param
    return name


def asked_modes(simulator: Simulator) -> list[str]:
    """Return the mode of each request."""
    return [_mode(body) for body in simulator.seen.bodies]


def _mode(body: dict[str, Any]) -> str:
    if "tools" in body:
        return "tools"
    kind = str(body.get("response_format", {}).get("type", "md_json"))
    return {"json_object": "json"}.get(kind, kind)


def refusing(*refusals: tuple[int, str]) -> Script:
    """Script refusals, and then answers."""
    faults = [Fault("status", code=code, message=message) for code, message in refusals]
    return Script([*faults, *[Fault("answer", text=ANSWER)] * 9])


def config(options: dict[str, Any], mode: str, **more: Any) -> LLMConfig:
    """Make the profile of a model that is asked in this mode first."""
    model = {"json_schema": "openai/gpt-4o-mini", "tools": "openai/a-local-model"}[mode]
    values: dict[str, Any] = {**options, "model": model, **more}
    return LLMConfig(**values)


@pytest.mark.parametrize(("mode", "status", "message"), REFUSALS)
async def test_a_refused_mode_is_weakened_in_the_same_call_and_remembered(
    options: dict[str, Any],
    simulator: Simulator,
    transport: str,
    listener: Listener,
    mode: str,
    status: int,
    message: str,
) -> None:
    """Asked again at once in the next weaker mode: without a wait, also where the status would be retried."""
    simulator.faults(refusing((status, message)))
    weaker = {"json_schema": "tools", "tools": "md_json"}[mode]
    async with AsyncLLM(config(options, mode, **TRANSPORTS[transport])) as llm:
        extraction = await llm.extract_with_completion(Person, "Who?")
        assert extraction.value == JANE
        assert asked_modes(simulator) == [mode, weaker]
        attempts = extraction.completion.record.attempts
        assert [(one.status_code, one.waited_s, one.billed) for one in attempts] == [
            (status, 0, "no"),
            (None, 0, "yes"),
        ]
        assert await llm.with_options(timeout=9).extract(Person, "Who?") == JANE
        assert asked_modes(simulator)[2:] == [weaker]
        assert (llm.stats().calls, llm.stats().retries, llm.stats().failed) == (2, 1, 0)
    (event,) = listener.events
    assert (event["event"], event["mode"], event["next_mode"]) == ("call.mode_refused", mode, weaker)
    assert event["status_code"] == status


async def test_a_server_that_takes_nothing_is_asked_in_words(options: dict[str, Any], simulator: Simulator) -> None:
    """Each mode is tried once, the strongest first."""
    simulator.faults(refusing((400, NO_SCHEMA), (400, NO_TOOLS), (400, "JSON mode is not enabled for this model")))
    async with AsyncLLM(config(options, "json_schema")) as llm:
        assert await llm.extract(Person, "Who?") == JANE
        assert await llm.extract(Place, "Where?") == Place(name="Jane")
    assert asked_modes(simulator) == ["json_schema", "tools", "json", "md_json", "md_json"]


async def test_a_schema_that_is_refused_is_remembered_for_its_type(
    options: dict[str, Any], simulator: Simulator
) -> None:
    """The server takes other schemas."""
    simulator.faults(refusing((400, "Invalid schema for response_format 'Person'")))
    async with AsyncLLM(config(options, "json_schema")) as llm:
        for response_model in (Person, Person, Place):
            await llm.extract(response_model, "Who?")
    assert asked_modes(simulator) == ["json_schema", "tools", "tools", "json_schema"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "This model's maximum context length is 9 tokens; 8 in the messages, 2 in the functions."),
        (400, "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after"),
        (400, "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."),
        (400, "temperature must be at most 1"),
        (401, "tools need another key"),
        (403, "tools are not allowed"),
    ],
)
async def test_other_errors_are_raised(
    options: dict[str, Any], simulator: Simulator, status: int, message: str
) -> None:
    """What is said of the messages, the key or another parameter refuses no mode."""
    simulator.faults(Fault("status", code=status, message=message))
    async with AsyncLLM(config(options, "tools")) as llm:
        with pytest.raises(ProviderError):
            await llm.extract(Person, "Who?")
    assert asked_modes(simulator) == ["tools"]


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequestError), (500, ServerError)])
async def test_a_mode_set_by_hand_is_kept(
    options: dict[str, Any], simulator: Simulator, transport: str, status: int, kind: type[ProviderError]
) -> None:
    """The error names the field and the other modes; a retry would be refused as well."""
    simulator.faults(Fault("status", code=status, message=NO_SCHEMA))
    async with AsyncLLM(config(options, "json_schema", **TRANSPORTS[transport])) as llm:
        with pytest.raises(kind, match="structured_mode") as caught:
            await llm.extract(Person, "Who?", structured_mode="json_schema")
        assert '"auto"' in str(caught.value)
        assert '"tools", "json", "md_json"' in str(caught.value)
        assert (llm.stats().failed, llm.stats().retries) == (1, 0)
    assert simulator.seen.requests == 1


async def test_an_error_that_names_the_parameter_beside_its_message_refuses_it(
    options: dict[str, Any], simulator: Simulator
) -> None:
    """OpenAI puts the name of the parameter in a field of its own."""
    body = json.dumps({"error": {"message": "Unsupported value.", "param": "response_format"}})
    simulator.faults(Script([Fault("garbage", text=body, code=400), Fault("answer", text=ANSWER)]))
    async with AsyncLLM(config(options, "json_schema")) as llm:
        assert await llm.extract(Person, "Who?") == JANE
    assert asked_modes(simulator) == ["json_schema", "tools"]


async def test_streams_learn_as_well(options: dict[str, Any], simulator: Simulator, transport: str) -> None:
    """A stream that is refused is opened again in the weaker mode, and read in it."""
    async with AsyncLLM(config(options, "tools", **TRANSPORTS[transport])) as llm:
        simulator.faults(refusing((404, NO_TOOLS)))
        async with llm.stream_partial(Person, "Who?") as stream:
            assert [partial.name async for partial in stream][-1] == "Jane"
            assert await stream.final() == JANE
        assert [attempt.status_code for attempt in stream.record.attempts] == [404, None]
        simulator.faults(Fault("answer", text=f"[{ANSWER}, {ANSWER}]"))
        async with llm.stream_items(Person, "Who?") as items:
            assert [item async for item in items] == [JANE, JANE]
    assert asked_modes(simulator) == ["tools", "md_json", "md_json"]


async def test_calls_that_begin_together_learn_once(
    options: dict[str, Any], simulator: Simulator, listener: Listener
) -> None:
    """Each is served, and one event is logged."""
    async with AsyncLLM(config(options, "json_schema")) as llm:
        simulator.latency(Latency(first_token_s=0.1))
        await llm.gather([f"Open connection {n}." for n in range(4)])  # so that none has to wait for one below
        simulator.latency(None)
        simulator.faults(refusing(*[(400, NO_SCHEMA)] * 4))
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(llm.extract, Person, "Who?")
    assert sorted(asked_modes(simulator)[4:]) == ["json_schema"] * 4 + ["tools"] * 4
    assert len(listener.events) == 1


async def test_a_refused_request_costs_nothing_of_the_budget(options: dict[str, Any], simulator: Simulator) -> None:
    """Each request reserves its own worst case, and the refused one gives it back."""
    simulator.faults(refusing((400, NO_SCHEMA)))
    async with AsyncLLM(config(options, "json_schema", budget_usd=1.0)) as llm:
        extraction = await llm.extract_with_completion(Person, "Who?")
        assert llm.stats().budget_spent_usd == pytest.approx(extraction.cost_usd)


async def test_a_reask_is_in_the_weaker_mode(options: dict[str, Any], simulator: Simulator) -> None:
    """What is learnt holds for the next attempts of the call."""
    bad = Fault("answer", text='{"name": 7}')
    simulator.faults(Script([Fault("status", code=404, message=NO_TOOLS), bad, Fault("answer", text=ANSWER)]))
    async with AsyncLLM(config(options, "tools")) as llm:
        extraction = await llm.extract_with_completion(Person, "Who?")
    assert [attempt.error is None for attempt in extraction.attempts] == [False, True]
    assert asked_modes(simulator) == ["tools", "md_json", "md_json"]
    assert '{"name": 7}' in str(simulator.seen.bodies[2]["messages"])


async def test_a_batch_learns_like_its_client(options: dict[str, Any], simulator: Simulator) -> None:
    """No item is lost to a mode that the server refuses."""
    simulator.faults(refusing((400, NO_SCHEMA)))
    async with AsyncLLM(config(options, "json_schema", max_concurrency=1)) as llm:
        outcomes = await llm.gather(["Who?", "And who?"], response_model=Person)
    assert [outcome.value for outcome in outcomes] == [JANE, JANE]
    assert asked_modes(simulator) == ["json_schema", "tools", "tools"]
