"""Conversion of chat-completions messages into a system instruction and contents."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..format import UnservedError
from ..json_values import JsonObject, is_list, is_mapping
from .capabilities import Capabilities
from .parts import CACHED, RESOLUTIONS, content_parts, inline
from .signatures import PLACEHOLDER, plain_id, signature_of, text_signature

_ROLES: Mapping[object, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "model",
    "tool": "tool",
}
# The API refuses a turn of media without a text.
_NO_TEXT: JsonObject = {"text": " "}
# The question to a system instruction alone. Source: litellm's _default_user_message_when_system_message_passed.
_NO_QUESTION: JsonObject = {"role": "user", "parts": [{"text": "."}]}


class Conversation(NamedTuple):
    """The messages of a request.

    Attributes:
        system: The parts of the system instruction.
        contents: The turns of user and model.
        resolution: The highest resolution that media ask for, or None.
    """

    system: list[JsonObject]
    contents: list[JsonObject]
    resolution: str | None


def convert_messages(messages: Sequence[Mapping[str, object]], capabilities: Capabilities) -> Conversation:
    """Return the system instruction and the contents of messages.

    Args:
        messages: Chat-completions messages, in order.
        capabilities: The model's.

    Raises:
        UnservedError: litellm has to serve the request.
    """
    turns = _Turns(capabilities)
    for message in messages:
        turns.add(message)
    contents: list[JsonObject] = [
        {"role": role, "parts": _with_text(role, parts)} for role, parts in turns.contents if parts
    ]
    if not contents:
        contents.append(_NO_QUESTION if turns.system else {"role": "user", "parts": [_NO_TEXT]})
    resolution = max(turns.resolutions, key=RESOLUTIONS.index) if turns.resolutions else None
    return Conversation(turns.system, contents, resolution)


def _with_text(role: str, parts: list[JsonObject]) -> list[JsonObject]:
    if role != "user" or any("text" in part or "functionResponse" in part for part in parts):
        return parts
    return [*parts, _NO_TEXT]


class _Turns:
    """The turns of a conversation so far: messages of one role in a row are one turn."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.system: list[JsonObject] = []
        self.contents: list[tuple[str, list[JsonObject]]] = []
        self.resolutions: list[str] = []
        self._capabilities = capabilities
        self._names: dict[object, object] = {}  # of called functions, by the id of the call
        self._last = ""

    def add(self, message: Mapping[str, object]) -> None:
        role = _ROLES.get(message.get("role"))
        if role is None:
            raise UnservedError(f"messages of role {message.get('role')!r} are rewritten by litellm")
        if message.get("cache_control"):
            raise UnservedError(CACHED)
        if role == "system":
            if self._capabilities.takes_system:
                self.system += _system_parts(message.get("content"))
                return
            role = "user"
        if role != self._last:
            self.contents.append(("model" if role == "model" else "user", []))
            self._last = role
        self.contents[-1][1].extend(self._parts(role, message))

    def _parts(self, role: str, message: Mapping[str, object]) -> list[JsonObject]:
        if role == "model":
            return self._model_parts(message)
        if role == "tool":
            return [self._result(message)]
        content = message.get("content")
        if isinstance(content, str):
            return [{"text": content}]
        return [] if content is None else self._parts_of(content)

    def _parts_of(self, content: object) -> list[JsonObject]:
        return content_parts(content, self.resolutions, each_resolved=self._capabilities.since_third)

    def _model_parts(self, message: Mapping[str, object]) -> list[JsonObject]:
        extra = message.get("provider_specific_fields")
        if message.get("function_call") or (is_mapping(extra) and extra.get("server_side_tool_invocations")):
            raise UnservedError("function_call and calls of Google's own tools are put back by litellm")
        calls = message.get("tool_calls")
        made: list[JsonObject] = []
        if message.get("reasoning_content") is not None:
            made.append({"thought": True, "text": message["reasoning_content"]})
        content = message.get("content")
        if isinstance(content, str):
            signature = text_signature(extra, calls)
            made.append({"text": content, "thoughtSignature": signature} if signature else {"text": content})
        elif content is not None:
            made += _texts(content)
        if is_list(images := message.get("images")):
            made += self._parts_of(images)
        return [*made, *self._calls(calls)] if is_list(calls) else made

    def _calls(self, calls: Sequence[object]) -> list[JsonObject]:
        made: list[JsonObject] = []
        for call in calls:
            function = call.get("function") if is_mapping(call) else None
            if not is_mapping(call) or not is_mapping(function):
                raise UnservedError("a tool call is not a function call")
            id, name = call.get("id"), function.get("name")
            self._names[id] = name
            part: JsonObject = {"functionCall": {"name": name, "args": _arguments(function.get("arguments"))}}
            if self._capabilities.since_third and (plain := plain_id(id)):
                part["functionCall"] = {"name": name, "args": _arguments(function.get("arguments")), "id": plain}
            signature = signature_of(call)
            if signature is None and not made and self._capabilities.since_third:
                signature = PLACEHOLDER
            if signature is not None:
                part["thoughtSignature"] = signature
            made.append(part)
        return made

    def _result(self, message: Mapping[str, object]) -> JsonObject:
        id = message.get("tool_call_id")
        name = self._names.get(id) or message.get("name")
        if not isinstance(name, str) or not name:
            raise UnservedError("a tool's result names no call")
        text, media = _result_content(message.get("content"))
        response: JsonObject = {"name": name, "response": _response(text)}
        if self._capabilities.since_third and (plain := plain_id(id)):
            response["id"] = plain
        if media:
            response["parts"] = media
        return {"functionResponse": response}


