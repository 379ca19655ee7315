"""Conversion of whole answers to the chat-completions form."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from asyncllm.errors import MalformedResponseError
from asyncllm.transports.bodies import decode, start_of

from ..format import UNREADABLE
from ..json_values import JsonObject, is_list, list_of, object_of, text_of, text_or_none
from .errors import error_of, is_error
from .tools import JSON_TOOL
from .usage import chat_usage

# Source: litellm's map of finish reasons. It does not know that a full context window truncates an answer.
_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "compaction": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "content_filtered": "content_filter",
    # Servers of other makers also send OpenAI's reasons.
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
_CALLS = ("tool_use", "server_tool_use")
_RESULT = "_tool_result"
_SEARCHES = ("web_search_tool_result", "web_fetch_tool_result")
_INTERNAL_RESULT = "tool_search_tool_result"


def read_answer(body: bytes, secrets: tuple[str, ...] = (), *, answers_by_tool: bool = False) -> JsonObject:
    """Read a whole answer.

    Args:
        body: The body as it came.
        secrets: Texts that must not occur in an error.
        answers_by_tool: Whether the answer is the arguments of a tool that stands in for a response format.

    Raises:
        ProviderError: It is an error that came with the status of an answer.
        MalformedResponseError: It is no answer.
    """
    try:
        data = object_of(decode(body))
        if not is_error(data):
            return _answer(data, answers_by_tool=answers_by_tool)
        caught = error_of(data, secrets)
    except UNREADABLE:
        caught = MalformedResponseError(f"the provider said 200 and sent no answer: {start_of(body)}.", status_code=200)
    raise caught


def finish_reason(reason: object) -> str:
    """Return the finish reason for a stop reason; `stop` for an unknown one."""
    return _FINISH_REASONS.get(text_of(reason), "stop") if reason is not None else "stop"


def refusal_of(details: object) -> JsonObject:
    """Return the `refusal` of a message with the provider's explanation; empty without one."""
    explanation = text_or_none(object_of(details).get("explanation")) if details is not None else None
    return {"refusal": explanation} if explanation else {}


def tool_call(block: Mapping[str, object], arguments: str, index: int) -> JsonObject:
    """Return a tool call, or the beginning of one in a stream."""
    call: JsonObject = {
        "id": text_of(block.get("id")),
        "type": "function",
        "function": {"name": text_of(block.get("name")), "arguments": arguments},
        "index": index,
    }
    return {**call, "caller": block["caller"]} if block.get("caller") else call


def cited(citations: object, text: str) -> list[JsonObject]:
    """Return citations with the text that they support."""
    return [{**object_of(citation), "supported_text": text} for citation in list_of(citations)]


def add_result(block: JsonObject, fields: JsonObject) -> bool:
    """Add the result of one of Anthropic's own tools to the provider's fields; return whether the block is one."""
    kind = text_of(block.get("type"))
    if not kind.endswith(_RESULT):
        return False
    if kind != _INTERNAL_RESULT:
        name = "web_search_results" if kind in _SEARCHES else "tool_results"
        before = fields.get(name)
        fields[name] = [*(before if is_list(before) else ()), block]
    return True


def _answer(data: JsonObject, *, answers_by_tool: bool) -> JsonObject:
    content = list_of(data.get("content"))
    reason = finish_reason(data.get("stop_reason"))
    first = object_of(content[0]) if len(content) == 1 else {}
    has_thought = False
    if first.get("type") == "text" and not first.get("citations"):  # nearly every answer
        message: JsonObject = {"content": text_of(first.get("text")) or None, "role": "assistant"}
    else:
        blocks = _Blocks(content)
        message, has_thought = blocks.message(), bool(blocks.thoughts)
        if answers_by_tool and blocks.take_answer(message):
            reason = "stop"
        if data.get("container") is not None:
            blocks.fields["container"] = data["container"]
        if blocks.fields:
            message["provider_specific_fields"] = blocks.fields
    if data.get("stop_details") is not None:
        message |= refusal_of(data["stop_details"])
    answer: JsonObject = {
        "id": text_or_none(data.get("id")),
        "created": int(time.time()),
        "model": text_or_none(data.get("model")),
        "object": "chat.completion",
        "choices": [{"finish_reason": reason, "index": 0, "message": message}],
    }
    if data.get("usage") is not None:
        answer["usage"] = chat_usage(object_of(data["usage"]), has_thought=has_thought)
    return answer


class _Blocks:
    """The content blocks of an answer by type; unknown types are ignored."""

    def __init__(self, content: Sequence[object]) -> None:
        self.thoughts: list[JsonObject] = []
        self.fields: JsonObject = {}
        self._texts: list[str] = []
        self._citations: list[list[JsonObject]] = []
        self._calls: list[JsonObject] = []
        for index, item in enumerate(content):
            self._add(object_of(item), index)

    def message(self) -> JsonObject:
        """Return the chat-completions message."""
        message: JsonObject = {"content": "".join(self._texts) or None, "role": "assistant"}
        if self._calls:
            message["tool_calls"] = self._calls
        if self.thoughts:
            message["thinking_blocks"] = self.thoughts
            message["reasoning_content"] = "".join(text_of(block.get("thinking", "")) for block in self.thoughts)
        if self._citations:
            self.fields["citations"] = self._citations
        return message

    def take_answer(self, message: JsonObject) -> bool:
        """Move the arguments of the tool that stands in for a response format to the content.

        Returns:
            Whether they are the whole answer, without other tool calls.
        """
        arguments = [_arguments_of(call) for call in self._calls if _name_of(call) == JSON_TOOL]
        if not arguments:
            return False
        others = [call for call in self._calls if _name_of(call) != JSON_TOOL]
        if others:
            message["content"] = "".join(self._texts) + arguments[0]
            message["tool_calls"] = others
            return False
        message["content"] = arguments[0]
        del message["tool_calls"]
        return True

    def _add(self, block: JsonObject, index: int) -> None:
        kind = block.get("type")
        if kind == "text":
            text = text_of(block.get("text"))
            self._texts.append(text)
            if block.get("citations"):
                self._citations.append(cited(block["citations"], text))
        elif kind in _CALLS:
            self._calls.append(tool_call(block, json.dumps(block.get("input", {})), index))
        elif kind == "thinking":
            text_or_none(block.get("signature"))
            self.thoughts.append(block)
        elif kind == "redacted_thinking":
            self.thoughts.append(block)
        else:
            add_result(block, self.fields)


def _name_of(call: JsonObject) -> object:
    return object_of(call["function"])["name"]


def _arguments_of(call: JsonObject) -> str:
    return text_of(object_of(call["function"])["arguments"])
