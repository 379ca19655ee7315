"""Conversion of chat-completions messages into a system prompt and alternating turns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping, is_object
from .parts import PLACEHOLDER, content_blocks, is_blank, text_block, with_mark
from .system_messages import Piece, arrange

# Characters that the API refuses in the id of a tool call. Source: its pattern for `tool_use.id`.
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
# The ids of calls to Anthropic's own tools, whose results litellm puts back beside them.
_SERVER_CALL = "srvtoolu_"
# Fields of an answer from which litellm rebuilds blocks of Anthropic's own tools.
_REBUILT = ("compaction_blocks", "tool_results", "web_search_results")
_THINKING = ("thinking", "redacted_thinking")
_SYSTEM = ("system", "developer")
_KINDS: Mapping[object, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


class Conversation(NamedTuple):
    """The messages of a request.

    Attributes:
        system: The blocks of the system prompt.
        turns: The turns of user and assistant, with the system messages between them.
        calls_tools: Whether a turn calls a tool.
        has_files: Whether a turn refers to an uploaded file.
    """

    system: list[JsonObject]
    turns: list[JsonObject]
    calls_tools: bool
    has_files: bool


def convert_messages(messages: Sequence[Mapping[str, object]], *, system_anywhere: bool) -> Conversation:
    """Return the system prompt and the turns of messages.

    Args:
        messages: Chat-completions messages, in order.
        system_anywhere: Whether the model takes system messages in the middle of a conversation.

    Raises:
        UnservedError: litellm has to serve the request.
    """
    system: list[JsonObject] = []
    pieces: list[Piece] = []
    is_mixed = calls_tools = has_files = False
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if len(message) == 2 and isinstance(content, str) and content and not content.isspace() and role != "tool":
            blocks: list[JsonObject] = [{"type": "text", "text": content}]  # nearly every message
        else:
            blocks = _blocks(role, message)
            calls_tools = calls_tools or bool(message.get("tool_calls"))
            has_files = has_files or any(map(_is_file, blocks))
        kind = _KINDS.get(role)
        if kind is None:
            raise UnservedError(f"messages of role {role!r} are rewritten by litellm")
        if kind == "system":
            if not pieces:
                system += blocks
                continue
            is_mixed = True
        pieces.append((kind, blocks))
    if len(pieces) == 1 and pieces[0][0] == "user" and pieces[0][1]:  # one question: there is nothing to merge
        turns: list[JsonObject] = [{"role": "user", "content": pieces[0][1]}]
    else:
        turns = _turns(arrange(pieces, anywhere=system_anywhere) if is_mixed else pieces)
    return Conversation(system, turns, calls_tools, has_files)


def _turns(pieces: Sequence[Piece]) -> list[JsonObject]:
    """Merge consecutive messages of one role, and leave out turns without content."""
    turns: list[JsonObject] = []
    content: list[JsonObject] = []
    ending: list[JsonObject] = []  # the content of the last turn, if it is the assistant's
    seen: set[object] = set()
    last = ""
    for kind, blocks in pieces:
        role = "user" if kind == "tool" else kind
        if role != last or role == "system":
            content, seen, last = [], set[object](), role
        if not blocks:
            continue
        if not content:
            turns.append({"role": role, "content": content})
            ending = content if role == "assistant" else []
        if role == "assistant" and blocks[-1]["type"] == "tool_use":
            blocks = _without_repeats(blocks, seen)
        content += blocks
    for block in ending:
        # The API refuses a last turn of the assistant's that ends in white space.
        if block["type"] == "text":
            block["text"] = str(block["text"]).rstrip()
    return turns


def _without_repeats(blocks: Sequence[JsonObject], seen: set[object]) -> list[JsonObject]:
    """Leave out tool calls whose id occurs earlier in the turn, which the API refuses."""
    kept: list[JsonObject] = []
    for block in blocks:
        if block["type"] == "tool_use":
            if block["id"] in seen:
                continue
            seen.add(block["id"])
        kept.append(block)
    return kept


def _blocks(role: object, message: Mapping[str, object]) -> list[JsonObject]:
    if role == "assistant":
        return _assistant_blocks(message)
    if role == "tool":
        return [_tool_result(message)]
    content = message.get("content")
    if isinstance(content, str):
        if role in _SYSTEM:
            return [text_block(content, message)] if content else []
        return [text_block(PLACEHOLDER if is_blank(content) else content, message)]
    if content is None:
        return []
    blocks = content_blocks(content)
    if role in _SYSTEM:
        if any(block["type"] != "text" for block in blocks):
            raise UnservedError("a system message has other parts than texts")
    elif not blocks and content:
        blocks.append({"type": "text", "text": PLACEHOLDER})
    return blocks


def _assistant_blocks(message: Mapping[str, object]) -> list[JsonObject]:
    """Return the blocks of an assistant's message: thinking first, as the API requires, and tool calls last."""
    if message.get("function_call") or message.get("prefix") or "output_config" in message:
        raise UnservedError("function_call, prefix and output_config of a message are mapped by litellm")
    extra = message.get("provider_specific_fields")
    if is_mapping(extra) and any(extra.get(name) for name in _REBUILT):
        raise UnservedError("the results of server tools are put back by litellm")
    content = message.get("content")
    texts = _assistant_texts(content, message)
    thoughts = message.get("thinking_blocks")
    if is_list(thoughts) and not any(block["type"] in _THINKING for block in texts):
        texts[:0] = [dict(block) for block in thoughts if is_mapping(block) and _is_signed(block)]
    calls = message.get("tool_calls")
    blocks = [*texts, *(_tool_use(call) for call in calls)] if is_list(calls) else texts
    if not blocks and content is not None and (content or isinstance(content, str)):
        blocks = [text_block(PLACEHOLDER, message)]
    return blocks


