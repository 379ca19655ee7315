"""Inheritance of the connection group: no key reaches another provider's host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm.config import LLMConfig, Profiles
from asyncllm.config.environment import Environment
from asyncllm.config.files import Tables
from asyncllm.config.precedence import url_origin
from asyncllm.config.sources import read_sources

from .conftest import Project, secret

HERE, THERE = "http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"
GROUP: dict[str, Any] = {
    "api_key": "of-the-base",
    "base_url": HERE,
    "api_version": "1",
    "extra_headers": {"X-Key": "of-the-base"},
    "aws_region_name": "eu-central-1",
    "aws_secret_access_key": "of-the-base",
}


def load(
    base: dict[str, Any],
    fast: dict[str, Any],
    env: dict[str, str] | None = None,
    arguments: dict[str, Any] | None = None,
) -> LLMConfig:
    """Load the profile `fast` from tables in memory."""
    environment = Environment(env or {}, Path("/nowhere/.env"))
    sources = read_sources(Tables(base, {"fast": fast}), Path("config.toml"), environment)
    given: Any = arguments or {}
    return Profiles(sources, None, environment).config("fast", **given)


def group_of(config: LLMConfig) -> set[str]:
    """Return the fields of the connection group that are set."""
    return {key for key in GROUP if getattr(config, key) is not None}


def test_the_same_provider_inherits_the_group() -> None:
    """A profile of the base's provider inherits key, endpoint and the rest."""
    assert group_of(load({"model": "openai/a", **GROUP}, {"model": "openai/b"})) == set(GROUP)


def test_a_bare_name_counts_as_its_provider() -> None:
    """A provider that follows from the name is the same as one that is written."""
    assert group_of(load({"model": "openai/a", **GROUP}, {"model": "gpt-5-mini"})) == set(GROUP)


@pytest.mark.parametrize(
    "change", [{"model": "anthropic/b"}, {"model": "claude-sonnet-4-5"}, {"custom_llm_provider": "azure"}]
)
@pytest.mark.parametrize("source", ["[llm.fast]", "environment", "arguments"])
def test_another_provider_inherits_nothing_of_it(change: dict[str, str], source: str) -> None:
    """Nothing of the group is inherited from before the source that changes the provider."""
    env = {f"LLM__FAST__{key.upper()}": value for key, value in change.items()} if source == "environment" else {}
    config = load(
        {"model": "openai/a", **GROUP},
        change if source == "[llm.fast]" else {},
        env,
        change if source == "arguments" else {},
    )
    assert group_of(config) == set()
    assert secret(config) is None


def test_another_provider_keeps_what_it_names_itself() -> None:
    """A profile keeps the fields of the group that it sets beside its model."""
    config = load({"model": "openai/a", **GROUP}, {"model": "anthropic/b", "api_key": "own"})
    assert (group_of(config), secret(config)) == ({"api_key"}, "own")


def test_a_variable_of_the_base_does_not_reach_another_provider() -> None:
    """`LLM_API_KEY` belongs to the base's provider."""
    config = load({"model": "openai/a"}, {"model": "anthropic/b"}, {"LLM_API_KEY": "of-openai"})
    assert secret(config) is None


def test_a_variable_that_changes_the_base_drops_the_file_s_key() -> None:
    """`LLM_MODEL` of another provider than `[llm]` leaves the key of `[llm]` behind."""
    assert group_of(load({"model": "openai/a", **GROUP}, {}, {"LLM_MODEL": "anthropic/b"})) == set()


def test_an_argument_changes_away_from_the_profile() -> None:
    """A model of another provider as an argument drops the profile's group, and does not bring the base's back."""
    config = load({"model": "openai/a", **GROUP}, {"model": "anthropic/b", "api_key": "own"}, {}, {"model": "openai/c"})
    assert group_of(config) == set()


def test_a_written_provider_outranks_an_inherited_one() -> None:
    """An inherited `custom_llm_provider` does not turn another provider's model into its own."""
    base = {"model": "b", "custom_llm_provider": "openai", **GROUP}
    assert load(base, {"model": "anthropic/c"}).provider == "anthropic"
    assert group_of(load(base, {"model": "anthropic/c"})) == set()


def test_an_inherited_provider_explains_an_unknown_name() -> None:
    """A name without a provider of its own gets the inherited one."""
    config = load({"model": "b", "custom_llm_provider": "openai", **GROUP}, {"model": "my-finetune"})
    assert (config.provider, group_of(config)) == ("openai", set(GROUP))


@pytest.mark.parametrize(
    ("weaker", "stronger", "expected"),
    [("api_key", "api_key_env", "of-variable"), ("api_key_env", "api_key", "of-table")],
)
def test_of_two_ways_to_set_the_key_the_stronger_source_wins(weaker: str, stronger: str, expected: str) -> None:
    """`api_key` and `api_key_env` override each other."""
    named = {"api_key": "of-table", "api_key_env": "MY_KEY"}
    config = load({"model": "openai/a", weaker: named[weaker]}, {stronger: named[stronger]}, {"MY_KEY": "of-variable"})
    assert secret(config) == expected


