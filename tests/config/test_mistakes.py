"""Messages of mistakes: all at once, each with location and remedy."""

from __future__ import annotations

from collections import UserDict
from collections.abc import ItemsView

import pytest

from asyncllm.config import LLMConfig
from asyncllm.config.fields import field_kind
from asyncllm.errors import ConfigError

from .conftest import Project

MODEL = '[llm]\nmodel = "openai/gpt-5-mini"\n'

BROKEN = {
    "unknown key": (
        MODEL + "temprature = 0.2",
        "config.toml: [llm] temprature is not a known key; did you mean temperature?",
    ),
    "wrong type": (
        MODEL + 'timeout = "15"',
        'config.toml: [llm] timeout must be a number of seconds, not "15".',
    ),
    "a switch for a number": (
        MODEL + "num_retries = true",
        "config.toml: [llm] num_retries must be a whole number, not true.",
    ),
    "impossible value": (
        MODEL + "[llm.fast]\ntop_p = 1.5",
        "config.toml: [llm.fast] top_p must be 1 or less, not 1.5.",
    ),
    "word that is no choice": (
        MODEL + 'structured_mode = "tool"',
        "config.toml: [llm] structured_mode must be one of auto, tools, json_schema, json, md_json, "
        'not "tool"; did you mean tools?',
    ),
    "values that contradict each other": (
        MODEL + "retry_min_wait = 60",
        "config.toml: [llm] retry_min_wait is 60 s, longer than retry_max_wait (30 s, the default).",
    ),
    "missing model": (
        "[llm]\nseed = 1",
        'config.toml: [llm] has no model: add model = "openai/gpt-5-mini".',
    ),
    "unknown provider": (
        '[llm]\nmodel = "my-model"',
        "config.toml: [llm] model cannot be used: The provider of the model 'my-model' is unknown. "
        'Write "provider/model", or set custom_llm_provider. For a server with an '
        'OpenAI-compatible API, write "openai/<model>" and set base_url.',
    ),
    "two keys": (
        MODEL + 'api_key = "k"\napi_key_env = "K"',
        "config.toml: [llm] api_key_env is set together with api_key: keep one of them.",
    ),
    "a key for a variable's name": (
        MODEL + 'api_key_env = "gsk-0123456789abcdef"',
        "config.toml: [llm] api_key_env must be the name of an environment variable; the key itself goes into api_key.",
    ),
    "address without a scheme": (
        MODEL + 'base_url = "localhost:8000/v1"',
        'config.toml: [llm] base_url must be a URL, for example "https://api.example.com/v1".',
    ),
    "misspelled table": (
        MODEL + "[llm.extra_header]\nX-Team = 'a'",
        "config.toml: [llm.extra_header] is neither a field nor a profile with known keys; "
        "did you mean [llm.extra_headers]?",
    ),
    "table for a value": (
        MODEL + "[llm.timeout]\nseed = 1",
        "config.toml: [llm] timeout must be a number of seconds.",
    ),
    "text in a list": (
        MODEL + 'stop = ["END", 5]',
        "config.toml: [llm] stop (entry 2) must be a string.",
    ),
    "default as a table of its own": (
        MODEL + "[llm.default]\nseed = 1",
        "config.toml: [llm.default] cannot be a table of its own: [llm] is the default profile.",
    ),
    "a value for the table": (
        'llm = "openai/gpt-5-mini"',
        "config.toml: llm must be a table: write [llm] on a line of its own.",
    ),
    "syntax error": (
        "[llm]\nmodel = openai/gpt-5-mini\n",
        "config.toml is not valid TOML: invalid value (at line 2, column 9). A string needs quotes, as in "
        'model = "openai/gpt-5-mini"; true and false are lower case.',
    ),
    "a key twice": (
        MODEL + "seed = 1\nseed = 2\n[llm.fast]\n",
        "config.toml is not valid TOML: cannot overwrite a value (at line 4, column 9). "
        "A key can appear only once in a table.",
    ),
    "a table twice": (
        MODEL + "[llm.fast]\n[llm.fast]\n",
        "config.toml is not valid TOML: cannot declare ('llm', 'fast') twice (at line 4, column 10). "
        "A table can appear only once in a file.",
    ),
    "a string over two lines": (
        '[llm]\nmodel = "openai/\ngpt-5-mini"\n',
        "config.toml is not valid TOML: illegal character '\\n' (at line 2, column 17). "
        "A quoted string must end on the line it starts on.",
    ),
    "a key like no other": (
        MODEL + "xyzzy = 1",
        "config.toml: [llm] xyzzy is not a known key.",
    ),
    "a profile without a name": (
        MODEL + '[llm.""]\nseed = 1',
        'config.toml: [llm.""] has an empty name.',
    ),
    "a profile with a blank in its name": (
        MODEL + '[llm."with space"]\ntop_p = 2',
        'config.toml: [llm."with space"] top_p must be 1 or less, not 2.',
    ),
    "an amount": (
        MODEL + 'budget_usd = "5"',
        'config.toml: [llm] budget_usd must be a number of US dollars, not "5".',
    ),
    "misspelled base": (
        '[LLM]\nmodel = "openai/a"',
        "config.toml: has no [llm] table; should [LLM] be [llm]?",
    ),
    "only tables of others": (
        "[tool.other]\nx = 1",
        'config.toml: has no [llm] table: add one, with model = "openai/gpt-5-mini".',
    ),
    "misspelled model": (
        '[llm]\nModel = "openai/a"',
        "config.toml: [llm] Model is not a known key; did you mean model?",
    ),
}


