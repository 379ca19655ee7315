"""`asyncllm ask`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asyncllm.simulator import Fault, Latency, Simulator
from tests.cli.conftest import Run

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301010018dd8db0"
    "0000000049454e44ae426082"
)


def test_the_answer_is_all_of_stdout(run: Run) -> None:
    """stdout has the text and a line end; stderr is empty where it is no terminal."""
    ran = run("ask", "Why?")
    assert ran.code == 0
    assert ran.out.startswith('Simulated answer to: "Why?"')
    assert ran.out.endswith("\n")
    assert ran.err == ""


def test_the_answer_is_streamed(run: Run, simulator: Simulator, at_provider: list[str]) -> None:
    """A stream is asked for, unless somebody wants the whole."""
    assert run("ask", "Hi", *at_provider).code == 0
    assert run("ask", "Hi", "--no-stream", *at_provider).code == 0
    assert [exchange.stream for exchange in simulator.seen.exchanges] == [True, False]


def test_both_ways_give_the_same_text(run: Run) -> None:
    """Streamed or not, the output is the same."""
    assert run("ask", "Hi").out == run("ask", "Hi", "--no-stream").out


@pytest.mark.parametrize("arguments", [["-"], []], ids=["dash", "nothing"])
def test_the_prompt_may_come_from_stdin(run: Run, arguments: list[str]) -> None:
    """`-`, or no prompt at all, reads stdin."""
    ran = run("ask", *arguments, "--no-stream", stdin="What is ünïcödé?\n")
    assert ran.code == 0
    assert "What is ünïcödé?" in ran.out


def test_what_is_piped_in_follows_the_prompt(run: Run, simulator: Simulator, at_provider: list[str]) -> None:
    """`git diff | asyncllm ask "Explain"` sends both, the prompt first."""
    run("ask", "Explain:", "--system", "Be brief.", *at_provider, stdin="+ a line\n")
    system, user = simulator.seen.bodies[0]["messages"]
    assert (system["role"], system["content"]) == ("system", "Be brief.")
    assert user["content"] == "Explain:\n\n+ a line\n"


def test_json_is_one_object(run: Run) -> None:
    """`--json` gives what a script needs."""
    answer = run("ask", "Hi", "--json").json
    assert answer.keys() >= {"text", "usage", "cost_usd", "model", "finish_reason"}
    assert answer["text"].startswith("Simulated answer")
    assert answer["usage"]["output_tokens"] > 0
    assert answer["cost_usd"] > 0


def test_verbose_tells_tokens_and_cost(run: Run) -> None:
    """`-v` adds a line on stderr."""
    ran = run("ask", "Hi", "-v")
    assert "tokens" in ran.err
    assert "$0.0" in ran.err


def test_parameters_reach_the_provider(run: Run, simulator: Simulator, at_provider: list[str]) -> None:
    """The options are those of the call."""
    run("ask", "Hi", *at_provider, "--model", "openai/gpt-4o-mini", "--temperature", "0.3", "--max-tokens", "50")
    body = simulator.seen.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("gpt-4o-mini", 0.3, 50)


def test_images_are_sent(run: Run, directory: Path, simulator: Simulator, at_provider: list[str]) -> None:
    """`--image` takes files, which are sent, and addresses, which are handed on."""
    (directory / "pixel.png").write_bytes(PIXEL)
    ran = run("ask", "What is it?", *at_provider, "-i", "pixel.png", "-i", "https://example.com/a.png")
    assert ran.code == 0
    text, picture, address = simulator.seen.bodies[0]["messages"][0]["content"]
    assert text["text"] == "What is it?"
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")
    assert address["image_url"]["url"] == "https://example.com/a.png"


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        ([""], "", "PROMPT is empty"),
        (["-"], b"caf\xe9", "not UTF-8"),
        (["Hi", "--image", "nowhere.png"], "", "nowhere.png"),
        (["Hi", "--image", "config.toml"], "", "config.toml is not a picture"),
    ],
)
def test_what_cannot_be_asked_is_refused(run: Run, arguments: list[str], stdin: str | bytes, says: str) -> None:
    """Nothing is sent, and the error says why."""
    ran = run("ask", *arguments, stdin=stdin)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


def test_a_refused_call_is_one_error_with_a_hint(run: Run, simulator: Simulator, at_provider: list[str]) -> None:
    """What the provider says arrives without a traceback, and the exit code is 1."""
    simulator.faults(Fault("status", code=401))
    ran = run("ask", "Hi", *at_provider)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: ")
    assert "hint: " in ran.err
    assert "Traceback" not in ran.err


def test_debug_shows_the_traceback_without_values(
    run: Run, simulator: Simulator, at_provider: list[str], secret_key: str
) -> None:
    """`--debug` helps to find a mistake, and shows no key."""
    simulator.faults(Fault("status", code=500))
    ran = run("ask", "Hi", "--debug", *at_provider)
    assert "Traceback" in ran.err
    assert secret_key not in ran.err


def test_a_cut_answer_is_said_to_be_cut(run: Run) -> None:
    """Who reads a truncated answer is told so."""
    assert "cut by the token limit" in run("ask", "Hi", "--max-tokens", "3").err


def test_a_refusal_is_a_failure(run: Run) -> None:
    """A model that declines leaves stdout empty and exit code 1."""
    ran = run("ask", "Hi", "--set", 'extra_body={"simulator": {"refusal": "No, sorry."}}')
    assert (ran.code, ran.out) == (1, "")
    assert "No, sorry." in ran.err


def test_log_events_are_for_who_asks(run: Run) -> None:
    """`--log-json` writes each event as a line of JSON to stderr."""
    ran = run("ask", "Hi", "--no-stream", "--log-level", "debug", "--log-json")
    events = [json.loads(line) for line in ran.err.splitlines()]
    assert events
    assert all({"time", "level", "event"} <= event.keys() for event in events)


def test_ctrl_c_keeps_what_came_and_closes_the_connection(directory: Path, secret_key: str) -> None:
    """An interrupted answer stays on the screen, the provider stops, and the exit code is 130."""
    with Simulator(latency=Latency(tokens_per_s=20)) as provider:
        arguments = ["ask", "Tell me everything", "--model", "openai/gpt-5-mini", "--set", f"base_url={provider.url}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncllm", *arguments],
            env={**os.environ, "OPENAI_API_KEY": secret_key},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=directory,
        )
        assert process.stdout is not None
        first = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert (first + rest).startswith(b"Simul")
        assert rest.endswith(b"\n")
        assert err == b"interrupted\n"
        provider.seen.wait(lambda seen: seen.connections_open == 0)
        assert provider.seen.connections_aborted == 1


def test_a_reader_that_has_enough_ends_it_quietly(directory: Path) -> None:
    """`asyncllm ask ... | head -c 1` says nothing about the pipe."""
    command = (
        f"'{sys.executable}' -m asyncllm ask --set extra_body='{{\"simulator\": {{\"answer_tokens\": 50000}}}}' Hi"
    )
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -c 1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=directory,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("S", "")
