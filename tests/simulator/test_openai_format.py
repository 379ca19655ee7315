"""The simulator in the OpenAI format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncllm.simulator import Simulator

from .http import chat, post, request

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Return the weather of a city",
        "parameters": {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]},
    },
}
STOCKS = {"type": "function", "function": {"name": "get_stock_price", "parameters": {"type": "object"}}}


def test_an_answer_quotes_the_question_and_calls_itself_simulated(simulator: Simulator) -> None:
    """An answer quotes the question, calls itself simulated and names the simulator in its fingerprint."""
    answer = chat(simulator, "Why is the sky blue?")
    assert answer.status == 200
    assert answer.text.startswith('Simulated answer to: "Why is the sky blue?"')
    assert answer.json["system_fingerprint"] == "asyncllm-simulator"
    assert answer.json["choices"][0]["finish_reason"] == "stop"


def test_same_question_has_the_same_answer(simulator: Simulator) -> None:
    """The answer depends on the question alone, down to its id."""
    one, other = chat(simulator).json, chat(simulator).json
    del one["created"], other["created"]
    assert one == other


def test_usage_adds_up(simulator: Simulator) -> None:
    """Usage counts four characters a token, and the total is the sum."""
    answer = chat(simulator, "x" * 400)
    usage = answer.json["usage"]
    assert usage["prompt_tokens"] == 100
    assert usage["completion_tokens"] == -(-len(answer.text) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_stream_carries_the_plain_answer(simulator: Simulator) -> None:
    """The deltas of a stream add up to the text of the plain answer, and [DONE] ends it."""
    events = chat(simulator, stream=True).events
    assert events[-1] == "[DONE]"
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events[:-1])
    assert text == chat(simulator).text
    assert events[-2]["choices"][0]["finish_reason"] == "stop"


def test_stream_usage_comes_last_without_choices(simulator: Simulator) -> None:
    """With include_usage the last chunk has the plain answer's usage and no choices; without it there is none."""
    events = chat(simulator, stream=True, stream_options={"include_usage": True}).events
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == chat(simulator).json["usage"]
    assert all("usage" not in event for event in chat(simulator, stream=True).events[:-1])


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_token_limit_cuts_the_answer(simulator: Simulator, field: str) -> None:
    """A token limit cuts the answer at that many tokens, with the finish reason `length`."""
    limit: dict[str, Any] = {field: 5}
    answer = chat(simulator, **limit)
    assert answer.json["usage"]["completion_tokens"] == 5
    assert answer.json["choices"][0]["finish_reason"] == "length"


def test_stop_sequence_ends_the_answer(simulator: Simulator) -> None:
    """The text ends before the first stop sequence."""
    answer = chat(simulator, stop=["answer", "nowhere"])
    assert answer.text == "Simulated "
    assert answer.json["choices"][0]["finish_reason"] == "stop"