class Unreadable(UserDict[str, object]):
    """A mapping that fails while it is read."""

    def items(self) -> ItemsView[str, object]:
        raise RuntimeError("gone")


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_has_one_clear_message(project: Project, kind: str) -> None:
    """Each kind of mistake is one line with file, table, key and remedy."""
    text, expected = BROKEN[kind]
    project.write(text)
    message = project.error()
    print(f"{kind}:\n    {message}")
    assert message == expected


def test_all_mistakes_are_listed_at_once(project: Project) -> None:
    """Mistakes of the file, of all its profiles, of variables and of arguments are numbered lines of one message."""
    project.write(MODEL + 'seed = "a"\ntemprature = 1\n[llm.other]\ntimeout = -1\n')
    project.write("LLM_TOP_P=high", ".env")
    message = project.error(env={"LLM__OTHER__MAX_REASKS": "1.5", "LLM_DROP_PARAMS": "maybe"}, max_tokens=5)
    print(message)
    assert message.splitlines() == [
        "7 mistakes in the configuration:",
        '  1. config.toml: [llm] seed must be a whole number, not "a".',
        "  2. config.toml: [llm] temprature is not a known key; did you mean temperature?",
        '  3. .env: LLM_TOP_P must be a number, not "high".',
        '  4. environment: LLM_DROP_PARAMS must be true or false, not "maybe".',
        "  5. config.toml: [llm.other] timeout must be greater than 0, not -1.",
        '  6. environment: LLM__OTHER__MAX_REASKS must be a whole number, not "1.5".',
        "  7. argument: max_tokens is not a known key; did you mean max_output_tokens?",
    ]


def test_an_inherited_contradiction_is_listed_once(project: Project) -> None:
    """What is wrong in `[llm]` is not repeated for each profile that inherits it."""
    project.write(MODEL + "retry_max_wait = 0.1\n[llm.one]\n[llm.two]\n")
    assert project.error() == (
        "config.toml: [llm] retry_max_wait is 0.1 s, shorter than retry_min_wait (0.5 s, the default)."
    )


def test_a_contradiction_between_sources_is_found(project: Project) -> None:
    """Values of different sources are validated together."""
    project.write(MODEL + "retry_max_wait = 10\n")
    assert project.error(retry_min_wait=20) == ("argument: retry_min_wait is 20 s, longer than retry_max_wait (10 s).")


def test_a_profile_that_is_not_there(project: Project) -> None:
    """The error for an unknown profile has the nearest name and all existing ones."""
    project.write(MODEL + "[llm.fast]\n[llm.backup]\n")
    assert project.error("fsat") == (
        'config.toml: has no profile "fsat", only default, fast, backup; did you mean fast?'
    )


