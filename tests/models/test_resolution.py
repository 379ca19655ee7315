"""Resolution of model names to providers, keys and endpoints."""

from __future__ import annotations

import pytest

from asyncllm.errors import ConfigError
from asyncllm.models import ResolvedModel, base_url_variables, key_variables, model_info, needs_key, resolve_provider


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
    """A host or path that contains a known one is not that endpoint, and its provider's key stays away from it."""
    assert resolve_provider("some-model", base_url=base_url).provider == "openai"


@pytest.mark.parametrize("model", ["my-model", "llama3.1:8b"])
def test_any_other_name_at_an_endpoint_of_ones_own_is_an_openai_compatible_servers(model: str):
    """A name of no family is sent to the server of the base_url as it is; without one, the message shows what to do."""
    resolved = resolve_provider(model, base_url="http://localhost:8000/v1")
    assert (resolved, resolved.read_by) == (ResolvedModel("openai", model), "server")
    assert resolved.prefixed == f"openai/{model}"
    with pytest.raises(ConfigError, match=r'"openai/<model>"'):
        resolve_provider(model)


@pytest.mark.parametrize("model", ["opnai/gpt-5", "openai"])
def test_a_misspelt_or_bare_provider_is_refused_at_any_endpoint(model: str):
    """What may be a provider's name is not taken for a server's model."""
    with pytest.raises(ConfigError):
        resolve_provider(model, base_url="http://localhost:8000/v1")


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("claude-3-5-sonnet-20241022", "anthropic"),
        ("claude-2.1", "anthropic"),
        ("gpt-9-mini", "openai"),
        ("chatgpt-99-latest", "openai"),
        ("o9-mini", "openai"),
        ("gemini-99-pro", "gemini"),
        ("mistral-next-99", "mistral"),
        ("ministral-99b", "mistral"),
        ("magistral-99", "mistral"),
        ("codestral-9999", "mistral"),
        ("pixtral-99", "mistral"),
        ("devstral-99", "mistral"),
        ("deepseek-v99", "deepseek"),
        ("command-z-99", "cohere_chat"),
        ("grok-99", "xai"),
    ],
)
@pytest.mark.parametrize("base_url", [None, "http://localhost:8000/v1"])
def test_a_bare_name_that_is_not_in_the_map_resolves_by_its_family(model: str, provider: str, base_url: str | None):
    """New and retired models work, at an endpoint of one's own too; their price and window are unknown."""
    resolved = resolve_provider(model, base_url=base_url)
    assert (resolved.provider, resolved.name) == (provider, model)
    info = model_info(model, base_url=base_url)
    assert (info.known, info.context_window, info.prices) == (False, None, None)


@pytest.mark.parametrize("model", ["claudette-1", "ogpt-1", "omni-1", "o-1", "commander-1", "mistralish", "groking"])
def test_a_name_that_only_begins_like_a_family_is_unknown(model: str):
    """A family is named up to its dash."""
    with pytest.raises(ConfigError):
        resolve_provider(model)


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
