"""`asyncllm doctor`."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from asyncllm.cli.checks import is_placeholder, retirement
from asyncllm.models import ModelInfo, catalog
from asyncllm.simulator import Simulator
from tests.cli.conftest import Run
from tests.support.redis_server import MISSING, UNCLOSED_STREAMS, RedisServer, is_installed

MODEL = ["--set", "model=openai/gpt-5-mini"]


def checks(ran: Any) -> dict[str, str]:
    """Return the status of each check of the one profile."""
    return {check["name"]: check["status"] for check in ran.json}


def test_the_simulator_is_in_good_health(run: Run) -> None:
    """The profile that needs nothing passes everything."""
    ran = run("doctor")
    assert ran.code == 0
    assert "fail" not in ran.out
    assert all(word in ran.out for word in ("profile", "key", "model", "price", "endpoint"))


def test_a_provider_that_answers(run: Run, simulator: Simulator, at_provider: list[str], secret_key: str) -> None:
    """An endpoint is asked without a key, its clock compared, and nothing that costs is sent."""
    ran = run("doctor", "--json", *MODEL, "--set", f"base_url={simulator.url}")
    assert ran.code == 0
    well = dict.fromkeys(("profile", "key", "model", "price", "endpoint", "clock"), "ok")
    assert checks(ran) == {**well, "rate limits": "skip"}
    assert simulator.seen.keys == set()
    assert secret_key not in ran.out


def test_a_missing_key_fails_with_the_variable_to_set(run: Run) -> None:
    """Exit code 1, and the remedy names the variable."""
    ran = run("doctor", "--offline", *MODEL)
    assert ran.code == 1
    assert "OPENAI_API_KEY" in ran.out


@pytest.mark.parametrize(
    "key",
    ["sk-...", "sk-…", "your-key-here", "YOUR_API_KEY", "<key>", "xxx", "sk-xxxxxxxx", "changeme", "${KEY}", "****"],
)
def test_placeholders_are_no_keys(run: Run, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """A key out of a template fails before a call does."""
    monkeypatch.setenv("OPENAI_API_KEY", key.encode("ascii", "replace").decode())
    assert is_placeholder(key)
    if key.isascii():
        ran = run("doctor", "--offline", "--json", *MODEL)
        assert (ran.code, checks(ran)["key"]) == (1, "fail")


@pytest.mark.parametrize("key", ["sk-proj-4Hq9vYtXw2", "gsk_9aLk20fjsl3", "0f8d7a6b5c4e3d2c1b0a"])
def test_keys_are_no_placeholders(key: str) -> None:
    """What looks like a key passes."""
    assert not is_placeholder(key)


def test_an_endpoint_that_is_not_there(run: Run, at_provider: list[str]) -> None:
    """A refused connection fails, with what to look at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ran = run("doctor", *MODEL, "--set", f"base_url=http://127.0.0.1:{port}/v1")
    assert ran.code == 1
    assert "Connection refused" in ran.out
    assert "base_url" in ran.out


@pytest.fixture
def late_server() -> Iterator[str]:
    """A server whose clock is an hour slow."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            import time

            return super().date_time_string(time.time() - 3600)

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def test_a_clock_that_is_off_fails(run: Run, at_provider: list[str], late_server: str) -> None:
    """An hour between the clocks is said, with its direction; that the address is a 404 does not matter."""
    ran = run("doctor", "--json", *MODEL, "--set", f"base_url={late_server}")
    assert ran.code == 1
    assert checks(ran)["endpoint"] == "ok"
    clock = next(check for check in ran.json if check["name"] == "clock")
    assert clock["status"] == "fail"
    assert "ahead of" in clock["detail"]


def test_an_unknown_model_is_a_warning(run: Run, at_provider: list[str]) -> None:
    """A private model has no price and no limits, and works all the same: exit code 0."""
    ran = run("doctor", "--offline", "--json", "--set", "model=openai/our-own-model")
    assert ran.code == 0
    assert (checks(ran)["model"], checks(ran)["price"]) == ("warn", "warn")


def test_own_prices_count(run: Run, at_provider: list[str]) -> None:
    """A profile that says what its model costs is fine."""
    own = ["--set", "input_cost_per_token=0.000001", "--set", "output_cost_per_token=0.000002"]
    ran = run("doctor", "--offline", "--json", "--set", "model=openai/our-own-model", *own)
    assert checks(ran)["price"] == "ok"


def test_a_model_of_another_kind_fails(run: Run, at_provider: list[str]) -> None:
    """An embedding model cannot chat."""
    ran = run("doctor", "--offline", "--json", "--set", "model=openai/text-embedding-3-small")
    assert (ran.code, checks(ran)["model"]) == (1, "fail")


def test_a_misspelt_variable_is_noticed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not read is shown with the one that was meant."""
    monkeypatch.setenv("LLM_TEMPRATURE", "0")
    out = run("doctor", "--offline").out
    assert "LLM_TEMPRATURE" in out
    assert "LLM_TEMPERATURE" in out


