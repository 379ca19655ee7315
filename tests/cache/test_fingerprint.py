"""The parts of a request that separate answers of the cache, and those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from asyncllm import AsyncLLM, Image, Message, Request
from asyncllm.cache import fingerprint
from asyncllm.cache.fingerprint import endpoint_identity
from asyncllm.parameters import KNOWN, WITHOUT_EFFECT
from asyncllm.simulator import Simulator

pytestmark = pytest.mark.anyio

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TIME = {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}
PNG = b"\x89PNG\r\n\x1a\n"
# A value of each parameter that has an effect.
VALUES: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "extra_body": {"min_p": 0.1},
    "frequency_penalty": 0.5,
    "function_call": "none",
    "functions": [{"name": "f"}],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 7,
    "max_output_tokens": 7,
    "max_tokens": 7,
    "modalities": ["text", "audio"],
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 0.5,
    "reasoning_effort": "low",
    "response_format": {"type": "json_object"},
    "safety_settings": [{"category": "a", "threshold": "b"}],
    "seed": 1,
    "stop": ["x"],
    "temperature": 0.5,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tool_choice": "required",
    "tools": [WEATHER],
    "top_k": 5,
    "top_logprobs": 2,
    "top_p": 0.5,
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
}


def of(messages: Any = "hi", model: str = "gpt", base_url: str | None = None, **params: Any) -> bytes | None:
    """Return the fingerprint of a request to a provider."""
    return fingerprint("openai", model, base_url, Request(messages).messages, params)


def test_equal_requests_have_the_same() -> None:
    """In any process: the value is fixed, so that a change of the form is noticed and takes a new version."""
    assert of() == of()
    assert of(temperature=0.5, seed=1) == of(seed=1, temperature=0.5)
    assert (of() or b"").hex() == "1566c3fc6798270d24a0bdbf22e911132cb29bee"


def test_every_known_parameter_is_in_the_table() -> None:
    """A new parameter is either in `VALUES` or has no effect."""
    assert set(VALUES) == KNOWN - WITHOUT_EFFECT


@pytest.mark.parametrize("name", VALUES)
def test_each_parameter_separates(name: str) -> None:
    """Also one that only a server knows."""
    assert of(**{name: VALUES[name]}) != of()
    assert of(min_tokens=4) != of()


@pytest.mark.parametrize(
    "other",
    [
        of(model="gpt-mini"),
        of(base_url="http://localhost:1/v1"),
        of([Message("system", "Be brief."), Message("user", "hi")]),
        of([Message("developer", "Be brief."), Message("user", "hi")]),
        of("hi "),
        of([Message("user", ["hi", Image.from_bytes(PNG + b"1")])]),
        of([Message("user", ["hi", Image.from_bytes(PNG + b"2")])]),
        of([Message("user", ["hi", Image.from_url("https://a.example/1.png")])]),
        of([Message("user", "hi"), Message("assistant", "Hello."), Message("user", "hi")]),
        of(tools=[WEATHER, TIME]),
        of(tools=[TIME, WEATHER]),
    ],
)
def test_what_separates(other: bytes | None) -> None:
    """The model, the endpoint, each text, the bytes of an image, the order of tools."""
    assert other is not None
    assert other != of()
    assert of(tools=[WEATHER, TIME]) != of(tools=[TIME, WEATHER])
    images = [of([Message("user", ["hi", Image.from_bytes(PNG + number)])]) for number in (b"1", b"2", b"1")]
    assert (images[0] == images[2], images[0] == images[1]) == (True, False)


@pytest.mark.parametrize("name", sorted(WITHOUT_EFFECT))
def test_what_does_not_separate(name: str) -> None:
    """Who is billed, what is kept, and how the answer is delivered."""
    assert of(**{name: "anything"}) == of()


def test_a_class_has_none() -> None:
    """A parameter that JSON cannot express is not compared, so its answer is not kept."""
    assert of(response_format=Message) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://api.x.com/v1", "https://API.x.com:443/v1/", True),
        ("https://api.x.com/v1", "https://api.x.com/v1?key=1", True),
        ("https://api.x.com/v1", "http://api.x.com/v1", False),
        ("https://api.x.com/v1", "https://api.x.com/v2", False),
        ("https://api.x.com/v1", None, False),
    ],
)
def test_the_identity_of_an_endpoint(one: str, other: str | None, same: bool) -> None:
    """Scheme, host, port and path; a query may hold a key."""
    assert (endpoint_identity(one) == endpoint_identity(other)) is same


async def test_the_key_and_the_timeouts_do_not_separate(
    simulator: Simulator, options: dict[str, Any], tmp_path: Any
) -> None:
    """Another key finds the answer, and so does a call with other timeouts and retries."""
    options["cache"] = str(tmp_path / "answers.sqlite")
    others: list[dict[str, Any]] = [{}, {"api_key": "another"}, {"timeout": 5.0, "num_retries": 0}]
    for other in others:
        async with AsyncLLM(**(options | other)) as llm:
            await llm.acompletion("hi")
    assert simulator.seen.requests == 1
