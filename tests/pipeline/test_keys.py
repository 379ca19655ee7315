"""A key goes where it belongs, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncllm import AsyncLLM, AuthenticationError
from asyncllm.simulator import Simulator
from tests.support.secrets import SECRET

pytestmark = pytest.mark.anyio

OPENAI_KEY, OTHER_KEY = "sk-openai-0000000000", "sk-other-11111111111"


@pytest.fixture
def other() -> Iterator[Simulator]:
    """A second provider, which must not see the first one's key."""
    with Simulator() as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator, other: Simulator) -> None:
    """A base with a key for one provider, and profiles of another provider that inherit from it."""
    (tmp_path / "config.toml").write_text(
        f"""
        [llm]
        model = "openai/gpt-4o-mini"
        api_key = "{SECRET}"
        base_url = "{simulator.url}"
        extra_headers = {{ x-team = "{SECRET}" }}
        num_retries = 0

        [llm.claude]
        model = "anthropic/claude-sonnet-4-5"
        base_url = "{other.root_url}"

        [llm.elsewhere]
        base_url = "{other.url}"

        [llm.groq]
        model = "groq/llama-3.3-70b-versatile"
        base_url = "{other.url}"
        api_key = "{OTHER_KEY}"
        """
    )
    monkeypatch.chdir(tmp_path)
    # What litellm would find by itself, if it were let look.
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)


def sent(simulator: Simulator) -> str:
    return f"{simulator.seen.keys} {simulator.seen.headers}"


@pytest.mark.parametrize("profile", ["claude", "elsewhere", "groq"])
async def test_an_inherited_profile_takes_no_key_along(config: None, other: Simulator, profile: str) -> None:
    """A profile of another provider or endpoint sends neither the base's key nor its headers, nor the environment's."""
    async with AsyncLLM(profile) as llm:
        await llm.acompletion("hi")
    assert SECRET not in sent(other)
    assert OPENAI_KEY not in sent(other)


async def test_the_base_sends_its_key_where_it_belongs(config: None, simulator: Simulator, other: Simulator) -> None:
    """The control: the base profile itself does send its key and its headers, to its own endpoint alone."""
    async with AsyncLLM() as llm:
        await llm.acompletion("hi")
    assert simulator.seen.keys == {SECRET}
    assert simulator.seen.headers[0]["x-team"] == SECRET
    assert other.seen.requests == 0


@pytest.mark.parametrize("per_call", [False, True])
async def test_another_model_takes_no_key_along(config: None, other: Simulator, per_call: bool) -> None:
    """Another provider's model, by with_options or for one call, is never sent the first one's key."""
    async with AsyncLLM() as llm:
        groq = {"model": "groq/llama-3.3-70b-versatile", "base_url": other.url}
        moved = llm.with_options(**groq)  # type: ignore[arg-type]
        if per_call:
            await moved.acompletion("hi", model="groq/openai/gpt-oss-20b")
        else:
            await moved.acompletion("hi")
    assert other.seen.requests == 1
    assert SECRET not in sent(other)
    assert OPENAI_KEY not in sent(other)


@pytest.mark.parametrize("name", ["base_url", "api_key", "api_base", "custom_llm_provider", "api_version"])
async def test_a_call_cannot_change_where_it_goes(config: None, simulator: Simulator, name: str) -> None:
    """What says where a request goes is no parameter of a call: the profile's key would go there with it."""
    async with AsyncLLM() as llm:
        with pytest.raises(TypeError, match=name):
            await llm.acompletion("hi", **{name: "http://127.0.0.1:9/v1"})  # type: ignore[call-overload]
    assert simulator.seen.requests == 0


async def test_an_endpoint_without_keys_gets_none(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With no key configured for an endpoint of its own, litellm is not let look for another provider's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", OPENAI_KEY)
    for transport in ("litellm", "auto"):
        async with AsyncLLM(model="openai/local", base_url=simulator.url, transport=transport) as llm:
            await llm.acompletion("hi")
    assert OPENAI_KEY not in sent(simulator)


async def test_no_key_is_said_before_anything_is_sent(config: None) -> None:
    """A profile of another provider that names neither key nor endpoint says which key it misses, and sends nothing."""
    async with AsyncLLM("default", model="groq/llama-3.3-70b-versatile", num_retries=0) as llm:
        with pytest.raises(AuthenticationError, match="there is no key for groq; nothing was sent"):
            await llm.acompletion("hi")
