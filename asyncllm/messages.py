"""What is sent: messages, and the `Request` that carries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from .content import File, Image, Part, Text, ToolCall, part_of, plain, shortened, without_none
from .suggestions import nearest

Role = Literal["system", "developer", "user", "assistant", "tool"]
# `function` is the predecessor of `tool`; old conversations still hold it, and providers still take it.
_ROLES = frozenset((*get_args(Role), "function"))


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: Who speaks: system, developer, user, assistant or tool.
        content: A text, or parts in order; None for an assistant that only calls tools.
        name: The speaker's name, where a provider takes one.
        tool_calls: The calls that an assistant made.
        tool_call_id: For a tool's result: the id of the call that it answers.
        cache_control: The provider's cache mark for the whole message.
        thinking_blocks: What an assistant thought, signed by its provider; it goes back unchanged.
    """

    role: Role
    content: str | Sequence[Part | str] | None = None
    name: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None
    cache_control: Mapping[str, Any] | None = None
    thinking_blocks: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        _check_role(self.role)
        if not isinstance(self.content, str | None):
            object.__setattr__(self, "content", tuple(part_of(part) for part in self.content))
        object.__setattr__(self, "tool_calls", tuple(self.tool_calls))
        object.__setattr__(self, "thinking_blocks", tuple(self.thinking_blocks))

    @classmethod
    def system(cls, content: str) -> Message:
        """Make the instructions of a conversation."""
        return cls("system", content)

    @classmethod
    def user(cls, *parts: str | Part) -> Message:
        """Make what the user says.

        Args:
            *parts: One text, or parts in order: texts, `Image`, `File`.
        """
        only = parts[0] if len(parts) == 1 else None
        return cls("user", only if isinstance(only, str) else parts)

    @classmethod
    def tool_result(cls, call: ToolCall | str, content: str) -> Message:
        """Make the answer to a tool call.

        Args:
            call: The call, or its id.
            content: The result as the model shall read it; JSON or any other text.
        """
        return cls("tool", content, tool_call_id=call.id if isinstance(call, ToolCall) else call)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Message:
        """Read a message as chat completions have it.

        Raises:
            ValueError: When the role or a part is of no known kind.
        """
        content = data.get("content")
        return cls(
            role=data.get("role", ""),
            content=content if isinstance(content, str | None) else tuple(part_of(part) for part in content),
            name=data.get("name"),
            tool_calls=tuple(ToolCall.from_dict(call) for call in data.get("tool_calls") or ()),
            tool_call_id=data.get("tool_call_id"),
            cache_control=data.get("cache_control"),
            thinking_blocks=tuple(data.get("thinking_blocks") or ()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the message as litellm and chat completions take it; fields that are not set are left out."""
        content = self.content
        if not isinstance(content, str | None):
            content = [part_of(part).to_dict() for part in content]  # type: ignore[misc]
        message = without_none(
            role=self.role,
            content=content,
            name=self.name,
            tool_calls=[call.to_dict() for call in self.tool_calls] or None,
            tool_call_id=self.tool_call_id,
            cache_control=plain(self.cache_control),
            thinking_blocks=[dict(block) for block in self.thinking_blocks] or None,
        )
        message.setdefault("content", None if self.tool_calls else "")
        return message

    def __repr__(self) -> str:
        shown = shortened(self.content) if isinstance(self.content, str) else self.content
        calls = f", tool_calls={list(self.tool_calls)!r}" if self.tool_calls else ""
        return f"Message({self.role}: {shown!r}{calls})"


MessageLike: TypeAlias = str | Message | Mapping[str, Any]
Messages: TypeAlias = "MessageLike | Sequence[MessageLike] | Request"


class Request:
    """One immutable unit of work: what to send, and what of the caller's comes back with the answer.

    Args:
        messages: A text, a `Message`, a chat-completions dict, or a sequence of these.
        id: The caller's name of it, unique within a batch.
        response_model: The type of the answer, for a typed call.
        data: Anything of the caller's; it comes back on the `Outcome`.
        **params: Chat-completions parameters, over those of the profile.

    Raises:
        TypeError: When `messages` is none of these.
        ValueError: When there is no message, or one has no valid role.
    """

    __slots__ = ("data", "id", "messages", "params", "response_model")

    messages: tuple[dict[str, Any], ...]
    id: str | None
    response_model: Any
    data: Any
    params: Mapping[str, Any]

    def __init__(
        self,
        messages: Messages,
        *,
        id: str | None = None,
        response_model: Any = None,
        data: Any = None,
        **params: Any,
    ) -> None:
        put = object.__setattr__
        if isinstance(messages, Request):
            # Wrapping a request adds to it: what is given here wins, what is not is kept.
            params = {**messages.params, **params}
            response_model = messages.response_model if response_model is None else response_model
            data = messages.data if data is None else data
            id = messages.id if id is None else id
        put(self, "messages", to_dicts(messages))
        put(self, "id", id)
        put(self, "response_model", response_model)
        put(self, "data", data)
        put(self, "params", params)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Request is immutable; make another: Request(request, {name}=...)")

    __delattr__ = __setattr__  # type: ignore[assignment]

    def __repr__(self) -> str:
        count = len(self.messages)
        last = self.messages[-1].get("content")
        extra = "".join(f", {name}={value!r}" for name, value in self.params.items())
        return f"Request({count} message{'s' * (count != 1)}, last {shortened(last)!r}, id={self.id!r}{extra})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Request):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # equal by content, and the content holds dicts

    def with_form(self, messages: tuple[dict[str, Any], ...], params: Mapping[str, Any]) -> Request:
        """Return the request of a typed call: this one with what asks for the type added to it.

        Args:
            messages: As `to_dicts` makes them; they are taken as they are.
            params: The parameters; nobody changes them afterwards.
        """
        made, put = object.__new__(Request), object.__setattr__
        put(made, "messages", messages)
        put(made, "id", self.id)
        put(made, "response_model", None)
        put(made, "data", self.data)
        put(made, "params", params)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.messages, self.id, self.response_model, self.data, dict(self.params))


def to_dicts(messages: Messages) -> tuple[dict[str, Any], ...]:
    """Bring any accepted form of messages into chat-completions dicts, in order, without null fields.

    Raises:
        TypeError: When it is none of the accepted forms.
        ValueError: When there is no message, or one has no valid role.
    """
    if isinstance(messages, str):
        return ({"role": "user", "content": messages},)
    if isinstance(messages, Request):
        return messages.messages
    if isinstance(messages, Message | Mapping):
        return (_to_dict(messages),)
    if isinstance(messages, bytes) or not isinstance(messages, Iterable):
        raise TypeError(f"messages must be a str, a Message, a dict or a sequence of these, not {_kind(messages)}")
    converted = tuple(_to_dict(message) for message in messages)
    if not converted:
        raise ValueError("messages is empty: give at least one message")
    return converted


def with_cache_marks(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark the last system message and the last user turn for the provider's cache."""
    marked = list(messages)
    for role in ("system", "user"):
        positions = [n for n, message in enumerate(marked) if message["role"] == role]
        if positions:
            marked[positions[-1]] = _cache_marked(marked[positions[-1]])
    return marked


def has_images(messages: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether a part of a message is a picture."""
    return any(
        isinstance(part, Mapping) and part.get("type") in ("image_url", "image")
        for message in messages
        if isinstance(message.get("content"), list | tuple)
        for part in message["content"]
    )


def _to_dict(message: Any) -> dict[str, Any]:
    if isinstance(message, str):
        return {"role": "user", "content": message}
    if isinstance(message, Message):
        return message.to_dict()
    if not isinstance(message, Mapping):
        raise TypeError(f"a message must be a str, a Message or a dict, not {_kind(message)}")
    _check_role(message.get("role"))
    # Replies put back into a conversation carry nulls that several providers refuse; a null content means tool calls.
    plain = {key: value for key, value in message.items() if value is not None or key == "content"}
    if "content" not in plain and not plain.get("tool_calls"):
        raise ValueError(f"a message of role {message['role']!r} has no content")
    content = plain.get("content")
    if isinstance(content, list | tuple):
        plain["content"] = [part.to_dict() if isinstance(part, Text | Image | File) else part for part in content]
    return plain


def _check_role(role: object) -> None:
    if role in _ROLES:
        return
    if role is None:
        raise ValueError("a message has no role; give role='user' (or system, developer, assistant, tool)")
    near = nearest(str(role), _ROLES)
    hint = f"did you mean {near!r}?" if near else f"it is one of {', '.join(get_args(Role))}."
    raise ValueError(f"{role!r} is not a role of a message; {hint}")


def _cache_marked(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    if not parts or (isinstance(content, str) and not content):
        return message
    parts[-1] = {**parts[-1], "cache_control": {"type": "ephemeral"}}
    return {**message, "content": parts}


def _kind(value: object) -> str:
    return type(value).__name__


def _rebuild(messages: Any, id: Any, response_model: Any, data: Any, params: dict[str, Any]) -> Request:
    return Request(messages, id=id, response_model=response_model, data=data, **params)