def test_a_profile_without_a_file(project: Project) -> None:
    """The error for a profile without a file says that no file was found."""
    assert project.error("fast") == 'configuration: there is no profile "fast", because no config.toml was found.'


@pytest.mark.parametrize("name", ["simulated/demo", "gpt-4o-mini"])
@pytest.mark.parametrize("text", [None, MODEL], ids=["without a file", "with one"])
def test_a_model_in_the_place_of_a_profile(project: Project, name: str, text: str | None) -> None:
    """The error says how a model is named."""
    if text is not None:
        project.write(text)
    assert project.error(name).endswith(f'; a model is named AsyncLLM(model="{name}").')


@pytest.mark.parametrize("text", ["", MODEL], ids=["no profile", "another"])
def test_tables_named_profiles(project: Project, text: str) -> None:
    """The error shows the table to write instead."""
    project.write(text + '[profiles.fast]\nmodel = "openai/gpt-5-mini"\n')
    said = "config.toml: [profiles.fast] is not read; did you mean [llm.fast]?"
    assert project.error("fast") == said
    if not text:
        assert project.error() == said


def test_nothing_configured_at_all(project: Project) -> None:
    """Without file, variable and argument the message shows the three ways to name a model."""
    assert project.error() == (
        "configuration: no model is set, and no config.toml was found: create one with [llm] and "
        'model = "openai/gpt-5-mini", set LLM_MODEL, or pass model= as an argument.'
    )


def test_a_default_without_a_model_points_to_the_profiles(project: Project) -> None:
    """When only profiles have models, asking for none lists them."""
    project.write('[llm]\nseed = 1\n[llm.fast]\nmodel = "openai/a"')
    assert project.error().endswith("or select another profile: fast.")


def test_a_wrong_model_is_not_reported_as_missing_too(project: Project) -> None:
    """One mistake is one line."""
    project.write('[llm]\nmodel = 5\napi_key = "k"')
    assert project.error() == "config.toml: [llm] model must be a string, not 5."


def test_an_unknown_field_of_a_known_profile_s_variable_is_a_mistake(project: Project) -> None:
    """A variable for a profile of the file must name a field."""
    project.write(MODEL + "[llm.fast]\n")
    assert project.error(env={"LLM__FAST__TIMEOUTS": "1"}) == (
        "environment: LLM__FAST__TIMEOUTS is not a known key; did you mean timeout?"
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"timeout": float("inf")}, "timeout must be a finite number, not inf."),
        ({"timeout": 0}, "timeout must be greater than 0, not 0."),
        ({"temperature": -0.1}, "temperature must be 0 or more, not -0.1."),
        ({"temperature": True}, "temperature must be a number, not true."),
        ({"num_retries": -1}, "num_retries must be 0 or more, not -1."),
        ({"num_retries": 2.0}, "num_retries must be a whole number, not 2.0."),
        ({"max_output_tokens": "many"}, 'max_output_tokens must be a whole number of tokens, not "many".'),
        ({"retry_multiplier": 0.5}, "retry_multiplier must be 1 or more, not 0.5."),
        ({"model": ""}, "model must be a non-empty string."),
        ({"stop": 5}, "stop must be a list of strings, not 5."),
        ({"extra_body": [1]}, "extra_body must be a table."),
        ({"extra_headers": {"X Y": "1"}}, "extra_headers contains an invalid header name"),
        ({"base_url": "https://me:pw@host/v1"}, "base_url must not contain a user name or password"),
        ({"base_url": "http://host:port/v1"}, "base_url must be a URL"),
        ({"api_key": ""}, "api_key must not be empty."),
        (
            {"api_key": "a pw"},
            "api_key must not contain spaces, line breaks or characters outside ASCII.",
        ),
        ({"extra_body": Unreadable()}, "extra_body must be a table."),
        ({"transport": "http"}, "transport must be one of auto, litellm, wire, "),
        ({"cache_mode": "never"}, "cache_mode must be one of use, off, refresh, only, "),
        ({"adaptive": "often"}, "adaptive must be true or false"),
        ({"max_queue": -1}, "max_queue must be 0 or more"),
        ({"budget_usd": 0}, "budget_usd must be greater than 0"),
    ],
)
def test_a_value_given_in_code_is_checked_alike(fields: dict[str, object], expected: str) -> None:
    """`LLMConfig` refuses the same values as a file, and shows no password."""
    with pytest.raises(ConfigError) as caught:
        LLMConfig(**{"model": "openai/a", **fields})  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"argument: {expected}")
    assert "pw" not in str(caught.value)


