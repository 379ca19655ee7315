"""The messages that the wire sends, and the little that litellm changes in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from asyncllm.transports.json_values import is_array, is_object

_KEYS = frozenset(("role", "content", "name", "tool_calls", "tool_call_id"))
# Claude's thinking in an assistant message, which OpenAI refuses as an unknown field.
_THINKING = "thinking_blocks"
# Where Gemini's signatures stand in one.
_FIELDS = "provider_specific_fields"
_SIGNATURES = "thought_signatures"
_CALL_KEYS = frozenset(("id", "type", "function", "index"))
_IMAGE_KEYS = frozenset(("url", "detail"))
_FILE_KEYS = frozenset(("file_data", "file_id", "filename"))


@dataclass(frozen=True, slots=True)
class MessageRules:
    """The differences between an endpoint's messages and those of a request.

    Attributes:
        roles: Roles that are sent under another name.
        cache_control: Whether marks for the provider's cache are sent (`kept`), taken out (`removed`), or left to
            litellm (`moved`).
        lists: Whether a content may be a list of parts.
        images: Whether a part may be an image.
        media: Whether a part may be a file or a sound.
        names: Whether a message may have a `name`.
        other_keys: Further keys of a message that are sent as they are. Where thinking blocks are not among them, they
            are taken out, and so are the signatures of thoughts.
    """

    roles: Mapping[str, str] = field(default_factory=lambda: {"developer": "system"})
    cache_control: Literal["kept", "removed", "moved"] = "removed"
    lists: bool = True
    images: bool = True
    media: bool = False
    names: bool = True
    other_keys: frozenset[str] = frozenset()

    def apply(self, messages: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]] | None:
        """Return the messages to send; None when litellm has to send them."""
        changed: list[Mapping[str, object]] | None = None
        for index, message in enumerate(messages):
            if len(message) == 2 and isinstance(message.get("content"), str) and message.get("role") not in self.roles:
                continue  # nearly every message
            sent = self._sent(message)
            if sent is None:
                return None
            if sent is not message:
                changed = list(messages) if changed is None else changed
                changed[index] = sent
        return messages if changed is None else changed

    def _sent(self, message: Mapping[str, object]) -> Mapping[str, object] | None:
        role = message.get("role")
        if not isinstance(role, str):
            return None
        sent = {name: value for name, value in message.items() if value is not None}
        if "cache_control" in sent and self.cache_control != "kept":
            if self.cache_control == "moved":
                return None
            del sent["cache_control"]
        if _THINKING not in self.other_keys:
            sent.pop(_THINKING, None)
            fields = sent.get(_FIELDS)
            if is_object(fields) and set(fields) == {_SIGNATURES}:
                del sent[_FIELDS]
        sent["role"] = role = self.roles.get(role, role)
        allowed = _KEYS | self.other_keys | {"cache_control"} if self.names else _KEYS - {"name"}
        calls = sent.get("tool_calls") or ()
        if not sent.keys() <= allowed or not is_array(calls) or not all(map(_is_plain_call, calls)):
            return None
        content = sent.get("content")
        if content is not None and not isinstance(content, str):
            parts = self._parts(content, role)
            if parts is None:
                return None
            sent["content"] = parts
        return sent

    def _parts(self, content: object, role: str) -> list[Mapping[str, object]] | None:
        if not self.lists or not is_array(content):
            return None
        parts: list[Mapping[str, object]] = []
        for part in content:
            if not is_object(part) or not self._is_plain_part(part, role):
                return None
            if "cache_control" in part and self.cache_control == "removed":
                parts.append({name: value for name, value in part.items() if name != "cache_control"})
            else:
                parts.append(part)
        return parts

    def _is_plain_part(self, part: Mapping[str, object], role: str) -> bool:
        kind = str(part.get("type"))
        if part.keys() - {"cache_control"} != {"type", kind}:
            return False
        value = part[kind]
        if kind == "text":
            return isinstance(value, str)
        if role != "user" or not is_object(value):
            return False
        if kind == "image_url":
            return self.images and value.keys() <= _IMAGE_KEYS
        if kind == "file":
            # A file without a name is given one, and one that is an address is fetched.
            whole = value.keys() <= _FILE_KEYS and ("file_data" not in value or "filename" in value)
            return self.media and whole and not str(value.get("file_id", "")).startswith(("http", "www."))
        return self.media and kind == "input_audio"


def _is_plain_call(call: object) -> bool:
    function = call.get("function") if is_object(call) and call.keys() <= _CALL_KEYS else None
    return (
        is_object(function) and isinstance(function.get("arguments"), str) and function.keys() <= {"name", "arguments"}
    )
