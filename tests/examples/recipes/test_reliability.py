"""Recipes for reliability and money: fallbacks, several keys, budgets, recordings."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from asyncllm.simulator import Fault, Simulator

from .conftest import RECIPES, Run


@pytest.fixture
def providers(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, secret_key: str) -> Simulator:
    """The simulator as OpenAI and as Anthropic, for recipes with a configuration of their own."""
    for name in ("MODEL", "BASE_URL", "API_KEY"):
        monkeypatch.delenv(f"LLM_{name}")
    for name, url in {"OPENAI": simulator.url, "ANTHROPIC": simulator.root_url}.items():
        monkeypatch.setenv(f"{name}_API_KEY", secret_key)
        monkeypatch.setenv(f"{name}_API_BASE", url)
        monkeypatch.setenv(f"{name}_BASE_URL", url)
    return simulator


def test_the_next_model_answers(run: Run, providers: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """An overloaded Claude and a rejected gpt-5-mini are left for the last one."""
    providers.faults(Fault("status", code=529, model="claude*"), Fault("status", code=404, model="gpt-5-mini"))
    assert run("fallback_chain") == 0
    tried = [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert tried == [
        "anthropic/claude-sonnet-4-5",
        "anthropic/claude-sonnet-4-5",
        "openai/gpt-5-mini",
        "openai/gpt-4o-mini",
    ]


def test_keys_take_turns(
    run: Run, providers: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Calls are shared out by the rates of the accounts."""
    monkeypatch.setenv("OPENAI_KEY_1", "key-of-the-first")
    monkeypatch.setenv("OPENAI_KEY_2", "key-of-the-second")
    monkeypatch.setenv("LLM__KEY_1__REQUESTS_PER_MINUTE", "50000")
    monkeypatch.setenv("LLM__KEY_2__REQUESTS_PER_MINUTE", "20000")
    assert run("several_keys") == 0
    assert capsys.readouterr().out.splitlines() == ["key-1: 15 calls", "key-2: 6 calls"]
    assert sorted(providers.seen.per_key.values()) == [6, 15]


def test_an_account_without_credit_is_left_for_the_other(
    run: Run, providers: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every call is answered."""
    monkeypatch.setenv("OPENAI_KEY_1", "key-of-the-first")
    monkeypatch.setenv("OPENAI_KEY_2", "key-of-the-second")
    monkeypatch.setenv("LLM__KEY_1__REQUESTS_PER_MINUTE", "50000")
    monkeypatch.setenv("LLM__KEY_2__REQUESTS_PER_MINUTE", "50000")
    providers.faults(Fault("status", code=429, reason="quota", key="key-of-the-first"))
    assert run("several_keys") == 0
    assert capsys.readouterr().out.splitlines() == ["key-2: 21 calls"]


def test_a_customers_spending_outlives_the_process(
    run: Run, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the month's budget is spent nothing is sent; another customer is served."""
    assert run("customer_budget", "acme") == 0
    with sqlite3.connect("accounts.sqlite") as database:
        [(customer, usd)] = database.execute("SELECT customer, usd FROM spent").fetchall()
        assert (customer, usd > 0) == ("acme", True)
        database.execute("UPDATE spent SET usd = 1")
    database.close()
    assert run("customer_budget", "acme") == 1
    assert simulator.seen.requests == 1
    assert "acme has spent $1.0000 of $0.0100" in capsys.readouterr().err
    assert run("customer_budget", "globex") == 0


def test_a_recorded_test_needs_no_provider(pytester: pytest.Pytester, simulator: Simulator) -> None:
    """It passes from its recording with recording forbidden, and without a key."""
    shutil.copy(RECIPES / "test_recorded.py", pytester.path)
    shutil.copytree(RECIPES / "cassettes", pytester.path / "cassettes")
    result = pytester.runpytest_inprocess("--asyncllm-record=none", "-p", "no:cacheprovider", "test_recorded.py")
    result.assert_outcomes(passed=1)
    assert simulator.seen.requests == 0


def test_the_recording_is_read(pytester: pytest.Pytester) -> None:
    """Without it the same test fails, so that the one above means something."""
    shutil.copy(RECIPES / "test_recorded.py", pytester.path)
    result = pytester.runpytest_inprocess("--asyncllm-record=none", "-p", "no:cacheprovider", "test_recorded.py")
    result.assert_outcomes(failed=1)
    assert not Path(pytester.path / "cassettes").exists()