def test_n_gives_different_choices(simulator: Simulator) -> None:
    """n asks for as many choices, numbered and counted in the usage, plain and streamed."""
    choices = chat(simulator, n=3).json["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in choices}) > 1
    streamed = chat(simulator, n=3, stream=True).events[:-1]
    assert {event["choices"][0]["index"] for event in streamed} == {0, 1, 2}


def test_named_tool_is_called_with_arguments_of_its_schema(simulator: Simulator) -> None:
    """A named tool_choice calls that tool, with arguments drawn from the question."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    answer = chat(simulator, "The next 3 days in Rome?", tools=[STOCKS, WEATHER], tool_choice=choice)
    (call,) = answer.message["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"days": 3}
    assert answer.json["choices"][0]["finish_reason"] == "tool_calls"
    assert answer.text is None


@pytest.mark.parametrize(
    ("question", "choice", "called"),
    [
        ("How is the weather?", "auto", ["get_weather"]),
        ("Weather and stock price, please", "auto", ["get_weather", "get_stock_price"]),
        ("Tell me a joke", "required", ["get_weather"]),
        ("Who are you?", "auto", []),
        ("How is the weather?", "none", []),
    ],
)
def test_tool_choice_decides_what_is_called(
    simulator: Simulator, question: str, choice: str, called: list[str]
) -> None:
    """`auto` calls the tools that the question is about, `required` at least one, `none` nothing."""
    answer = chat(simulator, question, tools=[WEATHER, STOCKS], tool_choice=choice)
    assert [call["function"]["name"] for call in answer.message.get("tool_calls", [])] == called


def test_parallel_tool_calls_can_be_turned_off(simulator: Simulator) -> None:
    """parallel_tool_calls=false gives one call where there would be two."""
    tools = [WEATHER, STOCKS]
    answer = chat(simulator, "Weather and stock price", tools=tools, tool_choice="required", parallel_tool_calls=False)
    assert len(answer.message["tool_calls"]) == 1


def test_streamed_tool_call_comes_in_pieces(simulator: Simulator) -> None:
    """A streamed call names its tool once; its arguments come in pieces that add up to the plain ones."""
    calls = [{"name": "get_weather", "arguments": {"days": 3, "where": "Rome, the eternal city"}}]
    script = {"tool_calls": calls, "chunk_chars": 5}
    deltas = [
        event["choices"][0]["delta"]["tool_calls"][0]
        for event in chat(simulator, stream=True, simulator=script).events[:-1]
        if "tool_calls" in event["choices"][0]["delta"]
    ]
    assert [delta["function"].get("name") for delta in deltas] == ["get_weather", *[None] * (len(deltas) - 1)]
    assert len(deltas) > 3
    assert json.loads("".join(delta["function"]["arguments"] for delta in deltas)) == calls[0]["arguments"]


def test_tool_result_is_answered_in_words(simulator: Simulator) -> None:
    """After a tool result the answer is a text about it and no further call."""
    history = [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "w", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny, 21 degrees"},
    ]
    answer = chat(simulator, messages=history, tools=[WEATHER])
    assert "sunny, 21 degrees" in answer.text


def test_json_object_is_json(simulator: Simulator) -> None:
    """response_format json_object gives an object."""
    assert isinstance(json.loads(chat(simulator, response_format={"type": "json_object"}).text), dict)


def test_schema_in_the_prompt_is_followed(simulator: Simulator) -> None:
    """Where the schema is in the instructions alone, the answer is fenced JSON of that schema."""
    schema = {"type": "object", "properties": {"email": {"type": "string"}}, "required": ["email"]}
    history = [
        {"role": "system", "content": f"Answer with JSON of this schema: {json.dumps(schema)}"},
        {"role": "user", "content": "Write to a.b@example.org"},
    ]
    text = chat(simulator, messages=history).text
    assert text.startswith("```json\n")
    assert json.loads(text.removeprefix("```json").removesuffix("```")) == {"email": "a.b@example.org"}


def test_reasoning_models_reason(simulator: Simulator) -> None:
    """A model with "reason" in its name answers with its reasoning beside the text, and counts it."""
    answer = chat(simulator, model="sim-reasoning")
    assert "simulator" in answer.message["reasoning_content"]
    assert answer.json["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


def test_images_are_counted_not_looked_at(simulator: Simulator) -> None:
    """The answer names the number of images, and each costs tokens."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    content = [{"type": "text", "text": "What is this?"}, image, image]
    answer = chat(simulator, messages=[{"role": "user", "content": content}])
    assert "2 images" in answer.text
    assert (
        answer.json["usage"]["prompt_tokens"] == chat(simulator, "What is this?").json["usage"]["prompt_tokens"] + 170
    )


def test_logprobs_cover_the_text(simulator: Simulator) -> None:
    """logprobs gives tokens that add up to the text."""
    answer = chat(simulator, logprobs=True)
    tokens = answer.json["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == answer.text


def test_cached_prompt_is_read_the_second_time(simulator: Simulator) -> None:
    """A part marked with cache_control counts as cached from the second request on."""
    part = {"type": "text", "text": "x" * 400, "cache_control": {"type": "ephemeral"}}
    history = [{"role": "system", "content": [part]}, {"role": "user", "content": "hi"}]
    first, second = (chat(simulator, messages=history).json["usage"]["prompt_tokens_details"] for _ in range(2))
    assert first["cached_tokens"] == 0
    assert second["cached_tokens"] == 100


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ({"text": "exactly this"}, "exactly this"),
        ({"answer_tokens": 3}, "Simulated a."),
        ({"refusal": "I may not"}, None),
    ],
)
def test_script_gives_an_exact_answer(simulator: Simulator, script: object, expected: str | None) -> None:
    """The body field `simulator` gives the exact answer."""
    assert chat(simulator, simulator=script).text == expected