def test_another_endpoint_takes_no_credentials() -> None:
    """A key set together with one endpoint is not sent to another endpoint of the same provider."""
    config = load({"model": "openai/a", **GROUP}, {"base_url": THERE})
    assert (config.base_url, group_of(config)) == (THERE, {"base_url", "api_version", "aws_region_name"})


def test_an_endpoint_of_a_profile_takes_no_key_of_the_provider_itself() -> None:
    """A key that the base means for the provider's own endpoint is not sent to a profile's, nor is the usual one."""
    config = load({"model": "openai/a", "api_key_env": "OPENAI_API_KEY"}, {"base_url": THERE}, {"OPENAI_API_KEY": "k"})
    assert secret(config) is None
    assert "for another endpoint" in config.key_advice()


def test_an_endpoint_beside_the_key_s_own_table_takes_it() -> None:
    """`LLM_BASE_URL` takes the key of `[llm]` when `[llm]` sets no endpoint."""
    config = load({"model": "openai/a", "api_key": "k"}, {}, {"LLM_BASE_URL": HERE})
    assert (config.base_url, secret(config)) == (HERE, "k")


def test_a_moved_endpoint_does_not_take_the_key_of_the_first() -> None:
    """`LLM_BASE_URL` does not carry a key that `[llm]` names for another host."""
    assert secret(load({"model": "openai/a", "api_key": "k", "base_url": HERE}, {}, {"LLM_BASE_URL": THERE})) is None


def test_another_path_of_the_same_host_keeps_the_key() -> None:
    """Endpoints are compared by scheme, host and port."""
    config = load({"model": "openai/a", "api_key": "k", "base_url": HERE}, {"base_url": HERE + "/other"})
    assert secret(config) == "k"


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://api.example.com:443/v1", True),
        ("https://api.example.com", True),
        ("https://api.example.com:444/v1", False),
        ("http://api.example.com/v1", False),
        ("https://api.example.org/v1", False),
    ],
)
def test_the_default_port_may_be_written(url: str, same: bool) -> None:
    """An endpoint is the same with and without the default port of its scheme."""
    config = load({"model": "openai/a", "api_key": "k", "base_url": "https://api.example.com/v1"}, {"base_url": url})
    assert secret(config) == ("k" if same else None)


def test_an_invalid_url_is_its_own_endpoint() -> None:
    """A URL that cannot be parsed is equal to itself only."""
    assert url_origin("http://[") == ("http://[", None, None)
    assert url_origin("http://host") == url_origin("http://host:80/v1") == ("http", "host", 80)


def test_a_known_endpoint_is_the_provider_of_an_unknown_name() -> None:
    """A profile that inherits an unknown name with its known endpoint inherits the key too."""
    base = {"model": "some-model", "base_url": "https://api.groq.com/openai/v1", "api_key": "k"}
    config = load(base, {"timeout": 5})
    assert (config.provider, secret(config)) == ("groq", "k")


def test_the_usual_variable_serves_an_endpoint_without_a_named_key() -> None:
    """With neither `api_key` nor `api_key_env` anywhere, the provider's usual variable is the key."""
    assert secret(load({"model": "openai/a"}, {"base_url": HERE}, {"OPENAI_API_KEY": "usual"})) == "usual"


def test_the_usual_variable_is_the_one_of_the_endpoint_s_owner() -> None:
    """An OpenAI model at a host of Groq's is called with Groq's key."""
    fast = {"model": "openai/llama", "base_url": "https://api.groq.com/openai/v1"}
    assert secret(load({}, fast, {"OPENAI_API_KEY": "wrong"})) is None
    assert secret(load({}, fast, {"OPENAI_API_KEY": "wrong", "GROQ_API_KEY": "right"})) == "right"


def test_a_key_without_a_model_has_no_provider(project: Project) -> None:
    """A key in an `[llm]` without a provider is a mistake in the file, and ignored in a variable."""
    config = load({}, {"model": "openai/a"}, {"LLM_API_KEY": "whose"})
    assert secret(config) is None
    assert str(config.withheld["api_key"]) == (
        "not taken from LLM_API_KEY in the environment: no model beside it names its provider"
    )
    project.write('[llm]\napi_key = "whose"\n[llm.fast]\nmodel = "openai/a"')
    assert project.error("fast") == (
        "config.toml: [llm] api_key has no provider: set model or custom_llm_provider beside it."
    )


def test_a_provider_without_a_model_is_enough(project: Project) -> None:
    """A key in an `[llm]` with only a provider is inherited by the profiles of that provider."""
    project.write('[llm]\ncustom_llm_provider = "openai"\napi_key = "k"\n[llm.fast]\nmodel = "my-finetune"')
    assert secret(project.load("fast")) == "k"


def test_an_inherited_model_keeps_its_written_provider() -> None:
    """A profile that sets neither model nor provider inherits both, with the key."""
    config = load({"model": "gpt-4o", "custom_llm_provider": "azure", **GROUP}, {"timeout": 5})
    assert (config.provider, group_of(config)) == ("azure", set(GROUP))


