"""The simulator in the Gemini format: by itself, and with Google's own SDK where it is installed."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from asyncllm.simulator import Fault, Simulator

from .http import Answer, post, request

SCHEMA = {"type": "OBJECT", "properties": {"email": {"type": "STRING"}}, "required": ["email"]}
TOOL = {"functionDeclarations": [{"name": "save_contact", "description": "Save a contact", "parameters": SCHEMA}]}
ASK = [{"role": "user", "parts": [{"text": "What is a simulator?"}]}]
CALL = {"role": "model", "parts": [{"functionCall": {"name": "save_contact", "args": {}}}]}


def generate(
    sim: Simulator, contents: Any = ASK, /, *, model: str = "gemini-2.5-flash", stream: bool = False, **body: Any
) -> Answer:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return post(sim, f"/v1beta/models/{model}:{method}", {"contents": contents, **body}, x_goog_api_key="k")


def parts(answer: Any) -> Any:
    return answer["candidates"][0]["content"]["parts"]


def says(answer: Answer) -> str:
    return str(answer.json["error"]["message"])


def test_an_answer_has_candidates(simulator: Simulator) -> None:
    """One by default, with the reason of its end and the usage."""
    answer = generate(simulator).json
    (part,) = parts(answer)
    assert part["text"].startswith("Simulated answer to:")
    assert answer["candidates"][0]["finishReason"] == "STOP"
    usage = answer["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]
    assert answer["modelVersion"] == "gemini-2.5-flash"


def test_a_stream_adds_up_to_the_answer(simulator: Simulator) -> None:
    """Every event is an answer of its own, and the last has the reason."""
    events = generate(simulator, stream=True).events
    assert "".join(parts(event)[0]["text"] for event in events) == parts(generate(simulator).json)[0]["text"]
    assert [event["candidates"][0].get("finishReason") for event in events] == [None] * (len(events) - 1) + ["STOP"]


@pytest.mark.parametrize("version", ["", "/v1", "/v1beta", "/v1alpha"])
def test_paths(simulator: Simulator, version: str) -> None:
    """A base URL may have any version, or none."""
    answer = post(simulator, f"{version}/models/gemini-2.5-flash:generateContent", {"contents": ASK})
    assert answer.status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_forced_call(simulator: Simulator, stream: bool) -> None:
    """It is a part of the answer, with arguments for its schema."""
    config = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["save_contact"]}}
    contents = [{"role": "user", "parts": [{"text": "Save x@example.org"}]}]
    answer = generate(simulator, contents, tools=[TOOL], toolConfig=config, stream=stream)
    (part,) = parts(answer.events[0] if stream else answer.json)
    assert part["functionCall"]["args"] == {"email": "x@example.org"}


def test_both_spellings_are_read(simulator: Simulator) -> None:
    """That of the documentation, and that of the protocol."""
    config = {"response_mime_type": "application/json", "response_schema": SCHEMA}
    answer = generate(simulator, system_instruction={"parts": [{"text": "Be brief."}]}, generation_config=config)
    assert json.loads(parts(answer.json)[0]["text"]).keys() == {"email"}


def test_thoughts_come_first(simulator: Simulator) -> None:
    """Where they are asked for; they are counted by themselves, and sign what follows."""
    answer = generate(simulator, generationConfig={"thinkingConfig": {"includeThoughts": True}}).json
    thought, text = parts(answer)
    assert thought["thought"] is True
    assert text["thoughtSignature"]
    assert answer["usageMetadata"]["thoughtsTokenCount"] > 0


def test_reasons(simulator: Simulator) -> None:
    """The limit of tokens, and a refusal, which has no content."""
    cut = generate(simulator, generationConfig={"maxOutputTokens": 2}).json
    assert cut["candidates"][0]["finishReason"] == "MAX_TOKENS"
    refused = generate(simulator, simulator={"refusal": "No."}).json
    assert refused["candidates"] == [{"finishReason": "SAFETY", "index": 0}]


@pytest.mark.parametrize(
    ("contents", "body", "message"),
    [
        ([], {}, "contents is not specified"),
        (ASK, {"messages": []}, 'Unknown name "messages": Cannot find field'),
        (ASK, {"generationConfig": {"max_tokens": 1}}, "Unknown name \"max_tokens\" at 'generation_config'"),
        (ASK, {"generationConfig": {"responseSchema": SCHEMA}}, "mime type application/json"),
        (ASK, {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "without function_declarations"),
        ([{"role": "assistant", "parts": [{"text": "x"}]}], {}, "valid role"),
        ([*ASK, CALL, {"role": "user", "parts": [{"functionResponse": {"name": "f"}}] * 2}], {}, "number of function"),
    ],
)
def test_requests_that_are_refused(simulator: Simulator, contents: Any, body: Any, message: str) -> None:
    """With 400, in the API's words."""
    answer = generate(simulator, contents, **body)
    assert answer.status == 400
    assert message in says(answer)
    assert answer.json["error"]["status"] == "INVALID_ARGUMENT"


