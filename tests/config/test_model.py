"""LLMConfig as a value: equality, immutability, copies and descriptions."""

from __future__ import annotations

import inspect
import pickle
import typing
from pathlib import Path
from unittest.mock import ANY

import pytest
from pydantic import ValidationError

from asyncllm.config import ConfigOptions, LLMConfig, Options, OriginKind, describe_fields
from asyncllm.errors import ConfigError

from .conftest import Project, secret


def test_it_is_a_value(secret_key: str) -> None:
    """Equal fields make equal configurations with equal hashes, regardless of their sources."""
    one = LLMConfig(model="openai/a", api_key=secret_key, extra_body={"a": [1]}, stop="END")
    two = LLMConfig(model="openai/a", timeout=5, api_key=secret_key, extra_body={"a": [1]}).replace(
        timeout=None, stop=["END"]
    )
    assert one == two
    assert hash(one) == hash(two)
    assert one != two.replace(seed=1)
    assert one == ANY  # another type decides for itself


def test_it_is_immutable() -> None:
    """A field cannot be set."""
    config = LLMConfig(model="openai/a")
    with pytest.raises(ValidationError, match="frozen"):
        config.model = "openai/b"  # type: ignore[misc]


def test_it_pickles_with_its_origin(project: Project, secret_key: str) -> None:
    """Profile, file, provenance and key survive a pickle."""
    path = project.write(f'[llm]\nmodel = "openai/a"\napi_key = "{secret_key}"\n[llm.fast]\n')
    config = pickle.loads(pickle.dumps(project.load("fast")))
    assert (config.profile, config.source, secret(config)) == ("fast", path, secret_key)
    assert config.provenance["model"].name == "[llm]"
    assert config == project.load("fast")


def test_it_is_shown_by_what_was_set(project: Project) -> None:
    """The repr names the profile and what was set, not fifty defaults."""
    project.write('[llm]\nmodel = "openai/a"\n[llm.fast]\ntimeout = 5\n')
    assert repr(project.load("fast")) == "LLMConfig(profile='fast', model='openai/a', timeout=5.0)"


def test_an_editor_sees_the_fields() -> None:
    """The signature lists every field by name."""
    assert list(inspect.signature(LLMConfig).parameters) == list(LLMConfig.model_fields)


def test_options_are_the_fields() -> None:
    """The typed keyword arguments are the fields of the model."""
    assert set(typing.get_type_hints(Options)) == set(LLMConfig.model_fields)
    assert set(typing.get_type_hints(ConfigOptions)) == set(LLMConfig.model_fields)


def test_without_a_file_it_has_no_profile() -> None:
    """A configuration made in code has arguments and defaults as origins."""
    config = LLMConfig(model="openai/a")
    assert (config.profile, config.source) == (None, None)
    assert (config.provenance["model"].kind, config.provenance["timeout"].kind) == (
        OriginKind.ARGUMENT,
        OriginKind.DEFAULT,
    )


@pytest.mark.parametrize(
    ("model", "provider"),
    [("openai/gpt-5-mini", "openai"), ("claude-sonnet-4-5", "anthropic"), ("simulated/demo", "simulated")],
)
def test_the_provider_follows_from_the_model(model: str, provider: str) -> None:
    """The provider is derived from the model, under litellm's name."""
    assert LLMConfig(model=model).provider == provider


def test_an_unknown_provider_is_an_error_when_it_is_needed() -> None:
    """A configuration made in code raises when its provider is read."""
    with pytest.raises(ConfigError, match="my-model"):
        _ = LLMConfig(model="my-model").provider


def test_a_key_is_found_beside_the_working_directory(project: Project, secret_key: str) -> None:
    """Without a file, `.env` of the working directory counts for a configuration made in code."""
    project.write(f"OPENAI_API_KEY={secret_key}", ".env")
    assert secret(LLMConfig(model="openai/a")) == secret_key


def test_replace_keeps_what_it_does_not_change(project: Project) -> None:
    """A changed copy has the profile, file and provenance of the original, but for the change."""
    path = project.write('[llm]\nmodel = "openai/a"\ntimeout = 5\n')
    config = project.load()
    copy = config.replace(deadline=60)
    assert (copy.deadline, config.deadline) == (60.0, None)
    assert (copy.profile, copy.source, copy.timeout) == ("default", path, 5.0)
    assert (str(copy.provenance["timeout"]), str(copy.provenance["deadline"])) == ("[llm] in config.toml", "argument")


@pytest.mark.parametrize("changes", [{"timeout": -1}, {"temprature": 1}, {"retry_min_wait": 99}])
def test_replace_checks_the_change(changes: dict[str, typing.Any]) -> None:
    """An invalid change is refused."""
    with pytest.raises(ConfigError, match=f"argument: {next(iter(changes))}"):
        LLMConfig(model="openai/a").replace(**changes)


def test_validation_from_json_gives_the_same_error() -> None:
    """pydantic's other constructors raise ConfigError too."""
    with pytest.raises(ConfigError, match="timeout must be greater than 0"):
        LLMConfig.model_validate_json('{"model": "openai/a", "timeout": -1}')


def test_every_field_is_described() -> None:
    """Each field has a description, a group and a default."""
    docs = describe_fields()
    assert [doc.name for doc in docs] == list(LLMConfig.model_fields)
    assert all(doc.description.endswith(".") and doc.group and doc.default for doc in docs)
    shown = {doc.name: (doc.default, doc.unit) for doc in docs}
    assert shown["timeout"] == ("120", "s")
    assert shown["first_token_timeout"] == ("as timeout", "s")
    assert shown["drop_params"] == ("true", "")


def test_the_group_is_the_documented_one() -> None:
    """The connection group is the documented one."""
    group = {doc.name for doc in describe_fields() if doc.group == "connection"}
    from asyncllm.config.fields import CONNECTION_GROUP

    named = {"api_key", "api_key_env", "base_url", "api_version", "custom_llm_provider", "extra_headers"}
    assert group == CONNECTION_GROUP == named | {name for name in LLMConfig.model_fields if name.startswith("aws_")}


class TestExampleFile:
    """The `config.toml` of the repository."""

    path = Path(__file__).parents[2] / "config.toml"

    def test_it_loads_as_it_is(self) -> None:
        """A fresh clone works without any key."""
        from asyncllm.config import load_profiles

        profiles = load_profiles(self.path, env={})
        assert profiles.names == ("default", "simulated")
        assert [profiles.config(name).model for name in profiles.names] == ["simulated/demo"] * 2

    def test_its_comments_hold(self, project: Project) -> None:
        """Every commented-out line is valid once uncommented."""
        from asyncllm.config import load_profiles

        lines = self.path.read_text(encoding="utf-8").splitlines()
        settings = [line for line in lines if not line.startswith("model =")]
        shown = [line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in settings]
        profiles = load_profiles(project.write("\n".join(shown)), env={})
        assert profiles.mistakes == ()
        config = profiles.config("default")
        assert len(config.model_fields_set) > 20
        assert config.model == "claude-sonnet-4-5"
        defaults = {"timeout", "connect_timeout", "idle_timeout", "num_retries", "retry_min_wait", "retry_max_wait"}
        assert all(getattr(config, key) == LLMConfig.model_fields[key].default for key in defaults)
