"""The requests that the wire serves, what it leaves out of them, and the default endpoints."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from asyncllm import AsyncLLM, UnsupportedError
from asyncllm.parameters import FixedParams, FoundOnce
from asyncllm.simulator import Simulator
from asyncllm.transports.base import Connection
from asyncllm.transports.litellm.importing import import_litellm
from asyncllm.transports.wire.formats.format import Unserved
from asyncllm.transports.wire.formats.openai_requests import OpenAIFormat, OpenAIRequest, open_format
from asyncllm.transports.wire.requests import WireRequests
from asyncllm.transports.wire.rules.endpoints import AZURE_API_VERSION, ENDPOINTS
from asyncllm.transports.wire.rules.parameter_rules import DECIDED, PASSED_ON
from tests.support.secrets import SECRET

HI = [{"role": "user", "content": "hi"}]


def made(provider: str, model: str, **options: Any) -> OpenAIFormat:
    found = open_format(Connection(provider, SECRET, options), model)
    assert isinstance(found, OpenAIFormat)
    return found


def body(model: str, messages: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, object]:
    request = made("openai", model).request(messages, params)
    assert not isinstance(request, Unserved)
    return request.body


@pytest.fixture(params=["litellm", "auto"])
async def llm(request: pytest.FixtureRequest, simulator: Simulator) -> AsyncIterator[AsyncLLM]:
    """A client of a model that takes no penalties, over each transport."""
    async with AsyncLLM(
        model="openai/o3-mini", base_url=simulator.url, api_key=SECRET, num_retries=0, transport=request.param
    ) as client:
        yield client


@pytest.mark.anyio
@pytest.mark.usefixtures("litellm_imported")
async def test_what_a_model_does_not_take_is_dropped_and_told(
    llm: AsyncLLM, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The request goes out without the parameter, and one event names it, over both transports."""
    await llm.acompletion("hi", presence_penalty=0.5, seed=1)
    assert "presence_penalty" not in simulator.seen.bodies[0]
    assert simulator.seen.bodies[0]["seed"] == 1
    events = [record for record in caplog.records if record.__dict__.get("event") == "call.params_dropped"]
    assert [event.__dict__["fields"]["params"] for event in events] == ["presence_penalty"]


@pytest.mark.anyio
@pytest.mark.usefixtures("litellm_imported")
async def test_what_a_model_does_not_take_is_refused_when_dropping_is_off(llm: AsyncLLM, simulator: Simulator) -> None:
    """With `drop_params = false` nothing is sent, over either transport."""
    with pytest.raises(UnsupportedError, match="presence_penalty"):
        await llm.acompletion("hi", presence_penalty=0.5, drop_params=False)
    assert simulator.seen.requests == 0


def test_a_repeated_drop_is_told_loudly_once(caplog: pytest.LogCaptureFixture) -> None:
    """A batch of a million requests does not repeat the same warning a million times."""
    requests = WireRequests(Connection("openai", SECRET), "openai/o3-mini")
    for _ in range(3):
        requests.make(HI, {"top_p": 0.5}, stream=False)
    levels = [record.levelname for record in caplog.records if record.__dict__.get("event") == "call.params_dropped"]
    assert levels == ["WARNING", "DEBUG", "DEBUG"]