def test_a_file_s_key_serves_the_model_of_a_variable_beside_it(project: Project) -> None:
    """`LLM_MODEL` completes an `[llm]` that has only the key."""
    project.write('[llm]\napi_key = "k"')
    assert secret(project.load(env={"LLM_MODEL": "openai/a"})) == "k"


def test_what_was_not_taken_is_explained() -> None:
    """A withheld key comes with the reason."""
    config = load({"model": "openai/a", "api_key": "k"}, {"model": "anthropic/b"})
    assert str(config.withheld["api_key"]) == (
        "not taken from [llm] in config.toml: it is for openai, and this profile uses anthropic"
    )
    assert config.key_advice() == (
        "Set ANTHROPIC_API_KEY, or set api_key or api_key_env. api_key was not taken from [llm] in "
        "config.toml: it is for openai, and this profile uses anthropic."
    )


class TestReplace:
    """A changed copy follows the same rules as arguments."""

    def test_another_provider_takes_no_key(self) -> None:
        """Changing the provider drops the group."""
        config = LLMConfig(model="openai/a", **GROUP).replace(model="anthropic/b")
        assert (group_of(config), secret(config)) == (set(), None)

    def test_a_name_without_a_provider_takes_no_key(self) -> None:
        """A model of an unknown provider gets no key of a known one."""
        group = {name: value for name, value in GROUP.items() if name != "base_url"}
        config = LLMConfig(model="openai/a", **group).replace(model="my-model")
        assert group_of(config) == set()
        assert str(config.withheld["api_key"]) == (
            "not taken from argument: it is for openai, and this profile uses another provider"
        )

    def test_another_model_of_the_same_server_keeps_its_key(self) -> None:
        """A name without a provider is an OpenAI-compatible server's where an endpoint is set."""
        config = LLMConfig(model="openai/a", **GROUP).replace(model="my-model")
        assert group_of(config) == set(GROUP)

    def test_another_endpoint_takes_no_key(self) -> None:
        """Changing the endpoint drops the credentials, also in a later copy and in pydantic's own."""
        config = LLMConfig(model="openai/a", **GROUP).replace(base_url=THERE).replace(timeout=5)
        assert config.api_key is None
        assert config.withheld["api_key"].is_for_other_endpoint
        assert LLMConfig(model="openai/a", **GROUP).model_copy(update={"base_url": THERE}).api_key is None

    def test_the_key_may_change_with_the_endpoint(self) -> None:
        """A key given beside the endpoint is the endpoint's."""
        config = LLMConfig(model="openai/a", **GROUP).replace(base_url=THERE, api_key="new")
        assert (secret(config), "api_key" in config.withheld) == ("new", False)

    def test_unrelated_changes_keep_it(self) -> None:
        """Changing a timeout changes nothing else."""
        assert group_of(LLMConfig(model="openai/a", **GROUP).replace(timeout=5)) == set(GROUP)


# Two providers and two hosts; the text of a key is the number of its source.
PROVIDERS = ["openai", "anthropic"]
HOSTS = [None, HERE, THERE]


@st.composite
def source(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """One source: perhaps a model, perhaps an endpoint, perhaps a key that is marked with the source's number."""
    fields: dict[str, Any] = {}
    if draw(st.booleans()):
        fields["model"] = f"{draw(st.sampled_from(PROVIDERS))}/m{number}"
    if (host := draw(st.sampled_from(HOSTS))) is not None:
        fields["base_url"] = host
    if draw(st.booleans()):
        fields["api_key"] = f"key-{number}"
    return fields


@given(st.tuples(*(source(number) for number in range(5))))
def test_a_key_never_goes_with_another_provider_or_endpoint(sources: tuple[dict[str, Any], ...]) -> None:
    """For any sources, the key in effect was set for the provider and the endpoint in effect."""
    base, base_env, fast, fast_env, arguments = sources
    base.setdefault("model", "openai/m")
    env = {f"LLM_{key.upper()}": value for key, value in base_env.items()}
    env |= {f"LLM__FAST__{key.upper()}": value for key, value in fast_env.items()}
    config = load(base, fast, env, arguments)
    if config.api_key is None:
        return
    number = int(config.api_key.get_secret_value().removeprefix("key-"))
    # The state at each source by the plain rule: the provider is that of the last model so far, and an endpoint holds
    # until the provider changes.
    provider, host = None, None
    seen = []
    for one in sources:
        named = one["model"].partition("/")[0] if "model" in one else provider
        host = one.get("base_url", host if named == provider else None)
        provider = named
        seen.append((provider, host))
    assert config.provider == seen[number][0] == seen[-1][0]
    assert all(entry[0] == config.provider for entry in seen[number:])
    if seen[number][1] is not None:
        assert url_origin(config.base_url) == url_origin(seen[number][1])
    elif config.base_url is not None:
        # Only the variables of the key's own level may still set its endpoint.
        assert number in (0, 2)
        assert url_origin(config.base_url) == url_origin(seen[number + 1][1])
