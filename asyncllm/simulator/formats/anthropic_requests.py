"""Requests in the Anthropic messages format, read, and refused as the API refuses them.

Source: Anthropic's API reference of the Messages API, and the messages of its errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from ..answers.conversation import TOKENS_PER_IMAGE, ChatRequest, InvalidRequestError, Tool, count_tokens
from ..answers.json_values import as_array, as_object, is_array, is_object
from .provider_format import read_positive, read_stops, read_text

_FIELDS = frozenset((
    "cache_control", "container", "context_management", "inference_geo", "max_tokens", "mcp_servers", "messages",
    "metadata", "model", "output_config", "output_format", "service_tier", "simulator", "speed", "stop_sequences",
    "stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
))  # fmt: skip
_ROLES = ("user", "assistant", "system")
_BLOCKS = frozenset((
    "text", "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use", "tool_result",
    "server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
    "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result",
    "container_upload", "mcp_tool_use", "mcp_tool_result",
))  # fmt: skip
_IDS = re.compile(r"[a-zA-Z0-9_-]+")
_LEAST_BUDGET = 1024


def read_request(body: Mapping[str, object]) -> ChatRequest:
    """Read the body of a request.

    Raises:
        InvalidRequestError: The API would refuse it.
    """
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str):
        raise InvalidRequestError("model: Field required", "model")
    if not is_array(messages) or not messages:
        raise InvalidRequestError("messages: at least one message is required", "messages")
    chat = ChatRequest(model=model, stream=bool(body.get("stream")), include_usage=True)
    chat.max_tokens = read_positive(body, "max_tokens")
    if chat.max_tokens is None:
        raise InvalidRequestError("max_tokens: Field required", "max_tokens")
    if model.startswith("claude"):  # servers of other makers take more
        _check_fields(body)
    chat.stop = read_stops(body.get("stop_sequences"))
    output = as_object(body.get("output_format") or as_object(body.get("output_config")).get("format"))
    schema = output.get("schema")
    if output.get("type") == "json_schema" and is_object(schema):
        chat.schema = schema
    _check_messages(messages)
    _read_messages(chat, body.get("system"), messages)
    if body.get("cache_control"):
        chat.cached_prefix = "\n".join([chat.system_text, *chat.user_texts])
        chat.cache_ttl = _ttl(body)
    _read_tools(chat, body.get("tools"))
    _read_tool_choice(chat, as_object(body.get("tool_choice")))
    _read_thinking(chat, body)
    return chat


def _check_fields(body: Mapping[str, object]) -> None:
    for name in body:
        if name not in _FIELDS:
            raise InvalidRequestError(f"{name}: Extra inputs are not permitted", name)


def _check_messages(messages: Sequence[object]) -> None:
    called: set[object] = set()
    last = ""
    for index, message in enumerate(messages):
        if not is_object(message) or message.get("role") not in _ROLES:
            raise InvalidRequestError(f"messages.{index}.role: Input should be 'user' or 'assistant'", "messages")
        blocks = list(_blocks(message, index))
        if message["role"] == "system":
            continue
        if message["role"] == "user":
            results = {block.get("tool_use_id") for block in blocks if block.get("type") == "tool_result"}
            if results - called:
                raise _refused(index, f"unexpected `tool_use_id` found in `tool_result` blocks: {results - called}")
            if called - results:
                raise _refused(index, f"`tool_use` ids without `tool_result` blocks immediately after: {called}")
        if message["role"] != last:  # consecutive turns of one role are one turn
            called = set()
        called |= {block.get("id") for block in blocks if block.get("type") == "tool_use"}
        last = str(message["role"])
    final = messages[-1]
    if is_object(final) and final["role"] == "assistant" and read_text(final.get("content"))[0][-1:].isspace():
        raise InvalidRequestError("messages: final assistant content cannot end with trailing whitespace", "messages")


def _blocks(message: Mapping[str, object], index: int) -> Iterator[Mapping[str, object]]:
    """Return the blocks of a message; a text is one."""
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not is_array(content):
        raise _refused(index, "content: Input should be a valid list")
    for block in content:
        if not is_object(block) or block.get("type") not in _BLOCKS:
            raise _refused(index, "content: Input tag found using 'type' does not match any of the expected tags")
        kind = block["type"]
        if kind == "text" and not str(block.get("text") or "").strip():
            raise InvalidRequestError("messages: text content blocks must contain non-whitespace text", "messages")
        if kind == "thinking" and not isinstance(block.get("signature"), str):
            raise _refused(index, "content.thinking.signature: Field required")
        if kind == "tool_use" and not _IDS.fullmatch(str(block.get("id"))):
            raise _refused(index, f"content.tool_use.id: String should match pattern '^{_IDS.pattern}$'")
        yield block


def _refused(index: int, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"messages.{index}: {reason}", "messages")


def _read_messages(chat: ChatRequest, system: object, messages: Sequence[object]) -> None:
    chat.system_text, _, marked = read_text(system)
    texts = [chat.system_text]
    if marked:
        chat.cached_prefix, chat.cache_ttl = chat.system_text, _ttl(*as_array(system))
    for message in map(as_object, messages):
        content = message.get("content")
        text, images, marked = read_text(content)
        chat.images += images
        texts.append(text)
        parts = [part for part in content if is_object(part)] if is_array(content) else []
        if marked:
            chat.cached_prefix, chat.cache_ttl = "\n".join(texts), _ttl(*parts)
        if any(part.get("type") == "tool_result" for part in parts):
            chat.tool_result = text
        elif message["role"] == "user":
            chat.user_texts.append(text)
            chat.tool_result = ""
    chat.prompt_tokens = max(1, -(-sum(map(len, texts)) // 4)) + chat.images * TOKENS_PER_IMAGE


def _ttl(*marked: object) -> str:
    """Return how long the last of several marks asks to cache."""
    marks = [as_object(as_object(one).get("cache_control")) for one in marked]
    return next((str(mark.get("ttl", "5m")) for mark in reversed(marks) if mark), "5m")


def _read_tools(chat: ChatRequest, tools: object) -> None:
    for tool in as_array(tools):
        name = tool.get("name") if is_object(tool) else None
        if not is_object(tool) or not isinstance(name, str):
            raise InvalidRequestError("tools: every tool needs a name", "tools")
        parameters = as_object(tool.get("input_schema")) or {"type": "object"}
        chat.tools.append(Tool(name, str(tool.get("description") or ""), parameters))
    if chat.tools:
        chat.prompt_tokens += count_tokens(json.dumps(tools))


def _read_tool_choice(chat: ChatRequest, choice: Mapping[str, object]) -> None:
    kind, name = str(choice.get("type", "auto")), str(choice.get("name", ""))
    if choice and not chat.tools:
        raise InvalidRequestError("tool_choice may only be specified while providing tools", "tool_choice")
    if kind == "tool" and name not in {tool.name for tool in chat.tools}:
        raise InvalidRequestError(f"tool_choice: Tool '{name}' not found in provided tools", "tool_choice")
    chat.tool_choice = {"any": "required", "tool": name}.get(kind, kind)
    chat.parallel_tool_calls = not choice.get("disable_parallel_tool_use")


def _read_thinking(chat: ChatRequest, body: Mapping[str, object]) -> None:
    thinking = as_object(body.get("thinking"))
    chat.thinking = thinking.get("type") in ("enabled", "adaptive")
    if not chat.thinking:
        return
    budget = thinking.get("budget_tokens")
    if thinking["type"] == "enabled" and (not isinstance(budget, int) or budget < _LEAST_BUDGET):
        raise InvalidRequestError(f"thinking.budget_tokens: Input should be at least {_LEAST_BUDGET}", "thinking")
    if isinstance(budget, int) and budget >= (chat.max_tokens or 0):
        raise InvalidRequestError("`max_tokens` must be greater than `thinking.budget_tokens`", "thinking")
    if chat.tool_choice not in ("auto", "none"):
        raise InvalidRequestError("Thinking may not be enabled when tool_choice forces tool use.", "thinking")
    if body.get("temperature", 1) != 1:
        raise InvalidRequestError("`temperature` may only be set to 1 when thinking is enabled", "temperature")
    chat.hides_thinking = thinking.get("display") == "omitted"
