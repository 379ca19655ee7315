"""Messages become the turns that litellm makes of them, in whatever order they come."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncllm.messages import to_dicts, with_cache_marks
from asyncllm.transports.litellm.importing import import_litellm
from asyncllm.transports.wire.formats.anthropic.messages import convert_messages
from asyncllm.transports.wire.formats.anthropic.parts import PLACEHOLDER

from .anthropic_grid import MESSAGES, PDF

EXAMPLES = 1000 if os.environ.get("ASYNCLLM_GRID") == "all" else 100

TEXTS = st.sampled_from(["A", "B ", " C\n", "D"])
PART = st.builds(lambda text: {"type": "text", "text": text}, TEXTS)
MARKED = st.builds(lambda part: {**part, "cache_control": {"type": "ephemeral"}}, PART)
IMAGE = st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}})
CALL = st.builds(
    lambda number: {"id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
    st.integers(1, 3),
)
SYSTEM = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["system", "system", "developer"]),
    TEXTS | st.just("") | st.lists(PART | MARKED | st.just({"type": "text", "text": ""}), max_size=2),
)
USER = st.builds(
    lambda content: {"role": "user", "content": content},
    TEXTS | st.sampled_from([" ", None]) | st.lists(PART | MARKED | IMAGE, max_size=2),
)
RESULT = st.builds(lambda text: {"role": "tool", "tool_call_id": "call_1", "content": text}, TEXTS)
THOUGHT = st.builds(
    lambda signature: {"type": "thinking", "thinking": "t", "signature": signature}, st.sampled_from(["s", ""])
)
ASSISTANT = st.builds(
    lambda content, calls, thoughts: {
        "role": "assistant",
        "content": content,
        **({"tool_calls": calls} if calls else {}),
        **({"thinking_blocks": thoughts} if thoughts else {}),
    },
    TEXTS | st.none() | st.lists(PART | MARKED, max_size=2),
    st.lists(CALL, max_size=2),
    st.lists(THOUGHT, max_size=2),
)
CONVERSATION = st.lists(SYSTEM | USER | RESULT | ASSISTANT, min_size=1, max_size=8)


def by_litellm(model: str, messages: Sequence[Mapping[str, Any]]) -> tuple[list[Any], list[Any]]:
    litellm: Any = import_litellm()
    from litellm.llms.anthropic.chat.transformation import AnthropicConfig
    from litellm.utils import validate_and_fix_openai_messages

    config: Any = AnthropicConfig()
    fixed = validate_and_fix_openai_messages(json.loads(json.dumps(messages)))
    # Here it takes out nulls, and there it needs them.
    whole = [message if message["role"] == "system" else {"content": None, **message} for message in fixed]
    try:
        body = config.transform_request(model, config.translate_developer_role_to_system_role(whole), {}, {}, {})
    except litellm.llms.anthropic.common_utils.AnthropicError:
        return [], []  # a conversation of system messages alone
    return body.get("system", []), body["messages"]


@pytest.mark.usefixtures("litellm_imported")
@pytest.mark.parametrize(("model", "anywhere"), [("claude-sonnet-4-5", False), ("claude-opus-4-8", True)])
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=CONVERSATION)
def test_any_conversation_becomes_the_same_turns(model: str, anywhere: bool, messages: list[dict[str, Any]]) -> None:
    """System messages in their places, roles merged, calls once, white space at the end left out."""
    made = convert_messages(messages, system_anywhere=anywhere)
    system, turns = by_litellm(model, messages)
    if turns:
        assert (made.system, made.turns) == (system, turns)


def turns(name: str) -> list[Any]:
    return convert_messages(MESSAGES[name], system_anywhere=False).turns


def test_a_failed_tool() -> None:
    """`is_error` of a tool's message is the API's."""
    assert turns("result_error")[-1]["content"][0] == {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": "Timed out.",
        "is_error": True,
    }


def test_thinking_goes_back_before_the_call() -> None:
    """Unchanged, with signatures and what is redacted, so that the model can go on."""
    assert [block["type"] for block in turns("thinking_loop")[1]["content"]] == [
        "thinking",
        "redacted_thinking",
        "tool_use",
    ]
    assert turns("thinking_loop")[1]["content"][0]["signature"] == "sig1"
    assert [block["type"] for block in turns("hidden_inline")[1]["content"]] == ["redacted_thinking", "text"]


def test_blank_texts() -> None:
    """Beside something else they are left out; alone they have the words that litellm puts there."""
    assert [block["type"] for block in turns("blank_beside_image")[0]["content"]] == ["image"]
    assert [block["type"] for block in turns("tool_result_empty_text")[1]["content"]] == ["tool_use"]
    assert [block["type"] for block in turns("thinking_empty_text")[1]["content"]] == ["thinking", "tool_use"]
    assert turns("blank")[0]["content"] == [{"type": "text", "text": PLACEHOLDER}]


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("text_file", {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}}),
        ("pdf_as_image", {"type": "document", "source": {"type": "base64", "media_type": "application/pdf"}}),
        ("image_file", {"type": "image", "source": {"type": "base64", "media_type": "image/png"}}),
        ("file_id", {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
    ],
)
def test_files_are_blocks_of_their_type(name: str, block: dict[str, Any]) -> None:
    """litellm goes by the kind of the part, and the API refuses what comes of it."""
    (found,) = turns(name)[0]["content"]
    assert found["type"] == block["type"]
    assert block["source"].items() <= found["source"].items()


def test_files_by_id_may_be_images() -> None:
    """By the type that is named, or by the file's name."""
    for file in ({"file_id": "f", "format": "image/png"}, {"file_id": "f", "filename": "a.JPG"}):
        messages = [{"role": "user", "content": [{"type": "file", "file": file}]}]
        (turn,) = convert_messages(messages, system_anywhere=False).turns
        assert turn["content"] == [{"type": "image", "source": {"type": "file", "file_id": "f"}}]


def test_a_file_at_an_address_is_fetched_by_the_provider() -> None:
    """By either field of the part."""
    for file in ({"file_data": "https://example.com/a.pdf"}, {"file_id": "https://example.com/a.pdf"}):
        made = convert_messages([{"role": "user", "content": [{"type": "file", "file": file}]}], system_anywhere=False)
        (turn,) = made.turns
        assert turn["content"] == [{"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}]
        assert not made.has_files


def test_marks_of_caching_prompts() -> None:
    """What the option marks is marked in the system prompt and in the last turn."""
    messages = with_cache_marks(
        to_dicts([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    )
    made = convert_messages(messages, system_anywhere=False)
    assert made.system[-1]["cache_control"] == {"type": "ephemeral"}
    assert made.turns[-1]["content"][-1]["cache_control"] == {"type": "ephemeral"}  # type: ignore[index]


def test_a_marked_developer_message_keeps_its_mark() -> None:
    """litellm loses it with the role."""
    message = {"role": "developer", "content": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    made = convert_messages([message, {"role": "user", "content": PDF}], system_anywhere=False)
    assert made.system == [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
