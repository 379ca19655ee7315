"""Secrets in reprs, dumps, errors and pickles."""

from __future__ import annotations

import json
import pickle
import traceback
from collections.abc import Callable

import pytest

from asyncllm.config import LLMConfig
from asyncllm.errors import ConfigError

from .conftest import Project

ASTERISKS = "**********"


@pytest.fixture
def config(secret_key: str) -> LLMConfig:
    """A configuration with a secret in every field that takes one."""
    return LLMConfig(
        model="bedrock/a",
        api_key=secret_key,
        extra_headers={"X-Key": secret_key},
        aws_access_key_id=secret_key,
        aws_secret_access_key=secret_key,
        aws_session_token=secret_key,
        aws_web_identity_token=secret_key,
    )


@pytest.mark.parametrize("show", [repr, str, LLMConfig.model_dump_json, LLMConfig.model_dump, "{}".format])
def test_secrets_are_masked_in_every_representation(
    config: LLMConfig, secret_key: str, show: Callable[[LLMConfig], object]
) -> None:
    """Six secrets are shown as six rows of asterisks."""
    shown = str(show(config))
    assert secret_key not in shown
    assert shown.count(ASTERISKS) == 6


def test_a_dump_names_the_masked_fields(config: LLMConfig) -> None:
    """The JSON form keeps the fields and masks their values, headers included."""
    dumped = json.loads(config.model_dump_json())
    assert (dumped["api_key"], dumped["extra_headers"]) == (ASTERISKS, {"X-Key": ASTERISKS})


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": "{} with a blank"},
        {"api_key": ["{}"]},
        {"api_keys": "{}"},
        {"extra_headers": {"X-Key": "{}\n"}},
        {"extra_headers": "{}"},
        {"extra_headers": {"X-Key": ["{}"]}},
        {"api_key_env": "{}"},
        {"base_url": "https://user:{}@host/v1"},
        {"base_url": "{}"},
        {"aws_secret_access_key": "{}\u00e9"},
        {"api_key": "{}", "api_key_env": "MY_KEY"},
        {"api_key": "{}", "timeout": -1},
        {"timeout": {"api_key": "{}"}},
        {"timeout": "{}"},
        {"structured_mode": "{}"},
        {"extra_headers": {"Authorization: Bearer {}": ""}},
    ],
)
def test_an_error_shows_no_secret(secret_key: str, fields: dict[str, object]) -> None:
    """Neither message, repr, traceback, chain nor pickle of an error contains the invalid value."""
    filled = json.loads(json.dumps(fields).replace("{}", secret_key))
    with pytest.raises(ConfigError) as caught:
        LLMConfig(**dict(filled, model="openai/a"))
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    shown = [str(error), repr(error), "".join(traceback.format_exception(error)), str(pickle.dumps(error))]
    assert not [text for text in shown if secret_key in text]


def test_a_file_s_error_shows_no_secret(project: Project, secret_key: str) -> None:
    """Unknown keys, wrong types and syntax errors are reported without the values in the file."""
    project.write(f'[llm]\nmodel = "openai/a"\napi_kye = "{secret_key}"\nextra_headers = "{secret_key}"\n')
    message = project.error(env={"LLM_AWS_SESSION_TOKEN": f"{secret_key} {secret_key}", "LLM_BASE_URL": secret_key})
    assert secret_key not in message
    assert message.startswith("4 mistakes")
    project.write(f'[llm]\napi_key = "{secret_key}\n')
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert secret_key not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_a_pickle_keeps_the_key_and_no_more(project: Project, secret_key: str) -> None:
    """A pickle contains the key, but no other contents of `.env`."""
    project.write('[llm]\nmodel = "openai/a"')
    project.write(f"OPENAI_API_KEY={secret_key}\nOTHER=of-another-program", ".env")
    config = project.load(api_key="explicit")
    resolved = project.load().resolved_key()
    assert resolved is not None
    assert resolved.get_secret_value() == secret_key
    pickled = pickle.dumps(config)
    assert b"explicit" in pickled
    assert b"of-another-program" not in pickled
