"""Environment variables and `.env`: their values, their precedence, and that they are only read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from asyncllm.config import load_config
from asyncllm.config.environment import Environment, parse_value
from asyncllm.errors import ConfigError

from .conftest import Project, secret

MODEL = '[llm]\nmodel = "openai/gpt-5-mini"\n'


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("LLM_DROP_PARAMS", "No", False),
        ("LLM_LOG_PROMPTS", "on", True),
        ("LLM_NUM_RETRIES", " 7 ", 7),
        ("LLM_TEMPERATURE", "0.25", 0.25),
        ("LLM_STOP", "END, STOP", ("END", "STOP")),
        ("LLM_STOP", '[",", "\\n"]', (",", "\n")),
        ("LLM_EXTRA_BODY", '{"a": {"b": [1]}}', {"a": {"b": [1]}}),
        (
            "LLM_SAFETY_SETTINGS",
            '{"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}',
            ({"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},),
        ),
        ("LLM_REASONING_EFFORT", "high", "high"),
    ],
)
def test_text_becomes_the_type_of_its_field(project: Project, variable: str, text: str, expected: object) -> None:
    """The text of a variable is read as the field it is for."""
    project.write(MODEL)
    assert getattr(project.load(env={variable: text}), variable.removeprefix("LLM_").lower()) == expected


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        *((word, bool, True) for word in ("true", "Yes", "ON", " 1 ")),
        *((word, bool, False) for word in ("false", "No", "OFF", " 0 ")),
        ("maybe", bool, "maybe"),
        (" 7 ", int, 7),
        ("7.5", int, "7.5"),
        (" 0.5 ", float, 0.5),
        ("a, b,,", list, ["a", "b"]),
        (' ["a,b"] ', list, ["a,b"]),
        ("[a", list, "[a"),
        (' {"a": 1} ', dict, {"a": 1}),
        ("{a", dict, "{a"),
        ("a", dict, "a"),
        (" a ", str, " a "),
        ("[1]", str, "[1]"),
    ],
)
def test_text_that_does_not_parse_stays_text(text: str, kind: type, expected: object) -> None:
    """A value is converted to its type, without the spaces around it; otherwise it is left for validation."""
    assert parse_value(text, kind) == expected


def test_an_empty_variable_counts_as_not_set(project: Project) -> None:
    """An empty variable overrides nothing."""
    project.write(MODEL + "seed = 3")
    assert project.load(env={"LLM_SEED": ""}).seed == 3


def test_dotenv_counts_as_environment(project: Project, secret_key: str) -> None:
    """`LLM_API_KEY` and `LLM_BASE_URL` in `.env` override the file, and the usual variables are found there."""
    project.write(MODEL + 'api_key = "of-the-file"')
    project.write(f"LLM_API_KEY={secret_key}\nexport LLM_BASE_URL='http://127.0.0.1:9/v1' # local\n", ".env")
    config = project.load()
    assert (secret(config), config.base_url) == (secret_key, "http://127.0.0.1:9/v1")


def test_dotenv_never_overrides_the_environment(project: Project) -> None:
    """A variable that the environment has, even an empty one, is not taken from `.env`."""
    project.write(MODEL)
    project.write("LLM_SEED=1\nLLM_TOP_K=1\nLLM_TIMEOUT=9", ".env")
    config = project.load(env={"LLM_SEED": "2", "LLM_TOP_K": ""})
    assert (config.seed, config.top_k, config.timeout) == (2, None, 9.0)


def test_dotenv_is_the_one_beside_the_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file, `.env` of the working directory does not count."""
    project.write(MODEL)
    project.write("LLM_SEED=1", ".env")
    project.write("LLM_SEED=2", "below/.env")
    monkeypatch.chdir(project.root / "below")
    assert project.load().seed == 1


def test_dotenv_of_the_working_directory_counts_without_a_file(project: Project) -> None:
    """Without a file, `.env` of the working directory does."""
    project.write("LLM_MODEL=openai/gpt-5-mini", ".env")
    assert project.load().model == "openai/gpt-5-mini"


