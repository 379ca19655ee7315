"""`asyncllm profiles`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

CONFIG = """
[llm]
model = "openai/gpt-5-mini"
api_key = "{key}"
temperature = 0.5

[llm.fast]
max_concurrency = 7

[llm.other]
model = "anthropic/claude-sonnet-4-5"
"""


@pytest.fixture
def config(directory: Path, secret_key: str) -> Path:
    """Three profiles, one of them with another provider."""
    path = directory / "config.toml"
    path.write_text(CONFIG.format(key=secret_key))
    return path


def test_values_and_origins(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each profile shows what is set, and where: file, table, variable or command line."""
    monkeypatch.setenv("LLM__FAST__TIMEOUT", "7")
    ran = run("profiles", "fast", "--set", "seed=3", "--set", "idle_timeout=1.5")
    lines = {line.split()[0]: line for line in ran.out.splitlines() if line.startswith("  ")}
    assert str(config) in ran.out
    assert lines["timeout"].split()[1] == "7"
    assert lines["idle_timeout"].split()[1] == "1.5"
    assert "[llm] in config.toml" in lines["temperature"]
    assert "[llm.fast] in config.toml" in lines["max_concurrency"]
    assert "LLM__FAST__TIMEOUT" in lines["timeout"]
    assert "argument" in lines["seed"]
    assert "top_p" not in lines


def test_tables_that_are_not_read(run: Run, config: Path) -> None:
    """A table `[profiles.NAME]` makes no profile, which is said."""
    config.write_text(config.read_text() + '[profiles.slow]\nmodel = "openai/gpt-5"\n')
    assert run("profiles").err == "[profiles.slow] is not read; did you mean [llm.slow]?\n"


def test_secrets_are_masked(run: Run, config: Path, secret_key: str) -> None:
    """A key shows as asterisks, in both forms."""
    for arguments in (["--all"], ["--json"]):
        ran = run("profiles", *arguments)
        assert "****" in ran.out
        assert secret_key not in ran.out


def test_what_was_not_inherited_is_said(run: Run, config: Path) -> None:
    """A profile with another provider shows that it has no key, and why."""
    assert "api_key  not inherited" in " ".join(run("profiles", "other").out.replace("\n", " ").split(" " * 3))


def test_all_shows_the_defaults(run: Run, config: Path) -> None:
    """`--all` has every field."""
    out = run("profiles", "fast", "--all").out
    assert "first_token_timeout" in out
    assert "as timeout" in out


def test_json_has_every_field_of_every_profile(run: Run, config: Path) -> None:
    """A script finds values and origins by name."""
    data = run("profiles", "--json").json
    assert data["file"] == str(config)
    assert data["profiles"].keys() == {"default", "fast", "other"}
    field = data["profiles"]["fast"]["fields"]["max_concurrency"]
    assert field == {"value": 7, "from": "[llm.fast] in config.toml", "kind": "file"}
    assert "api_key" in data["profiles"]["other"]["withheld"]


def test_mistakes_are_shown_all_at_once(run: Run, directory: Path) -> None:
    """A broken file is code 2, with each mistake."""
    (directory / "config.toml").write_text('[llm]\nmodel = "openai/x"\ntemprature = 1\n[llm.fast]\ntimeout = "long"\n')
    ran = run("profiles")
    assert (ran.code, ran.out) == (2, "")
    assert "temprature" in ran.err
    assert "timeout" in ran.err


def test_the_provider_of_a_model_is_shown(run: Run, config: Path) -> None:
    """With what named it, for people and for scripts."""
    line = next(line for line in run("profiles", "other").out.splitlines() if "└ provider" in line)
    assert line.split() == ["└", "provider", "anthropic", "by", "its", "prefix"]
    ran = run("profiles", "fast", "--json", "--set", "model=claude-3-5-sonnet-20241022")
    model = ran.json["profiles"]["fast"]["model"]
    assert (model["provider"], model["read_by"], model["known"]) == ("anthropic", "family", False)
    assert model["deprecated_on"] is None