def _assistant_texts(content: object, message: Mapping[str, object]) -> list[JsonObject]:
    if content is None:
        return []
    if isinstance(content, str):
        return [] if is_blank(content) else [text_block(content, message)]
    if not is_list(content):
        raise UnservedError("a content is neither a text nor a list of parts")
    blocks: list[JsonObject] = []
    for part in content:
        if is_mapping(part) and _is_signed(part):
            blocks.append(dict(part))
        elif is_mapping(part) and part.get("type") == "thinking":
            continue
        elif is_mapping(part) and part.get("type") == "text":
            blocks += content_blocks((part,))
        else:
            raise UnservedError("an assistant's message has other parts than texts and thinking")
    return blocks


def _is_signed(block: Mapping[str, object]) -> bool:
    """Return whether a block is thinking that Anthropic has signed; that of other models is refused."""
    kind = block.get("type")
    return kind == "redacted_thinking" or (kind == "thinking" and bool(block.get("signature")))


def _tool_use(call: object) -> JsonObject:
    function = call.get("function") if is_mapping(call) else None
    if not is_mapping(call) or not is_mapping(function) or call.get("type", "function") != "function":
        raise UnservedError("a tool call is not a function call")
    id = str(call.get("id") or "")
    if id.startswith(_SERVER_CALL):
        raise UnservedError("the results of server tools are put back by litellm")
    block: JsonObject = {
        "type": "tool_use",
        "id": _tool_id(id),
        "name": function.get("name"),
        "input": _arguments(function.get("arguments")),
    }
    return with_mark(block, call)


def _arguments(arguments: object) -> object:
    if isinstance(arguments, str):
        try:
            return json.loads(arguments) if not is_blank(arguments) else {}
        except ValueError:
            raise UnservedError("litellm repairs arguments of a tool call that are no JSON") from None
    return {} if arguments is None else arguments


def _tool_result(message: Mapping[str, object]) -> JsonObject:
    content, id = message.get("content"), message.get("tool_call_id")
    if not isinstance(id, str):
        raise UnservedError("a tool's result names no call")
    result: JsonObject = {
        "type": "tool_result",
        "tool_use_id": _tool_id(id),
        "content": content if isinstance(content, str) else "" if content is None else content_blocks(content),
    }
    if message.get("is_error"):
        result["is_error"] = True
    return with_mark(result, message)


def _tool_id(id: str) -> str:
    return _NOT_IN_IDS.sub("_", id) or "tool_use_id"


def _is_file(block: JsonObject) -> bool:
    if block["type"] == "tool_result":
        content = block["content"]
        return is_list(content) and any(is_object(inner) and _is_file(inner) for inner in content)
    source = block.get("source")
    return is_mapping(source) and source.get("type") == "file"