def test_newer_models_demand_signatures(simulator: Simulator) -> None:
    """Of the first call of each turn."""
    result = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
    answer = generate(simulator, [*ASK, CALL, result], model="gemini-3-flash-preview")
    assert "missing a thought_signature" in says(answer)
    signed = {"role": "model", "parts": [{**CALL["parts"][0], "thoughtSignature": "c2ln"}]}  # type: ignore[dict-item]
    assert generate(simulator, [*ASK, signed, result], model="gemini-3-flash-preview").status == 200


def test_a_key_is_refused_with_400() -> None:
    """As the API does."""
    with Simulator(keys=["another"]) as simulator:
        answer = generate(simulator)
    assert (answer.status, answer.json["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")


def test_errors_have_a_status_and_a_wait(simulator: Simulator) -> None:
    """In Google's form."""
    simulator.faults(Fault("status", code=429))
    error = generate(simulator).json["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["details"][-1]["retryDelay"] == "0.005s"
    assert generate(simulator, model="no-such-model").json["error"]["status"] == "NOT_FOUND"


def test_models_are_listed(simulator: Simulator) -> None:
    """Under the versions of this API, and under that of OpenAI's for the SDK's header."""
    names = [model["name"] for model in request(simulator, "GET", "/v1beta/models").json["models"]]
    assert names[0] == "models/asyncllm-simulator"
    assert request(simulator, "GET", f"/v1beta/{names[0]}").json["name"] == names[0]
    assert request(simulator, "GET", "/v1beta/models/unheard-of").json["error"]["status"] == "NOT_FOUND"
    assert "models" in request(simulator, "GET", "/v1/models", headers={"x-goog-api-key": "k"}).json
    assert "data" in request(simulator, "GET", "/v1/models").json


@pytest.fixture
def sdk(simulator: Simulator) -> Any:
    """Google's SDK, which is in no extra: it brings an HTTP client and a login of its own."""
    genai = pytest.importorskip("google.genai")
    with genai.Client(api_key="test-key", http_options={"base_url": simulator.root_url}) as client:
        yield client.models


MODEL = "gemini-3-flash-preview"


def test_the_sdk_reads_an_answer_and_a_stream(sdk: Any) -> None:
    """They are the same text."""
    whole = sdk.generate_content(model=MODEL, contents="What is a simulator?")
    assert whole.text.startswith("Simulated answer to:")
    assert whole.candidates[0].finish_reason.name == "STOP"
    assert whole.usage_metadata.total_token_count > 0
    chunks = list(sdk.generate_content_stream(model=MODEL, contents="What is a simulator?"))
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert chunks[-1].usage_metadata == whole.usage_metadata


def test_the_sdk_calls_a_function(sdk: Any) -> None:
    """And sends its result with the signature that came with the call."""

    def save_contact(email: str) -> str:
        """Save a contact."""
        return f"saved {email}"

    answer = sdk.generate_content(model=MODEL, contents="Save contact x@example.org", config={"tools": [save_contact]})
    assert "saved x@example.org" in answer.text
    assert len(answer.automatic_function_calling_history) == 3


def test_the_sdk_reads_a_typed_answer_and_thoughts(sdk: Any) -> None:
    """A schema in its form is one that the simulator answers."""
    thinking = {"thinking_config": {"include_thoughts": True}}
    config = {"response_mime_type": "application/json", "response_schema": SCHEMA, **thinking}
    answer = sdk.generate_content(model=MODEL, contents="Save x@example.org", config=config)
    assert answer.parsed == {"email": "x@example.org"}
    thought, text = answer.candidates[0].content.parts
    assert thought.thought
    assert text.thought_signature == b"simulated"


def test_the_sdk_lists_models_and_reads_errors(sdk: Any, simulator: Simulator) -> None:
    """Their code, status and message."""
    assert "models/asyncllm-simulator" in [model.name for model in sdk.list()]
    simulator.faults(Fault("status", code=503))
    with pytest.raises(sys.modules["google.genai.errors"].ServerError) as caught:
        sdk.generate_content(model=MODEL, contents="hi")
    assert (caught.value.code, caught.value.status) == (503, "UNAVAILABLE")
