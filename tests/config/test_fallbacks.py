"""Validation and resolution of `fallbacks`."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from asyncllm import AsyncLLM, ConfigError, LLMConfig
from asyncllm.config import describe_fields
from asyncllm.config.fields import SHARED_WITH_FALLBACKS

from .conftest import Project


def test_fallbacks_are_kept_in_order(project: Project) -> None:
    """Known profiles keep their order; `default` may be one of them."""
    project.write('[llm]\nmodel = "openai/a"\n[llm.one]\nfallbacks = ["two", "default"]\n[llm.two]\n')
    assert project.load("one").fallbacks == ("two", "default")


def test_an_unknown_fallback(project: Project) -> None:
    """An unknown profile is a mistake, reported with the nearest name."""
    project.write('[llm]\nmodel = "openai/a"\n[llm.one]\nfallbacks = ["bakup"]\n[llm.backup]\n')
    assert project.error() == (
        'config.toml: [llm.one] fallbacks names "bakup", which is not a profile; did you mean backup?'
    )


def test_an_unknown_fallback_in_an_argument(project: Project) -> None:
    """Arguments are validated too."""
    project.write('[llm]\nmodel = "openai/a"\n')
    assert project.error(fallbacks=["two"]) == 'argument: fallbacks names "two", which is not a profile.'


def test_a_profile_that_names_itself(project: Project) -> None:
    """A profile cannot be its own fallback."""
    project.write('[llm]\nmodel = "openai/a"\nfallbacks = ["default"]\n')
    assert project.error() == "config.toml: [llm] fallbacks names the profile itself (default)."


def test_an_inherited_list_leaves_out_the_profile_itself(project: Project) -> None:
    """The base's fallbacks serve every profile, those in the list too."""
    project.write('[llm]\nmodel = "openai/a"\nfallbacks = ["one", "two"]\n[llm.one]\n[llm.two]\nfallbacks = []\n')
    assert [project.load(name).fallbacks for name in ("default", "one", "two")] == [("one", "two"), ("two",), ()]


def test_profiles_may_stand_in_for_each_other(project: Project) -> None:
    """Two profiles may name each other: the fallbacks of a fallback are not followed."""
    project.write("""
        [llm]
        model = "openai/a"
        [llm.one]
        model = "openai/one"
        fallbacks = ["two"]
        [llm.two]
        model = "openai/two"
        fallbacks = ["one"]
    """)
    one, two = project.load("one"), project.load("two")
    assert [config.model for config in one.fallback_configs()] == ["openai/two"]
    assert [config.model for config in two.fallback_configs()] == ["openai/one"]


def test_arguments_hold_for_fallbacks_too(project: Project) -> None:
    """Arguments apply to fallbacks, except those of the connection; values of the file do not."""
    project.write("""
        [llm]
        model = "openai/a"
        [llm.one]
        fallbacks = ["two"]
        top_p = 0.5
        [llm.two]
        model = "groq/b"
        timeout = 50
    """)
    config = project.load("one", timeout=7, base_url="http://127.0.0.1:1/v1", api_key="sk-x").replace(temperature=0.25)
    (standby,) = config.fallback_configs()
    assert (standby.model, standby.timeout, standby.temperature) == ("groq/b", 7, 0.25)
    assert (standby.top_p, standby.base_url, standby.api_key) == (None, None, None)


def test_the_fields_shared_with_fallbacks_are_fields_of_a_call() -> None:
    """No field of the connection, the limits or the prices is shared."""
    groups = {doc.name: doc.group for doc in describe_fields()}
    assert {groups[name] for name in SHARED_WITH_FALLBACKS} == {
        "sampling",
        "tokens",
        "time",
        "retries",
        "cache",
        "logging",
        "behaviour",
    }


def test_fallbacks_survive_pickling(project: Project) -> None:
    """A pickled profile still resolves the profiles it names."""
    project.write('[llm]\nmodel = "openai/a"\n[llm.one]\nfallbacks = ["default"]\n')
    config = pickle.loads(pickle.dumps(project.load("one")))
    assert [standby.model for standby in config.fallback_configs()] == ["openai/a"]


def test_fallbacks_without_a_file() -> None:
    """Without a file there are no profiles to fall back to: making the client raises."""
    config = LLMConfig(model="openai/a", fallbacks=["backup"])
    with pytest.raises(ConfigError, match=r"argument: fallbacks names profiles of a config\.toml.*without one"):
        AsyncLLM(config)


def test_a_model_or_a_configuration_among_fallbacks(project: Project) -> None:
    """The message says that a profile is wanted, and how a model becomes one."""
    project.write('[llm]\nmodel = "openai/a"\n')
    assert project.error(fallbacks=["openai/b"]) == (
        'argument: fallbacks names "openai/b", which is not a profile; write a table for that model, '
        'such as [llm.backup] with model = "openai/b", and name it.'
    )
    wrong: Any = [LLMConfig(model="openai/b")]
    assert project.error(fallbacks=wrong) == (
        "argument: fallbacks (entry 1) must be the name of a profile, whose table sets the model and all else."
    )


def test_fallbacks_of_a_view(project: Project) -> None:
    """They are profiles of the same file; the error for a model says how it becomes one."""
    project.write('[llm.mini]\nmodel = "simulated/a"\n[llm.claude]\nmodel = "simulated/b"\n')
    client = AsyncLLM("mini")
    assert client.with_options(fallbacks=["claude"]).config.fallbacks == ("claude",)
    with pytest.raises(ConfigError, match=r"is not a profile; write a table for that model, such as \[llm\.backup\]"):
        client.with_options(fallbacks=["simulated/c"])
