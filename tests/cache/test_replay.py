"""A stored answer replayed as a stream is that answer again."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asyncllm.cache.replay import chunks_of
from asyncllm.completions.chunk_assembly import ChunkAssembly

CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.text(min_size=1),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({"name": st.text(min_size=1), "arguments": st.text()}),
        }
    ),
    unique_by=lambda call: str(call["id"]),
    min_size=1,
    max_size=3,
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.text(max_size=200)},
    optional={"reasoning_content": st.text(min_size=1, max_size=100), "annotations": st.just([{"type": "url"}])},
)


@given(st.lists(MESSAGES, min_size=1, max_size=2), st.one_of(st.none(), CALLS), st.booleans())
def test_its_chunks_assemble_into_it(messages: list[dict[str, Any]], calls: Any, has_usage: bool) -> None:
    """With texts, reasoning, tool calls, several choices, usage, and what a provider adds."""
    if calls is not None:
        messages[0] |= {"tool_calls": calls, "content": messages[0]["content"] or None}
    answer: dict[str, Any] = {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": index, "message": message, "finish_reason": "stop"} for index, message in enumerate(messages)
        ],
    }
    if has_usage:
        answer["usage"] = {"prompt_tokens": 1, "completion_tokens": 2}
    assembly = ChunkAssembly()
    for chunk in chunks_of(answer):
        assembly.add(chunk)
    result = assembly.result()
    for choice in result["choices"]:
        if choice["message"]["content"] is None and "tool_calls" not in choice["message"]:
            choice["message"]["content"] = ""  # an empty text has no chunk
    assert result == answer