def test_dotenv_values_are_taken_as_they_stand(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `$` in a value is not expanded, and a byte order mark is not part of the first name."""
    monkeypatch.setenv("UNRELATED", "wrong")
    (project.root / ".env").write_text("\ufeffLLM_MODEL=openai/a\nOPENAI_API_KEY=a${UNRELATED}$b", encoding="utf-8")
    assert secret(project.load()) == "a${UNRELATED}$b"


def test_a_directory_named_dotenv_is_ignored(project: Project) -> None:
    """A virtual environment called `.env` is not read."""
    project.write(MODEL)
    (project.root / ".env").mkdir()
    assert project.load().model == "openai/gpt-5-mini"


def test_an_unreadable_dotenv_is_named(project: Project) -> None:
    """A `.env` that is not text is an error with its path."""
    project.write(MODEL)
    (project.root / ".env").write_bytes(b"LLM_SEED=\xff\xfe")
    assert project.error() == ".env cannot be read: it is not UTF-8 text."


def test_foreign_variables_are_ignored_and_listed(project: Project) -> None:
    """Unknown variables change nothing; one that resembles a field is listed with the name that was meant."""
    project.write(MODEL + "[llm.fast]\n")
    env = {"LLM_TEMPRATURE": "hot", "LLM_ZZZZ": "1", "llm_seed": "1", "LLM__OTHER__XYZ": "1", "LLM_SEED": "5"}
    profiles = project.profiles(env)
    assert profiles.mistakes == ()
    assert profiles.ignored_variables["LLM_TEMPRATURE"] == "LLM_TEMPERATURE"
    assert profiles.ignored_variables["LLM_ZZZZ"] is None
    assert set(profiles.ignored_variables) == {"LLM_TEMPRATURE", "LLM_ZZZZ", "LLM__OTHER__XYZ"}


def test_variables_of_other_programs_are_not_listed(project: Project) -> None:
    """Only variables that begin with `LLM_` can be misspelt fields, in `.env` too."""
    project.write(MODEL)
    project.write("DATABASE_URL=x\nLLM_TEMPRATURE=1", ".env")
    assert project.profiles({"HOME": "x"}).ignored_variables == {"LLM_TEMPRATURE": "LLM_TEMPERATURE"}


def test_a_pickled_profile_keeps_its_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch, secret_key: str
) -> None:
    """The key of a given environment, and that of its own `.env`, are found after a pickle, in any directory."""
    project.write(MODEL)
    given = pickle.dumps(project.load(env={"OPENAI_API_KEY": secret_key}))
    project.write(f"OPENAI_API_KEY={secret_key}", ".env")
    found = pickle.dumps(project.load())
    (project.root / "elsewhere").mkdir()
    monkeypatch.chdir(project.root / "elsewhere")
    assert secret(pickle.loads(given)) == secret(pickle.loads(found)) == secret_key


def test_an_environment_shows_its_file_and_no_values(project: Project, secret_key: str) -> None:
    """The repr has the path of the `.env` file only."""
    path = project.root / ".env"
    assert repr(Environment({"OPENAI_API_KEY": secret_key}, path)) == f"Environment(dotenv={path})"


def test_the_longest_name_owns_a_variable(project: Project) -> None:
    """`LLM__A__B__SEED` is for `a--b`, not a strange field of `a`."""
    project.write(MODEL + "[llm.a]\n[llm.a--b]\n")
    env = {"LLM__A__B__SEED": "1"}
    assert (project.load("a", env).seed, project.load("a--b", env).seed) == (None, 1)


def test_a_variable_for_two_profiles_is_a_mistake(project: Project) -> None:
    """A variable that matches two profiles is refused."""
    project.write(MODEL + "[llm.a-b]\n[llm.a_b]\n")
    assert project.load("a-b").model == "openai/gpt-5-mini"
    assert project.error("a-b", {"LLM__A_B__SEED": "1"}) == (
        "environment: LLM__A_B__SEED may be for [llm.a-b] and [llm.a_b]: rename one of them."
    )


def test_the_environment_is_never_written(project: Project, secret_key: str) -> None:
    """Loading with `.env` and finding the key leave `os.environ` as it was."""
    project.write(MODEL)
    project.write(f"OPENAI_API_KEY={secret_key}\nLLM_SEED=1", ".env")
    before = dict(os.environ)
    config = load_config()
    assert secret(config) == secret_key
    assert dict(os.environ) == before


def test_the_key_is_looked_up_when_it_is_needed(
    project: Project, monkeypatch: pytest.MonkeyPatch, secret_key: str
) -> None:
    """A key that changes in the environment of the process is seen."""
    project.write(MODEL)
    config = load_config()
    assert secret(config) is None
    monkeypatch.setenv("OPENAI_API_KEY", secret_key)
    assert secret(config) == secret_key


def test_api_key_env_names_the_variable(project: Project, secret_key: str) -> None:
    """The variable that `api_key_env` names is looked up in the environment, then in `.env`, and not the usual one."""
    project.write(MODEL + 'api_key_env = "MY_KEY"')
    project.write("MY_KEY=of-dotenv", ".env")
    assert secret(project.load(env={"OPENAI_API_KEY": "usual"})) == "of-dotenv"
    assert secret(project.load(env={"MY_KEY": f" {secret_key}\n"})) == secret_key


def test_an_unset_variable_matters_only_when_the_key_does(project: Project) -> None:
    """A profile whose variable is not set loads; resolving its key raises with variable, file and table."""
    project.write(MODEL + '[llm.fast]\napi_key_env = "MY_KEY"')
    config = project.load("fast")
    with pytest.raises(ConfigError) as caught:
        config.resolved_key()
    assert str(caught.value) == (
        "config.toml: [llm.fast] api_key_env names MY_KEY, which is set neither in the environment "
        "nor in .env. Set MY_KEY, or name the variable that holds the key."
    )


def test_a_variable_that_holds_no_key_is_refused_by_name(project: Project, secret_key: str) -> None:
    """A key that no header can carry is refused without being shown."""
    project.write(MODEL)
    with pytest.raises(ConfigError, match="The variable OPENAI_API_KEY must not contain spaces, line breaks"):
        project.load(env={"OPENAI_API_KEY": f"{secret_key} {secret_key}"}).resolved_key()


def test_the_usual_variable_of_the_endpoint_is_found(project: Project) -> None:
    """Without `base_url` the provider's usual variable names the endpoint; `base_url` wins over it."""
    project.write(MODEL)
    env = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    assert project.load().resolved_base_url() is None
    assert project.load(env=env).resolved_base_url() == "http://127.0.0.1:1/v1"
    assert project.load(env=env, base_url="http://127.0.0.1:2/v1").resolved_base_url() == "http://127.0.0.1:2/v1"


def test_a_key_of_another_name_is_seen_in_dotenv_beside_a_named_file(tmp_path: Path, secret_key: str) -> None:
    """A file given by path has its own `.env`."""
    (tmp_path / "mine.toml").write_text(MODEL, encoding="utf-8")
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={secret_key}", encoding="utf-8")
    assert secret(load_config(path=tmp_path / "mine.toml", env={})) == secret_key
