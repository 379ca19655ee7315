"""`caching_prompt`: cache marks on the system prompt and the last user turn."""

from __future__ import annotations

from typing import Any

import pytest

from asyncllm import AsyncLLM, Message
from asyncllm.messages import to_dicts, with_cache_marks
from asyncllm.simulator import Simulator

MARK = {"type": "ephemeral"}


def text(content: str) -> dict[str, Any]:
    """Return a text part."""
    return {"type": "text", "text": content}


def marked(content: str) -> list[dict[str, Any]]:
    """Return the content of a marked text."""
    return [{**text(content), "cache_control": MARK}]


def test_the_last_system_message_and_the_last_user_turn_are_marked() -> None:
    """All other messages stay as they are, and so do the caller's."""
    messages = to_dicts(
        [
            Message.system("S1"),
            Message.system("S2"),
            Message.user("U1"),
            Message("assistant", "A1"),
            Message.user("U2"),
            Message("assistant", "A2"),
        ]
    )
    before = [dict(message) for message in messages]
    result = with_cache_marks(messages)
    assert [message["content"] for message in result] == ["S1", marked("S2"), "U1", "A1", marked("U2"), "A2"]
    assert [message["role"] for message in result] == [message["role"] for message in messages]
    assert list(messages) == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([text("a"), text("b")], [text("a"), *marked("b")]),
        (["a", "b"], ["a", *marked("b")]),
        ([{**text("a"), "cache_control": {"type": "other"}}], marked("a")),
        ("", ""),
        ([], []),
        (None, None),
    ],
    ids=["parts", "strings", "own mark", "empty text", "no parts", "no content"],
)
def test_the_last_part_is_marked(content: Any, expected: Any) -> None:
    """Of several parts the last one is marked; without content there is nothing to mark."""
    message = {"role": "user", "content": content, "name": "ada"}
    assert with_cache_marks([message]) == [{"role": "user", "content": expected, "name": "ada"}]


@pytest.mark.parametrize("role", ["assistant", "tool", "developer"])
def test_other_roles_are_not_marked(role: str) -> None:
    """Only system and user messages are marked."""
    message: dict[str, object] = {"role": role, "content": "x"}
    assert with_cache_marks([message]) == [message]


@pytest.mark.anyio
async def test_marks_are_sent(llm: AsyncLLM, simulator: Simulator) -> None:
    """With `caching_prompt` the provider gets the marks, for one call as for a profile, and without it none."""
    conversation = [Message.system("S"), Message.user("U1"), Message("assistant", "A"), Message.user("U2")]
    await llm.acompletion(conversation, caching_prompt=True)
    await llm.with_options(caching_prompt=True).acompletion(conversation)
    await llm.acompletion(conversation)
    *with_marks, without = simulator.seen.bodies
    assert "cache_control" not in str(without)
    for body in with_marks:
        assert [message["content"] for message in body["messages"]] == [marked("S"), "U1", "A", marked("U2")]


@pytest.mark.anyio
async def test_a_marked_prompt_is_read_from_the_cache(simulator: Simulator) -> None:
    """At Anthropic the system prompt and the last turn are marked, and cached tokens come back in the usage."""
    options: Any = {"model": "anthropic/claude-sonnet-4-5", "base_url": simulator.root_url, "api_key": "key"}
    async with AsyncLLM(**options, caching_prompt=True, max_output_tokens=10) as llm:
        messages = [Message.system("S" * 400), Message.user("U" * 400)]
        first, second = await llm.acompletion(messages), await llm.acompletion(messages)
    body = simulator.seen.bodies[0]
    assert body["system"] == marked("S" * 400)
    assert body["messages"][-1]["content"] == marked("U" * 400)
    assert first.usage.cache_write_tokens
    assert second.usage.cached_tokens == first.usage.cache_write_tokens
