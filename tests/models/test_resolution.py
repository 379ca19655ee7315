"""Resolution of model names to providers, keys and endpoints."""

from __future__ import annotations

import pytest

from asyncllm.errors import ConfigError
from asyncllm.models import ResolvedModel, base_url_variables, key_variables, needs_key, resolve_provider


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("openai/gpt-5-mini", "openai", "gpt-5-mini"),
        ("gpt-5-mini", "openai", "gpt-5-mini"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("claude-someday-9-1", "anthropic", "claude-someday-9-1"),
        ("gemini-2.5-pro", "vertex_ai", "gemini-2.5-pro"),
        ("gemini/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("ft:gpt-4o:org:suffix:id", "openai", "ft:gpt-4o:org:suffix:id"),
        ("openrouter/openai/gpt-5-mini", "openrouter", "openai/gpt-5-mini"),
        ("azure/my-deployment", "azure", "my-deployment"),
        ("hosted_vllm/org/model", "hosted_vllm", "org/model"),
        ("bedrock_mantle/us-gov-west-1/openai.gpt", "bedrock_mantle", "openai.gpt"),
        ("maritalk", "maritalk", "maritalk"),
        ("simulated/anything", "simulated", "anything"),
    ],
)
def test_a_name_resolves_to_its_provider(model: str, provider: str, name: str):
    """Prefixes, bare names, families and deployments resolve as in litellm."""
    assert resolve_provider(model) == ResolvedModel(provider, name)


def test_a_given_provider_wins():
    """custom_llm_provider wins over the name."""
    assert resolve_provider("gpt-4o", "azure") == ResolvedModel("azure", "gpt-4o")


def test_a_known_endpoint_resolves_to_its_provider():
    """The base_url of a known host resolves an unknown name."""
    assert resolve_provider("some-model", base_url="https://api.groq.com/openai/v1") == ResolvedModel(
        "groq", "some-model"
    )


@pytest.mark.parametrize(
    "base_url",
    [
        "https://evil.example/api.groq.com/openai/v1",
        "https://api.groq.com.evil.example/openai/v1",
        "https://api.groq.com/openai/v1beta",
        "https://[api.groq.com/openai/v1",
    ],
)
def test_an_endpoint_that_only_looks_alike_is_unknown(base_url: str):
    """A host or path that contains a known one is not that endpoint, and gets no key."""
    with pytest.raises(ConfigError):
        resolve_provider("some-model", base_url=base_url)


def test_an_endpoint_of_ones_own_needs_a_provider():
    """A local server's URL has no provider; the message shows how to set one."""
    with pytest.raises(ConfigError, match=r'"openai/<model>"'):
        resolve_provider("my-model", base_url="http://localhost:8000/v1")


@pytest.mark.parametrize(
    ("model", "suggestion"),
    [("gpt5-mini", "gpt-5-mini"), ("opnai/gpt-5", "openai/gpt-5"), ("claud-sonnet-4-5", "claude-sonnet-4-5")],
)
def test_an_unknown_name_is_answered_with_the_nearest(model: str, suggestion: str):
    """The message has the model and the nearest valid name."""
    with pytest.raises(ConfigError) as caught:
        resolve_provider(model)
    assert repr(model) in str(caught.value)
    assert f'"{suggestion}"' in str(caught.value)


@pytest.mark.parametrize("model", ["", "openai", "openai/", "simulated/"])
def test_a_provider_alone_is_no_model(model: str):
    """A name without a model is refused."""
    with pytest.raises(ConfigError, match="model"):
        resolve_provider(model)


def test_an_unknown_custom_provider_is_refused():
    """custom_llm_provider must be one of litellm's; the nearest is suggested."""
    with pytest.raises(ConfigError, match='"anthropic"'):
        resolve_provider("claude", "antropic")


def test_variables_follow_a_rule_unless_listed():
    """A provider without a listed name has the usual one."""
    assert (key_variables("nano-gpt"), key_variables("groq")) == (("NANOGPT_API_KEY",), ("GROQ_API_KEY",))
    assert base_url_variables("groq") == ("GROQ_API_BASE",)


@pytest.mark.parametrize(
    ("provider", "needed"), [("openai", True), ("simulated", False), ("ollama", False), ("vertex_ai", False)]
)
def test_some_providers_work_without_a_key(provider: str, needed: bool):
    """Local servers and clouds with a login need no key."""
    assert needs_key(provider) is needed