@pytest.mark.parametrize(
    ("model", "params", "sent"),
    [
        ("gpt-4o", {"max_tokens": 5, "temperature": 0}, {"max_tokens": 5, "temperature": 0}),
        ("gpt-5-mini", {"max_tokens": 5, "temperature": 0.3}, {"max_completion_tokens": 5}),
        ("gpt-5-mini", {"temperature": 1, "reasoning_effort": "low"}, {"temperature": 1, "reasoning_effort": "low"}),
        ("gpt-5.1", {"temperature": 0.3}, {"temperature": 0.3}),
        ("gpt-5.1", {"temperature": 0.3, "reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        ("o3", {"max_tokens": 5, "temperature": 0}, {"max_completion_tokens": 5}),
        ("gpt-4o", {"extra_body": {"model": "another", "x": 1}}, {"x": 1}),
        ("gpt-4o", {"tool_choice": "auto"}, {}),
    ],
)
def test_what_is_simple_is_done_by_the_wire(model: str, params: dict[str, Any], sent: dict[str, Any]) -> None:
    """Renamed, dropped and added parameters, as litellm would have them."""
    assert body(model, HI, params) == {"model": model, "messages": HI, **sent}


@pytest.mark.parametrize(
    ("messages", "params", "named"),
    [
        (HI, {"zz_unheard_of": 1}, "zz_unheard_of"),
        (HI, {"response_format": dict}, "response_format"),
        (HI, {"functions": [{"name": "f"}]}, "functions"),
        (HI, {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools"),
        (HI, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"anyOf": []}}}]}, "tools"),
        ([{"role": "user", "content": [{"type": "unheard_of", "unheard_of": {}}]}], {}, "message"),
        ([{"role": "assistant", "content": "x", "function_call": {}}], {}, "message"),
    ],
)
def test_what_is_not_simple_is_left_to_litellm(
    messages: list[dict[str, Any]], params: dict[str, Any], named: str
) -> None:
    """What the table does not know, the wire does not guess; the reason names it."""
    left = made("openai", "gpt-4o").request(messages, params)
    assert isinstance(left, Unserved)
    assert named in left.reason


@pytest.mark.parametrize("provider", ["openai", "litellm_proxy"])
def test_the_signatures_of_geminis_thoughts_are_sent_to_no_other_provider(provider: str) -> None:
    """A conversation that goes on elsewhere leaves them out; behind a LiteLLM proxy may be Gemini itself."""
    said = {"role": "assistant", "content": "Hi!", "provider_specific_fields": {"thought_signatures": ["c2ln"]}}
    request = made(provider, "m", base_url="http://localhost/v1").request([*HI, said], {})
    if provider == "openai":
        assert isinstance(request, OpenAIRequest)
        assert request.body["messages"] == [*HI, {"role": "assistant", "content": "Hi!"}]
    else:
        assert isinstance(request, Unserved)


def test_messages_are_not_changed_in_place() -> None:
    """A request may be sent again, to another provider; what is sent is made anew where it differs."""
    message = {"role": "developer", "content": "x", "name": None, "cache_control": {"type": "ephemeral"}}
    assert body("gpt-4o", [message], {})["messages"] == [{"role": "system", "content": "x"}]
    assert message["role"] == "developer"


@pytest.mark.parametrize(
    "model", ["gpt-5-pro", "gpt-5-codex", "responses/gpt-4o", "gpt-4o-transcribe", "text-embedding-3-small"]
)
def test_other_endpoints_of_openai_are_left_to_litellm(model: str) -> None:
    """A model that does not answer chat completions is never sent any."""
    assert isinstance(open_format(Connection("openai", SECRET), model), Unserved)


@pytest.mark.parametrize("url", ["https://x.example/v1?a=b", "https://x.example/v1/chat/completions"])
def test_an_unusual_address_is_left_to_litellm(url: str) -> None:
    """litellm takes such an address apart in its own way."""
    assert isinstance(open_format(Connection("openai", SECRET, {"base_url": url}), "gpt-4o"), Unserved)


@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.parametrize("provider", [name for name, endpoint in ENDPOINTS.items() if endpoint.base_url is not None])
def test_the_usual_address_is_litellms(provider: str) -> None:
    """Without a base URL, a request goes where litellm would send it."""
    litellm = import_litellm()
    expected = litellm.get_llm_provider(f"{provider}/some-model", api_key=SECRET)[3]
    usual = {"openai": "https://api.openai.com/v1", "openrouter": "https://openrouter.ai/api/v1"}
    assert made(provider, "some-model").url == f"{expected or usual[provider]}/chat/completions"


