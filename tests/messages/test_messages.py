"""Messages: construction, validation, and conversion from and to chat-completions dicts."""

from __future__ import annotations

from typing import Any

import pytest

from asyncllm import File, Image, Message, Text, ToolCall
from asyncllm.messages import to_dicts

CALL = ToolCall("call_1", "get_weather", '{"city": "Paris"}')
CALL_DICT = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
MARK = {"type": "ephemeral"}

# Messages, and the chat-completions dicts that they are sent as.
FORMS: dict[str, tuple[Message, dict[str, Any]]] = {
    "system": (Message.system("Be brief."), {"role": "system", "content": "Be brief."}),
    "developer": (Message("developer", "Be brief."), {"role": "developer", "content": "Be brief."}),
    "user": (Message.user("Hello!"), {"role": "user", "content": "Hello!"}),
    "name": (Message("user", "Hello!", name="ada"), {"role": "user", "content": "Hello!", "name": "ada"}),
    "parts": (
        Message.user("Look:", Image("https://example.com/a.png", detail="low"), File.from_id("file-1")),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        },
    ),
    "one part": (
        Message.user(Image("https://example.com/a.png")),
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
    ),
    "cache marks": (
        Message("system", [Text("a", cache_control=MARK), Image("https://example.com/a.png", cache_control=MARK)]),
        {
            "role": "system",
            "content": [
                {"type": "text", "text": "a", "cache_control": MARK},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "cache_control": MARK},
            ],
        },
    ),
    "cache mark of the message": (
        Message("user", "Hello!", cache_control=MARK),
        {"role": "user", "content": "Hello!", "cache_control": MARK},
    ),
    "file": (
        Message.user(File("data:text/plain;base64,aGk=", filename="a.txt", cache_control=MARK)),
        {
            "role": "user",
            "content": [
                {
                    "type": "file",
                    "file": {"file_data": "data:text/plain;base64,aGk=", "filename": "a.txt"},
                    "cache_control": MARK,
                }
            ],
        },
    ),
    "tool calls": (
        Message("assistant", tool_calls=[CALL]),
        {"role": "assistant", "content": None, "tool_calls": [CALL_DICT]},
    ),
    "tool calls beside a text": (
        Message("assistant", "One moment.", tool_calls=[CALL]),
        {"role": "assistant", "content": "One moment.", "tool_calls": [CALL_DICT]},
    ),
    "thoughts": (
        Message("assistant", "21.", thinking_blocks=[{"type": "thinking", "thinking": "Hm.", "signature": "s"}]),
        {
            "role": "assistant",
            "content": "21.",
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}],
        },
    ),
    "signatures of thoughts": (
        Message("assistant", "21.", thought_signatures=["s"]),
        {"role": "assistant", "content": "21.", "provider_specific_fields": {"thought_signatures": ["s"]}},
    ),
    "tool result": (
        Message.tool_result(CALL, "21 degrees"),
        {"role": "tool", "content": "21 degrees", "tool_call_id": "call_1"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_message_becomes_a_chat_completions_dict(form: str) -> None:
    """Every kind of message has its chat-completions form, without the fields that are not set."""
    message, expected = FORMS[form]
    assert message.to_dict() == expected
    assert to_dicts(message) == (expected,)


@pytest.mark.parametrize("form", FORMS)
def test_a_dict_becomes_a_message(form: str) -> None:
    """A chat-completions dict becomes the message that it was made of."""
    message, data = FORMS[form]
    assert Message.from_dict(data) == message


def test_a_result_refers_to_a_call_or_to_its_id() -> None:
    """A tool result takes the call itself or the id."""
    assert Message.tool_result("call_1", "x") == Message.tool_result(CALL, "x")


def test_a_message_without_content_is_empty() -> None:
    """Without content and without tool calls the content is the empty text, which every provider accepts."""
    assert Message("assistant").to_dict() == {"role": "assistant", "content": ""}


def test_an_image_url_may_be_a_plain_string() -> None:
    """The short form of an image part is read too."""
    data = {"role": "user", "content": [{"type": "image_url", "image_url": "https://example.com/a.png"}]}
    assert Message.from_dict(data) == Message.user(Image("https://example.com/a.png"))


def test_the_old_role_of_tool_results_is_accepted() -> None:
    """Conversations recorded before `tool` existed contain `function`."""
    old = {"role": "function", "name": "get_weather", "content": "21 degrees"}
    assert to_dicts([old]) == (old,)
    assert Message.from_dict(old).to_dict() == old


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({}, ToolCall("", "")),
        ({"id": None, "function": {"name": None, "arguments": None}}, ToolCall("", "", "{}")),
        ({"id": "1", "function": {"name": "f", "arguments": ""}}, ToolCall("1", "f", "{}")),
        ({"id": "1", "function": {"name": "f", "arguments": {"a": 1}}}, ToolCall("1", "f", '{"a": 1}')),
    ],
)
def test_an_incomplete_tool_call_is_read(call: dict[str, Any], expected: ToolCall) -> None:
    """Missing fields are empty, and arguments that a server decoded are JSON again."""
    assert ToolCall.from_dict(call) == expected
    assert ToolCall("1", "f").arguments == "{}"


