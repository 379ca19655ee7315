"""A project's own tests with recordings, run by pytest: recorded, then replayed without network, then changed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from asyncllm.simulator import Simulator
from tests.support.secrets import SECRET

SUITE = """
import os
import pytest
from asyncllm import LLM

@pytest.fixture
def llm():
    with LLM(model="openai/gpt-5-mini", base_url=os.environ["URL"], api_key=os.environ.get("KEY")) as llm:
        yield llm

@pytest.mark.asyncllm_recorded
def test_refunds(llm):
    assert "refund" in llm.completion("May I have a refund?").text

@pytest.mark.asyncllm_recorded("own.jsonl")
@pytest.mark.parametrize("number", [1])
def test_streams(llm, number):
    with llm.stream("Count.") as stream:
        assert "".join(chunk.text for chunk in stream)

@pytest.fixture
def answer(asyncllm_recording, llm):
    return llm.completion("Name a colour.").text

@pytest.mark.asyncllm_recorded("fixture.jsonl")
def test_fixture(answer, asyncllm_recording):
    assert "Name a colour." in answer
    assert asyncllm_recording.added + asyncllm_recording.played == 1

def test_without():
    pass
"""


def test_a_suite_is_recorded_and_replayed(
    pytester: pytest.Pytester, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Green without network and key; a changed prompt is one clear failure."""
    suite = pytester.makepyfile(test_shop=SUITE)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("URL", simulator.url)
    monkeypatch.setenv("KEY", SECRET)
    plugin = ("-p", "asyncllm.testing.pytest_plugin", "-q", "--strict-markers")
    pytester.runpytest_subprocess(*plugin).assert_outcomes(passed=4)
    files = sorted(str(file.relative_to(pytester.path)) for file in pytester.path.rglob("*.jsonl"))
    assert files == ["cassettes/test_shop/test_refunds.jsonl", "fixture.jsonl", "own.jsonl"]
    assert SECRET not in "".join(file.read_text() for file in pytester.path.rglob("*.jsonl"))
    assert simulator.seen.requests == 3
    monkeypatch.setenv("URL", "http://127.0.0.1:1/v1")
    monkeypatch.delenv("KEY")
    pytester.runpytest_subprocess(*plugin, "--asyncllm-record=none").assert_outcomes(passed=4)
    suite.write_text(suite.read_text().replace("May I have", "Can I get"))
    changed = pytester.runpytest_subprocess(*plugin)
    changed.assert_outcomes(passed=3, failed=1)
    shown = [
        "*is not in the recording*",
        '*+   "content": "Can I get a refund?"*',
        "*Record it: pytest --asyncllm-record=new *",
    ]
    changed.stdout.fnmatch_lines(shown)
    assert simulator.seen.requests == 3


SHOP_CONFIG = """
[llm]
model = "anthropic/claude-sonnet-4-5"
api_key_env = "ANTHROPIC_API_KEY"
temperature = 0.5

[llm.fast-one]
model = "openai/gpt-5-mini"
base_url = "https://api.example.com/v1"
api_key_env = "SHOP_KEY"
fallbacks = ["azure"]

[llm.azure]
model = "azure/chat"
base_url = "https://example.openai.azure.com"
api_version = "2024-10-21"
"""

SHOP_SUITE = """
import pytest
from asyncllm import LLM

@pytest.mark.parametrize("profile", [None, "fast-one", "azure"])
def test_a_profile(asyncllm_simulator, profile):
    with LLM(profile) as llm:
        assert llm.completion("Name a colour.").text
    assert asyncllm_simulator.seen.requests == 1

def test_its_own_options(asyncllm_simulator):
    with LLM() as llm:
        llm.completion("Name a colour.")
    assert asyncllm_simulator.seen.bodies[0]["temperature"] == 0.5

def test_the_variables_are_unset():
    assert LLM("fast-one").config.model == "openai/gpt-5-mini"
"""


def test_every_profile_calls_the_simulator(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `asyncllm_simulator`, whatever their models, endpoints and keys are; not without it."""
    pytester.makepyfile(test_shop=SHOP_SUITE)
    (pytester.path / "config.toml").write_text(SHOP_CONFIG)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("SHOP_KEY", SECRET)
    plugin = ("-p", "asyncllm.testing.pytest_plugin", "-q")
    pytester.runpytest_subprocess(*plugin).assert_outcomes(passed=5)


def test_pytest_finds_the_plugin() -> None:
    """It is declared to pytest."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["pytest11"] == {"asyncllm": "asyncllm.testing.pytest_plugin"}