@pytest.mark.usefixtures("litellm_imported")
def test_the_names_are_litellms() -> None:
    """What litellm decides about, and Azure's version, are as the installed litellm has them."""
    litellm = import_litellm()
    own = {"additional_drop_params", "allowed_openai_params", "api_version", "custom_llm_provider", "drop_params"}
    own |= {"extra_headers", "max_retries", "messages", "model", "stream"}
    assert set(litellm.constants.DEFAULT_CHAT_COMPLETION_PARAM_VALUES) - own == DECIDED
    assert AZURE_API_VERSION == litellm.AZURE_DEFAULT_API_VERSION
    assert not PASSED_ON & set(litellm.types.utils.all_litellm_params)


def test_openais_own_headers_go_to_that_provider_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An organization of the environment is nobody else's business."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    headers = made("openai", "gpt-4o").headers
    assert (headers["OpenAI-Organization"], headers["OpenAI-Project"]) == ("org-1", "proj-1")
    assert "OpenAI-Organization" not in made("groq", "some-model").headers


def test_a_profiles_header_replaces_ours_in_any_case() -> None:
    """Two headers of one name would leave it to the server which key counts."""
    headers = made("openai", "gpt-4o", extra_headers={"authorization": "Custom x"}).headers
    assert headers == {"authorization": "Custom x"}


def test_azure_is_reached_by_deployment_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL holds the deployment and the version: the profile's, the environment's, litellm's."""
    base = {"base_url": "https://x.openai.azure.com"}
    path = "https://x.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version="
    assert made("azure", "my-gpt", **base).url == path + AZURE_API_VERSION
    monkeypatch.setenv("AZURE_API_VERSION", "2024-10-21")
    assert made("azure", "my-gpt", **base).url == path + "2024-10-21"
    assert made("azure", "my-gpt", **base, api_version="2025-01-01-preview").url == path + "2025-01-01-preview"
    assert made("azure", "my-gpt", **base).headers == {"api-key": SECRET}


def test_a_server_without_a_key_is_given_none() -> None:
    """Nothing is made up for a server of one's own."""
    found = open_format(Connection("hosted_vllm", None, {"base_url": "http://127.0.0.1:1/v1"}), "m")
    assert isinstance(found, OpenAIFormat)
    assert found.headers == {}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("text", ["hi", 'quotes " and \\', "half a pair \ud83d"])
@pytest.mark.parametrize("more", [{}, {"stream_options": {"include_usage": False}}])
def test_a_body_with_fixed_parameters_is_the_same_in_its_own_bytes(
    text: str, more: dict[str, Any], stream: bool
) -> None:
    """What is encoded once, with the messages put in, is what encoding the whole body gives."""
    messages = [{"role": "user", "content": text}]
    params = FixedParams(temperature=0, max_tokens=5, tools=[{"type": "function", "function": {"name": "f"}}], **more)
    fixed, plain = (made("openai", "gpt-5-mini").request(messages, one, stream=stream) for one in (params, {**params}))
    assert isinstance(fixed, OpenAIRequest)
    assert isinstance(plain, OpenAIRequest)
    assert json.loads(fixed.encode()) == json.loads(plain.encode()) == fixed.body
    assert ("stream" in fixed.body) is stream


def test_what_is_found_out_of_fixed_parameters_is_found_out_once_and_not_for_ever() -> None:
    """Fixed parameters are looked at once, equal ones for themselves, others each time; and the memory is bounded."""
    seen: list[Mapping[str, Any]] = []
    find = FoundOnce(lambda params: seen.append(params) or len(params))  # type: ignore[func-returns-value]
    fixed = FixedParams(n=1)
    assert [find(fixed), find(fixed), find(FixedParams(n=1)), find({"n": 1}), find({"n": 1})] == [1] * 5
    assert len(seen) == 4
    for number in range(300):
        find(FixedParams(n=number))
    find(fixed)
    assert len(seen) == 305