def _system_parts(content: object) -> list[JsonObject]:
    if isinstance(content, str):
        return [{"text": content}]
    if content is None:
        return []
    return [{"text": "".join(_text_of_part(part) for part in _list(content))}]


def _texts(content: object) -> list[JsonObject]:
    return [{"text": _text_of_part(part)} for part in _list(content)]


def _list(content: object) -> Sequence[object]:
    if not is_list(content):
        raise UnservedError("a content is neither a text nor a list of parts")
    return content


def _text_of_part(part: object) -> str:
    text = part.get("text") if is_mapping(part) and part.get("type") == "text" else None
    if not isinstance(text, str):
        raise UnservedError("a message of the system or the assistant has other parts than texts")
    if is_mapping(part) and part.get("cache_control"):
        raise UnservedError(CACHED)
    return text


def _arguments(arguments: object) -> object:
    if isinstance(arguments, str):
        try:
            return json.loads(arguments) if arguments else {}
        except ValueError:
            raise UnservedError("litellm refuses arguments of a tool call that are no JSON") from None
    return {} if arguments is None else arguments


def _result_content(content: object) -> tuple[str, list[JsonObject]]:
    """Return the text and the media of a tool's result."""
    if isinstance(content, str):
        if content.startswith("data:image/") and ";base64," in content:
            return "", [inline(content)]
        return content, []
    texts: list[str] = []
    media: list[JsonObject] = []
    for part in () if content is None else _list(content):
        kind = part.get("type") if is_mapping(part) else None
        if not is_mapping(part) or part.get("cache_control"):
            raise UnservedError(CACHED if is_mapping(part) else "a part of a content is no object")
        if kind == "text":
            texts.append(_text_of_part(part))
        elif kind == "image_url":
            image = part.get("image_url")
            media.append(inline(image.get("url") if is_mapping(image) else image))
        elif kind == "file":
            file = part.get("file")
            media.append(inline(file.get("file_data") if is_mapping(file) else file))
        else:
            raise UnservedError(f"parts of type {kind!r} are not supported in a tool's result")
    return "".join(texts), media


def _response(text: str) -> object:
    """Return the object that a text is in JSON; any other text as the content of one, since the API takes objects."""
    if text.lstrip().startswith("{"):
        try:
            found: object = json.loads(text)
        except ValueError:
            return {"content": text}
        if is_mapping(found):
            return found
    return {"content": text}