def test_a_message_copies_its_parts() -> None:
    """A message keeps its own copy of the parts and calls that it was given."""
    parts: list[Text | str] = ["a"]
    calls = [CALL]
    message = Message("assistant", parts, tool_calls=calls)
    parts.append("b")
    calls.clear()
    assert message == Message("assistant", (Text("a"),), tool_calls=(CALL,))


def test_a_dict_does_not_share_the_cache_mark() -> None:
    """Changing a dict does not change the message that it came from."""
    message = Message("user", [Text("a", cache_control=MARK)], cache_control=MARK)
    data: dict[str, Any] = message.to_dict()
    data["cache_control"]["type"] = data["content"][0]["cache_control"]["type"] = "changed"
    assert message.to_dict()["cache_control"] == {"type": "ephemeral"}
    assert MARK == {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("Hi", [{"role": "user", "content": "Hi"}]),
        ({"role": "user", "content": "Hi"}, [{"role": "user", "content": "Hi"}]),
        (Message.user("Hi"), [{"role": "user", "content": "Hi"}]),
        (
            [{"role": "system", "content": "S"}, "Hi", Message("assistant", "Hello")],
            [
                {"role": "system", "content": "S"},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
            ],
        ),
        (iter(["a", "b"]), [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
        (
            [{"role": "user", "content": ["a", Text("b"), Image("u"), File(file_id="f"), {"type": "input_audio"}]}],
            [
                {
                    "role": "user",
                    "content": [
                        "a",
                        {"type": "text", "text": "b"},
                        {"type": "image_url", "image_url": {"url": "u"}},
                        {"type": "file", "file": {"file_id": "f"}},
                        {"type": "input_audio"},
                    ],
                }
            ],
        ),
    ],
    ids=["text", "dict", "message", "mixed", "iterator", "parts in a dict"],
)
def test_every_accepted_form_becomes_dicts(messages: Any, expected: list[dict[str, Any]]) -> None:
    """Texts, messages, dicts and iterables of these are converted in order."""
    assert to_dicts(messages) == tuple(expected)


def test_nulls_are_left_out_and_the_callers_dict_is_not_changed() -> None:
    """Nulls of a reply that is sent back are dropped, apart from the content of tool calls."""
    reply = {"role": "assistant", "content": None, "tool_calls": [CALL_DICT], "refusal": None, "audio": None}
    before = dict(reply)
    assert to_dicts(reply) == ({"role": "assistant", "content": None, "tool_calls": [CALL_DICT]},)
    assert reply == before


def test_a_dict_is_no_tool_call() -> None:
    """It is refused where it is written, with what reads dicts."""
    with pytest.raises(TypeError, match=r"Message\.from_dict"):
        Message("assistant", tool_calls=[CALL_DICT])  # type: ignore[list-item]  # as a user without a checker would


def test_tool_calls_need_no_content() -> None:
    """A message with tool calls may omit its content."""
    message = {"role": "assistant", "tool_calls": [CALL_DICT]}
    assert to_dicts(message) == (message,)


@pytest.mark.parametrize(
    ("messages", "error", "text"),
    [
        (5, TypeError, "messages must be a str, a Message, a dict or a sequence of these, not int"),
        (b"Hi", TypeError, "messages must be a str, a Message, a dict or a sequence of these, not bytes"),
        (None, TypeError, "messages must be a str, a Message, a dict or a sequence of these, not NoneType"),
        ([5], TypeError, "a message must be a str, a Message or a dict, not int"),
        ([["Hi"]], TypeError, "a message must be a str, a Message or a dict, not list"),
        ([], ValueError, "messages is empty; pass at least one message"),
        ({"content": "Hi"}, ValueError, "a message has no role; set one of system, developer, user, assistant, tool"),
        ({"role": "usr", "content": "Hi"}, ValueError, "'usr' is not a message role; did you mean 'user'?"),
        (
            {"role": "x", "content": "Hi"},
            ValueError,
            "'x' is not a message role; use one of system, developer, user, assistant, tool",
        ),
        (
            {"role": ["user"], "content": "Hi"},
            ValueError,
            "['user'] is not a message role; did you mean 'user'?",
        ),
        ({"role": "user"}, ValueError, "a message with role 'user' needs content, unless it has tool_calls"),
    ],
)
def test_invalid_messages_are_refused(messages: Any, error: type[Exception], text: str) -> None:
    """Anything else is an error that names what was wrong and what is accepted."""
    with pytest.raises(error) as caught:
        to_dicts(messages)
    assert str(caught.value) == text


CONTENT = "the content of a message must be a str or a list of parts, not"
PART = "a message part must be a str, Text, Image or File, not"


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        ({"content": "Hi"}, ValueError, "a message has no role; set one of system, developer, user, assistant, tool"),
        ({"role": "assistent"}, ValueError, "'assistent' is not a message role; did you mean 'assistant'?"),
        ({"role": "user", "content": 5}, TypeError, f"{CONTENT} int"),
        ({"role": "user", "content": b"x"}, TypeError, f"{CONTENT} bytes"),
        ({"role": "user", "content": {"type": "text"}}, TypeError, f"{CONTENT} dict"),
        ({"role": "user", "content": [5]}, ValueError, f"{PART} 5"),
        ({"role": "user", "content": [{"type": "text"}]}, ValueError, f"{PART} {{'type': 'text'}}"),
        (
            {"role": "user", "content": [{"type": "video", "text": "x"}]},
            ValueError,
            f"{PART} {{'type': 'video', 'text': 'x'}}",
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": 1}]},
            ValueError,
            f"{PART} {{'type': 'file', 'file': 1}}",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
            ValueError,
            f"{PART} {{'type': 'image_url', 'image_url': {{}}}}",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u", "detail": 1}}]},
            ValueError,
            "detail must be a str, not int",
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"filename": 5}}]},
            ValueError,
            "filename must be a str, not int",
        ),
        ({"role": "user", "content": "Hi", "name": 5}, ValueError, "name must be a str, not int"),
        ({"role": "tool", "content": "x", "tool_call_id": 5}, ValueError, "tool_call_id must be a str, not int"),
    ],
)
def test_an_invalid_dict_is_no_message(data: dict[str, Any], error: type[Exception], text: str) -> None:
    """A dict with an unknown role, content or part is refused with what is accepted."""
    with pytest.raises(error) as caught:
        Message.from_dict(data)
    assert str(caught.value) == text