@pytest.mark.parametrize("model", ["sim-250-tokens", "sim-250tokens"])
def test_model_name_can_ask_for_a_length(simulator: Simulator, model: str) -> None:
    """A number of tokens in the model's name is the length of the answer."""
    assert chat(simulator, model=model).json["usage"]["completion_tokens"] == 250


def test_script_can_come_in_a_header(simulator: Simulator) -> None:
    """The header x-simulator does what the body field does."""
    body = {"model": "sim", "messages": [{"role": "user", "content": "hi"}]}
    assert (
        post(simulator, "/v1/chat/completions", body, x_simulator='{"text": "from a header"}').text == "from a header"
    )


def test_azure_path_names_the_model(simulator: Simulator) -> None:
    """Azure's path carries the model, and the answer is the same."""
    body = {"messages": [{"role": "user", "content": "hi"}]}
    answer = post(simulator, "/openai/deployments/my-model/chat/completions?api-version=2024-10-21", body)
    assert answer.json["model"] == "my-model"
    assert answer.text == chat(simulator, "hi", model="my-model").text


def test_text_outside_utf8_survives(simulator: Simulator) -> None:
    """A lone surrogate, which JSON can carry and UTF-8 cannot, comes back escaped."""
    assert chat(simulator, simulator={"text": "a\ud800b"}).text == "a\ud800b"


def test_models_are_listed_as_simulated(simulator: Simulator) -> None:
    """GET /v1/models lists models whose names and owner call them simulated."""
    models = request(simulator, "GET", "/v1/models").json["data"]
    assert all("simulator" in model["id"] and model["owned_by"] == "asyncllm-simulator" for model in models)
    assert request(simulator, "GET", f"/v1/models/{models[0]['id']}").json == models[0]


def test_the_proxy_lists_prices_and_windows(simulator: Simulator) -> None:
    """/model/info answers as a LiteLLM proxy does, with prices and the context window, under both its paths."""
    for path in ("/model/info", "/v1/model/info"):
        info = request(simulator, "GET", path).json["data"][0]["model_info"]
        assert info["input_cost_per_token"] > 0
        assert info["max_input_tokens"] > 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, "model"),
        ({"model": "sim", "messages": []}, "messages"),
        ({"model": "sim", "messages": ["hi"]}, "messages"),
        ({"model": "sim", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 0}, "max_tokens"),
        ({"model": "sim", "messages": [{"role": "user", "content": "hi"}], "tools": [{"x": 1}]}, "tools"),
        ({"model": "sim", "messages": [{"role": "user", "content": "hi"}], "simulator": 1}, "simulator"),
        ({"model": "sim", "messages": [{"role": "user", "content": "hi"}], "stream_options": "x"}, None),
        ({"model": "sim", "messages": [{"role": "user", "content": "hi"}], "simulator": {"answer_tokens": "x"}}, None),
    ],
)
def test_wrong_bodies_are_refused(simulator: Simulator, body: object, param: str | None) -> None:
    """A body that the provider would refuse is a 400, which names the field where that is known."""
    answer = post(simulator, "/v1/chat/completions", body)
    assert answer.status == 400
    assert answer.json["error"]["param"] == param


def test_a_body_that_is_not_json_is_refused(simulator: Simulator) -> None:
    """A body that cannot be parsed is a 400 in the provider's words."""
    answer = request(simulator, "POST", "/v1/chat/completions", b"{nope")
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


def test_unknown_model_is_not_found(simulator: Simulator) -> None:
    """A model with `no-such-model` in its name is a 404."""
    answer = chat(simulator, model="no-such-model")
    assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")