UNITS = {
    " of bytes": {"cache_max_bytes", "call_log_max_bytes"},
    " of days": {"call_log_max_age"},
    " of seconds": {
        *("timeout", "connect_timeout", "first_token_timeout", "idle_timeout", "deadline"),
        *("retry_min_wait", "retry_max_wait", "cache_ttl"),
    },
    " of tokens": {"max_input_tokens", "max_output_tokens"},
    " of US dollars": {
        *("budget_usd", "tenant_budget_usd"),
        *("input_cost_per_token", "output_cost_per_token", "cached_input_cost_per_token"),
    },
}


@pytest.mark.parametrize("name", [name for name in LLMConfig.model_fields if field_kind(name) in (int, float)])
def test_a_text_for_a_number_is_refused_with_its_unit(name: str) -> None:
    """Every field that is a number says which it wants, and of what."""
    with pytest.raises(ConfigError) as caught:
        LLMConfig(**{"model": "openai/a", name: "x"})  # type: ignore[arg-type]
    number = "a whole number" if field_kind(name) is int else "a number"
    unit = next((unit for unit, names in UNITS.items() if name in names), "")
    assert str(caught.value) == f'argument: {name} must be {number}{unit}, not "x".'


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("api_base", "base_url"),
        ("custom_provider", "custom_llm_provider"),
        ("headers", "extra_headers"),
        ("max_completion_tokens", "max_output_tokens"),
        ("max_retries", "num_retries"),
        ("max_tokens", "max_output_tokens"),
        ("provider", "custom_llm_provider"),
        ("rpm", "requests_per_minute"),
        ("tpm", "tokens_per_minute"),
    ],
)
def test_names_of_other_libraries_are_recognised(name: str, field: str) -> None:
    """A field under the name of another library is reported with ours."""
    with pytest.raises(ConfigError) as caught:
        LLMConfig(**{"model": "openai/a", name: "1"})  # type: ignore[arg-type]
    assert str(caught.value) == f"argument: {name} is not a known key; did you mean {field}?"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("structured_mode", ("auto", "tools", "json_schema", "json", "md_json")),
        ("transport", ("auto", "litellm", "wire")),
        ("cache_mode", ("use", "off", "refresh", "only")),
    ],
)
def test_every_choice_is_accepted(name: str, words: tuple[str, ...]) -> None:
    """A field of a few words takes each of them."""
    assert tuple(getattr(LLMConfig(**{"model": "openai/a", name: word}), name) for word in words) == words  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('[llm]\nmodel = "my-model"\n', ["model"]),
        ('[llm]\napi_key_env = "KEY"\n[llm.fast]\nmodel = "openai/a"\n', ["api_key_env"]),
        ("llm = 5", ["llm"]),
        (MODEL + "[llm.default]\n", [""]),
    ],
)
def test_a_mistake_has_the_key_that_it_is_about(project: Project, text: str, keys: list[str]) -> None:
    """A program can find the field of a mistake; one about a table has none."""
    project.write(text)
    assert [mistake.key for mistake in project.profiles().mistakes] == keys


def test_data_that_is_no_table_is_refused() -> None:
    """Validating anything but a mapping is a ConfigError too."""
    with pytest.raises(ConfigError, match=r"^argument: profile "):
        LLMConfig.model_validate(5)


def test_a_missing_model_in_code() -> None:
    """The error of `LLMConfig()` shows what to add."""
    with pytest.raises(ConfigError, match=r'argument: model is missing: set it, for example model = "openai/gpt'):
        LLMConfig()  # type: ignore[call-arg]