@pytest.mark.parametrize("content", [Text("Hi"), 5])
def test_a_message_needs_a_list_of_parts(content: Any) -> None:
    """A part outside a list is refused when the message is made."""
    with pytest.raises(TypeError, match=r"must be a str or a list of parts, not (Text|int)$"):
        Message("user", content)


def test_an_unknown_role_is_refused_when_the_message_is_made() -> None:
    """A role is checked before anything is sent."""
    with pytest.raises(ValueError, match="'usr' is not a message role"):
        Message("usr", "Hi")  # type: ignore[arg-type]


def test_reprs_fit_in_a_line() -> None:
    """Long content is cut in reprs, with its length."""
    long = "x" * 1_000
    assert repr(Message.user("Hi")) == "Message(user: 'Hi')"
    assert repr(Message("assistant", tool_calls=[CALL])) == f"Message(assistant: None, tool_calls=[{CALL!r}])"
    assert repr(Message.user(long)) == f"Message(user: '{'x' * 60}... (1,000 characters)')"
    assert repr(Text(long)) == f"Text('{'x' * 60}... (1,000 characters)')"
    assert repr(Text("x" * 60)) == f"Text('{'x' * 60}')"
    assert repr(Image("https://example.com/a.png")) == "Image('https://example.com/a.png')"
    assert repr(Message.user("a", Image("u"))) == "Message(user: (Text('a'), Image('u')))"
    assert repr(File(long, "file-1", "a.pdf")) == "File('a.pdf')"
    assert repr(File(long, "file-1")) == "File('file-1')"
    assert repr(File(long)) == f"File('{'x' * 60}... (1,000 characters)')"
