"""Recipes for conversations: tools, history, reasoning, prompt caching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asyncllm import AsyncLLM, Message, ToolCall
from asyncllm.simulator import Simulator

from .conftest import Load, Run


def scripted(**script: object) -> dict[str, Any]:
    """Return the field of a request that tells the simulator what to answer."""
    return {"simulator": script}


def test_the_answer_uses_the_tools_result(run: Run, simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """The model calls the tool, and answers when it has the result."""
    assert run("tool_loop") == 0
    assert "21 degrees and a clear sky in Paris" in capsys.readouterr().out
    assert [message["role"] for message in simulator.seen.bodies[-1]["messages"]] == ["user", "assistant", "tool"]


@pytest.mark.anyio
async def test_bad_calls_go_back_to_the_model(load: Load) -> None:
    """An unknown tool and unreadable arguments are results that say so, each with its call's id."""
    recipe = load("tool_loop")
    calls = [{"name": "nothing", "arguments": {}}, {"name": "weather", "arguments": "{"}]
    async with AsyncLLM() as llm:
        completion = await llm.acompletion("hi", tools=recipe["SCHEMAS"], extra_body=scripted(tool_calls=calls))
        results = await recipe["run_all"](completion.tool_calls)
    assert [result.tool_call_id for result in results] == [call.id for call in completion.tool_calls]
    assert ["KeyError" in results[0].content, "ValidationError" in results[1].content] == [True, True]


@pytest.mark.anyio
async def test_a_model_that_goes_round_in_circles_is_stopped(load: Load) -> None:
    """The loop is bounded."""
    recipe = load("tool_loop")
    calls = [{"name": "weather", "arguments": {"city": "Paris"}}]
    async with AsyncLLM(extra_body=scripted(tool_calls=calls)) as llm:
        with pytest.raises(RuntimeError, match="no answer after 3 rounds"):
            await recipe["answer"](llm, "hi", rounds=3)


def test_a_conversation_remembers(run: Run, simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    """Each question is sent with what was said before."""
    assert run("conversation", stdin="One?\nTwo?\n") == 0
    assert '"Two?"' in capsys.readouterr().out
    roles = [message["role"] for message in simulator.seen.bodies[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


@pytest.mark.anyio
async def test_the_oldest_turns_are_left_out(load: Load, simulator: Simulator) -> None:
    """The system prompt stays, turns go whole, and a tool's result never goes without its call."""
    recipe = load("conversation")
    async with AsyncLLM() as llm:
        conversation = recipe["Conversation"](llm, "Be brief.", max_tokens=150)
        conversation.turns = [
            Message.user("x" * 400),
            Message("assistant", tool_calls=[ToolCall("1", "f")]),
            Message.tool_result("1", "y" * 400),
            Message("assistant", "z"),
            Message.user("short"),
            Message("assistant", "answer"),
        ]
        await conversation.say("And now?")
    sent = simulator.seen.bodies[-1]["messages"]
    assert [(message["role"], message["content"]) for message in sent] == [
        ("system", "Be brief."),
        ("user", "short"),
        ("assistant", "answer"),
        ("user", "And now?"),
    ]


@pytest.mark.anyio
async def test_the_last_question_is_always_sent(load: Load, simulator: Simulator) -> None:
    """A question that is too long by itself is the provider's to judge."""
    recipe = load("conversation")
    async with AsyncLLM() as llm:
        await recipe["Conversation"](llm, "Be brief.", max_tokens=10).say("x" * 400)
    assert len(simulator.seen.bodies[-1]["messages"]) == 2


def test_thoughts_and_answer_are_apart(
    run: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The effort is sent; thoughts go to stderr, with what they took."""
    monkeypatch.setenv("LLM_MODEL", "openai/o3-mini")
    monkeypatch.setenv("LLM_EXTRA_BODY", json.dumps(scripted(reasoning="Let me think.", text="Five cents.")))
    assert run("reasoning") == 0
    said = capsys.readouterr()
    assert said.out == "Five cents."
    assert said.err.startswith("Let me think.")
    assert simulator.seen.bodies[-1]["reasoning_effort"] == "high"


def test_an_answer_that_thoughts_crowded_out_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remedy is in the message."""
    monkeypatch.setenv("LLM_EXTRA_BODY", json.dumps(scripted(text="", finish_reason="length")))
    with pytest.raises(ValueError, match="raise max_output_tokens"):
        run("reasoning")
    capsys.readouterr()


def test_the_document_is_read_from_the_cache(
    run: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first question writes it, the second reads it, for a tenth of the price."""
    monkeypatch.setenv("LLM_MODEL", "anthropic/claude-sonnet-4-5")
    monkeypatch.setenv("LLM_BASE_URL", simulator.root_url)
    Path("handbook.txt").write_text("Section 1. Everything is permitted. " * 500)
    assert run("prompt_caching", "handbook.txt", "What?", "Why?") == 0
    wrote, read = capsys.readouterr().err.splitlines()
    assert "0 read from it" in wrote
    assert " 0 written to the cache" in read
    assert float(read.rpartition("$")[2]) < float(wrote.rpartition("$")[2]) / 3
    assert simulator.seen.bodies[0]["system"][-1]["cache_control"] == {"type": "ephemeral"}
