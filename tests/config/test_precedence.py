"""Precedence: the strongest source wins, field by field."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncllm.config import OriginKind, Profiles
from asyncllm.config.environment import Environment
from asyncllm.config.files import Tables
from asyncllm.config.sources import read_sources

from .conftest import Project

# Weakest first, as the documentation lists them.
SOURCES = ["default", "[llm]", "LLM_TIMEOUT", "[llm.fast]", "LLM__FAST__TIMEOUT", "argument"]
BUILT_IN = 120.0


def effective(timeouts: dict[str, float]) -> tuple[float, str]:
    """Return the timeout of the profile `fast` and its source, given a timeout in each of some sources."""
    base: dict[str, object] = {"model": "openai/gpt-5-mini"}
    fast: dict[str, object] = {}
    env: dict[str, str] = {}
    arguments: dict[str, Any] = {}
    for source, value in timeouts.items():
        if source.startswith("LLM"):
            env[source] = str(value)
        elif source != "default":
            {"[llm]": base, "[llm.fast]": fast, "argument": arguments}[source]["timeout"] = value
    environment = Environment(env, Path("/nowhere/.env"))
    profiles = Profiles(read_sources(Tables(base, {"fast": fast}), Path("config.toml"), environment), None, environment)
    config = profiles.config("fast", **arguments)
    origin = config.provenance["timeout"]
    return config.timeout, origin.name or origin.kind


@pytest.mark.parametrize(("weaker", "stronger"), list(pairwise(SOURCES)))
def test_each_source_overrides_the_weaker_one(weaker: str, stronger: str) -> None:
    """Of two neighbouring sources the stronger one sets the value and its provenance."""
    assert effective({weaker: BUILT_IN, stronger: 7.0}) == (7.0, stronger)


@given(st.dictionaries(st.sampled_from(SOURCES[1:]), st.integers(1, 1000).map(float)))
def test_the_strongest_source_wins(timeouts: dict[str, float]) -> None:
    """A field takes the value of the strongest source that sets it."""
    named = [source for source in SOURCES if source in timeouts]
    expected = (timeouts[named[-1]], named[-1]) if named else (BUILT_IN, "default")
    assert effective(timeouts) == expected


def test_a_file_with_the_base_alone_is_a_whole_configuration(project: Project, secret_key: str) -> None:
    """A file with only `[llm]` loads as the default profile."""
    path = project.write(f"""
        [llm]
        model = "openai/gpt-5-mini"
        api_key = "{secret_key}"
        temperature = 0.0
        max_output_tokens = 4096
        num_retries = 8
        retry_min_wait = 15
        retry_max_wait = 120
        retry_multiplier = 2
    """)
    config = project.load()
    assert (config.profile, config.source) == ("default", path)
    assert (config.temperature, config.max_output_tokens, config.num_retries) == (0.0, 4096, 8)
    assert (config.retry_min_wait, config.retry_max_wait, config.retry_multiplier) == (15, 120, 2)


def test_variables_of_the_base_override_the_base(project: Project, secret_key: str) -> None:
    """`LLM_API_KEY` and `LLM_BASE_URL` override `[llm]`."""
    project.write('[llm]\nmodel = "openai/gpt-5-mini"\napi_key = "of-the-file"')
    config = project.load(env={"LLM_API_KEY": secret_key, "LLM_BASE_URL": "http://127.0.0.1:9/v1"})
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == secret_key
    assert config.base_url == "http://127.0.0.1:9/v1"


def test_a_profile_overrides_the_variables_of_the_base(project: Project) -> None:
    """`[llm.NAME]` is stronger than `LLM_<FIELD>`."""
    project.write('[llm]\nmodel = "openai/a"\n[llm.fast]\nseed = 2')
    assert project.load("fast", {"LLM_SEED": "1"}).seed == 2


def test_variables_of_one_profile_do_not_reach_another(project: Project) -> None:
    """`LLM__<NAME>__<FIELD>` sets that profile only."""
    project.write('[llm]\nmodel = "openai/a"\n[llm.one]\n[llm.two]')
    env = {"LLM__ONE__SEED": "1", "LLM__DEFAULT__SEED": "3"}
    assert [project.load(name, env).seed for name in ("one", "two", "default")] == [1, None, 3]


def test_tables_are_replaced_as_a_whole(project: Project) -> None:
    """A profile's table replaces the inherited one instead of being merged into it."""
    project.write("""
        [llm]
        model = "openai/a"
        [llm.extra_body]
        one = 1
        [llm.fast.extra_body]
        two = { three = 3 }
    """)
    assert project.load("fast").extra_body == {"two": {"three": 3}}


def test_none_unsets_a_field(project: Project) -> None:
    """An argument of None resets a field to its default."""
    project.write('[llm]\nmodel = "openai/a"\nseed = 1\ntimeout = 5')
    config = project.load(seed=None, timeout=None)
    assert (config.seed, config.timeout) == (None, BUILT_IN)


def test_no_file_is_needed(project: Project) -> None:
    """Arguments and variables make a configuration without any file."""
    config = project.load(env={"LLM_TIMEOUT": "5"}, model="openai/gpt-5-mini")
    assert (config.model, config.timeout, config.source) == ("openai/gpt-5-mini", 5.0, None)


def test_provenance_names_every_source(project: Project) -> None:
    """The provenance of a value is its table, variable, argument or default."""
    path = project.write('[llm]\nmodel = "openai/a"\n[llm.my-profile]\ntop_p = 0.5')
    project.write("LLM_SEED=4", ".env")
    config = project.load("my-profile", {"LLM__MY_PROFILE__TOP_K": "9"}, temperature=1)
    origins = {key: config.provenance[key] for key in ("model", "top_p", "seed", "top_k", "temperature", "timeout")}
    assert {key: str(origin) for key, origin in origins.items()} == {
        "model": "[llm] in config.toml",
        "top_p": "[llm.my-profile] in config.toml",
        "seed": "LLM_SEED in .env",
        "top_k": "LLM__MY_PROFILE__TOP_K in the environment",
        "temperature": "argument",
        "timeout": "default",
    }
    assert origins["model"].path == path
    assert [origin.kind for origin in origins.values()] == [
        OriginKind.FILE,
        OriginKind.FILE,
        OriginKind.DOTENV,
        OriginKind.ENVIRONMENT,
        OriginKind.ARGUMENT,
        OriginKind.DEFAULT,
    ]