def test_every_profile_is_looked_at(run: Run, directory: Path) -> None:
    """Without a name all profiles are checked, with a name one."""
    (directory / "config.toml").write_text('[llm]\nmodel = "simulated/a"\n[llm.fast]\nmodel = "simulated/b"\n')
    assert {check["profile"] for check in run("doctor", "--json").json} == {"default", "fast"}
    assert {check["profile"] for check in run("doctor", "fast", "--json").json} == {"fast"}


@pytest.mark.parametrize(
    ("options", "read"),
    [
        (["model=openai/gpt-5-mini"], "provider openai, by its prefix"),
        (["model=gpt-5-mini"], "provider openai, by litellm's map"),
        (["model=claude-3-5-sonnet-20241022"], "provider anthropic, by its family (claude), as litellm's map lacks it"),
        (["model=mine", "base_url=http://127.0.0.1:9/v1"], "a model of the OpenAI-compatible server at base_url"),
        (["model=mine", "base_url=https://api.groq.com/openai/v1"], "provider groq, by base_url"),
        (["model=mine", "custom_llm_provider=groq"], "provider groq, by custom_llm_provider"),
    ],
)
def test_how_the_name_of_the_model_was_read(run: Run, options: list[str], read: str) -> None:
    """The provider is shown with what named it."""
    ran = run("doctor", "--offline", "--json", *(part for one in options for part in ("--set", one)))
    assert read in ran.json[0]["detail"]


def test_a_server_of_ones_own_may_do_without_a_key(run: Run) -> None:
    """No key is sent to it, which is no failure."""
    ran = run("doctor", "--offline", "--json", "--set", "model=mine", "--set", "base_url=http://127.0.0.1:9/v1")
    assert (ran.code, checks(ran)["key"]) == (0, "warn")


def test_a_retired_model_is_a_warning(run: Run, at_provider: list[str]) -> None:
    """A model past the date that the map has is named with it, by both commands."""
    model, day = retired_model()
    ran = run("doctor", "--offline", "--json", "--set", f"model={model}")
    assert checks(ran)["model"] == "warn"
    assert f"the provider may have retired it on {day}" in ran.out
    assert f"the provider may have retired it on {day}" in run("profiles", "--set", f"model={model}").out


def retired_model() -> tuple[str, str]:
    """Return a model of OpenAI's that litellm's map has a past date for."""
    for key, entry in ((key, catalog.entry(key) or {}) for key in catalog.keys()):  # noqa: SIM118 - a function
        day = entry.get("deprecation_date")
        is_chat = entry.get("litellm_provider") == "openai" and entry.get("mode") == "chat"
        if is_chat and isinstance(day, str) and date.fromisoformat(day) <= date.today():
            return key, day
    raise AssertionError("no model of the map is past its date")


@pytest.mark.parametrize(
    ("days", "says"), [(None, None), (-1, "may have retired it on"), (0, "may have retired it on"), (90, "in 90 days")]
)
def test_when_the_end_of_a_model_is_reported(days: int | None, says: str | None) -> None:
    """Three months before its date; without a date, or long before it, nothing."""
    day = None if days is None else date.today() + timedelta(days)
    found = retirement(ModelInfo("m", "openai", deprecated_on=day))
    assert (found is None) == (says is None)
    assert says is None or says in (found or "")
    assert retirement(ModelInfo("m", "openai", deprecated_on=date.today() + timedelta(91))) is None


@pytest.mark.filterwarnings(UNCLOSED_STREAMS)
@pytest.mark.usefixtures("loses_redis")
def test_shared_limits_are_checked(run: Run, at_provider: list[str]) -> None:
    """A Redis that answers is shown with its version; one that does not, with what to do."""
    if not is_installed():
        pytest.skip(MISSING)
    with RedisServer() as redis:
        ran = run("doctor", "--json", "--set", "model=simulated/x", "--set", f"limits_url={redis.url}")
        found = {check["name"]: check for check in ran.json}["limits_url"]
        assert found["status"] == "ok"
        assert f"127.0.0.1:{redis.port}/0 answers: Redis " in found["detail"]
    ran = run("doctor", "--set", "model=simulated/x", "--set", f"limits_url=redis://:secret@127.0.0.1:{redis.port}")
    assert ran.code == 1
    assert "cannot be reached: Connection refused" in " ".join(ran.out.split())
    assert "secret" not in ran.out
