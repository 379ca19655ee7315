"""Messages, and the `Request` that carries them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeAlias, cast, get_args

from .content import File, Image, Part, Text, ToolCall, copied, optional_string, part_of, shortened, without_none
from .errors import nearest
from .narrowing import is_iterable, is_list, is_mapping, list_or_empty, mapping_or_empty

Role = Literal["system", "developer", "user", "assistant", "tool"]
# `function` is the predecessor of `tool`: old conversations contain it, and providers still accept it.
Priority = Literal["live", "batch"]
_ROLES = (*get_args(Role), "function")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: The role of its author: system, developer, user, assistant or tool.
        content: A text, or parts in order; None for an assistant that only calls tools.
        name: The author's name, for a provider that accepts one.
        tool_calls: The tool calls of an assistant.
        tool_call_id: For the result of a tool: the id of the call.
        cache_control: The provider's cache mark for the whole message.
        thinking_blocks: What an assistant thought, signed by its provider; it goes back unchanged.
        thought_signatures: Gemini's signatures of the thoughts before an answer; they go back unchanged.

    Raises:
        TypeError: The content is neither a text nor a sequence of parts, or a tool call is no `ToolCall`.
        ValueError: The role or a part is unknown.

    Example:
        ```python
        messages = [Message.system("Answer in one word."), Message.user("What is the capital of France?")]
        answer = await llm.acompletion(messages)
        messages += [answer.message, Message.user("And of Norway?")]
        ```
    """

    role: Role
    content: str | Sequence[Part | str] | None = None
    name: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None
    cache_control: Mapping[str, object] | None = None
    thinking_blocks: Sequence[Mapping[str, object]] = ()
    thought_signatures: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_role(self.role)
        if not isinstance(self.content, str | None):
            object.__setattr__(self, "content", _parts(self.content))
        if self.tool_calls:
            _check_tool_calls(self.tool_calls)
        object.__setattr__(self, "tool_calls", tuple(self.tool_calls))
        object.__setattr__(self, "thinking_blocks", tuple(self.thinking_blocks))
        object.__setattr__(self, "thought_signatures", tuple(self.thought_signatures))

    @classmethod
    def system(cls, content: str) -> Message:
        """Return a system message."""
        return cls("system", content)

    @classmethod
    def user(cls, *parts: str | Part) -> Message:
        """Return a user message.

        Args:
            *parts: One text, or parts in order: texts, `Image`, `File`.
        """
        only = parts[0] if len(parts) == 1 else None
        return cls("user", only if isinstance(only, str) else parts)

    @classmethod
    def tool_result(cls, call: ToolCall | str, content: str) -> Message:
        """Return the result of a tool call.

        Args:
            call: The call, or its id.
            content: The result for the model; JSON or any other text.
        """
        return cls("tool", content, tool_call_id=call.id if isinstance(call, ToolCall) else call)

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Message:
        """Return the message of a chat-completions dict.

        Raises:
            TypeError: The content is neither a text nor a list of parts.
            ValueError: The role or a part is unknown, or a field has another type.
        """
        content, mark = data.get("content"), data.get("cache_control")
        signatures = mapping_or_empty(data.get("provider_specific_fields")).get("thought_signatures")
        return cls(
            role=cast(Role, data.get("role")),  # checked when the message is made
            content=content if isinstance(content, str | None) else _parts(content),
            name=optional_string(data, "name"),
            tool_calls=[ToolCall.from_dict(mapping_or_empty(call)) for call in list_or_empty(data.get("tool_calls"))],
            tool_call_id=optional_string(data, "tool_call_id"),
            cache_control=mark if is_mapping(mark) else None,
            thinking_blocks=[mapping_or_empty(block) for block in list_or_empty(data.get("thinking_blocks"))],
            thought_signatures=[signature for signature in list_or_empty(signatures) if isinstance(signature, str)],
        )

    def to_dict(self) -> dict[str, object]:
        """Return the message in chat-completions form, without the fields that are not set."""
        content = self.content
        message = without_none(
            role=self.role,
            content=content if isinstance(content, str | None) else [part_of(part).to_dict() for part in content],
            name=self.name,
            tool_calls=[call.to_dict() for call in self.tool_calls] or None,
            tool_call_id=self.tool_call_id,
            cache_control=copied(self.cache_control),
            thinking_blocks=[dict(block) for block in self.thinking_blocks] or None,
        )
        if self.thought_signatures:
            message["provider_specific_fields"] = {"thought_signatures": list(self.thought_signatures)}
        message.setdefault("content", None if self.tool_calls else "")
        return message

    def __repr__(self) -> str:
        shown = shortened(self.content) if isinstance(self.content, str) else self.content
        calls = f", tool_calls={list(self.tool_calls)!r}" if self.tool_calls else ""
        return f"Message({self.role}: {shown!r}{calls})"


MessageLike: TypeAlias = str | Message | Mapping[str, object]
Messages: TypeAlias = "MessageLike | Sequence[MessageLike] | Request"


class Request:
    """One immutable unit of work: messages and parameters, with the caller's id and data.

    Args:
        messages: A text, a `Message`, a chat-completions dict, a sequence of these, or a `Request` to copy: what is
            given beside it replaces what it has.
        id: The caller's id, unique within a batch.
        response_model: The type of the answer, for a typed call.
        data: Anything of the caller's; it comes back on the `Outcome`.
        tenant: Whom it is sent for: waiting requests are served in turn over tenants, each within its own limits.
        priority: `batch` lets live calls go first.
        **params: Chat-completions parameters, which override those of the profile.

    Raises:
        TypeError: `messages` has another type.
        ValueError: There is no message, or one has an unknown role.

    Example:
        ```python
        words = ["chat", "chien"]
        for outcome in await llm.gather(Request(f"Translate: {word}", id=word, temperature=0) for word in words):
            print(outcome.id, outcome.text)
        ```
    """

    __slots__ = ("data", "id", "messages", "params", "priority", "response_model", "tenant")

    messages: tuple[dict[str, Any], ...]
    id: str | None
    response_model: Any
    data: Any
    tenant: str | None
    priority: Priority | None
    params: Mapping[str, Any]

    def __init__(
        self,
        messages: Messages,
        *,
        id: str | None = None,
        response_model: object = None,
        data: object = None,
        tenant: str | None = None,
        priority: Priority | None = None,
        **params: object,
    ) -> None:
        put = object.__setattr__
        if tenant is not None or priority is not None:
            _check_turn(tenant, priority)
        if isinstance(messages, Request):
            params = {**messages.params, **params}
            response_model = messages.response_model if response_model is None else response_model
            data = messages.data if data is None else data
            id = messages.id if id is None else id
            tenant = messages.tenant if tenant is None else tenant
            priority = messages.priority if priority is None else priority
        put(self, "messages", to_dicts(messages))
        put(self, "id", id)
        put(self, "response_model", response_model)
        put(self, "data", data)
        put(self, "tenant", tenant)
        put(self, "priority", priority)
        put(self, "params", params)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Request is immutable; make a copy: Request(request, {name}=...)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Request is immutable")

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

    def with_form(self, messages: tuple[dict[str, object], ...], params: Mapping[str, object]) -> Request:
        """Return the request of a typed call: other messages and parameters, the same id and data, no response model.

        Args:
            messages: As returned by `to_dicts`; taken without a check.
            params: The parameters; not copied, so they must not change.
        """
        made, put = object.__new__(Request), object.__setattr__
        put(made, "messages", messages)
        put(made, "id", self.id)
        put(made, "response_model", None)
        put(made, "data", self.data)
        put(made, "tenant", self.tenant)
        put(made, "priority", self.priority)
        put(made, "params", params)
        return made

    def __reduce__(self) -> tuple[object, ...]:
        turn = (self.tenant, self.priority)
        return _rebuild, (self.messages, self.id, self.response_model, self.data, dict(self.params), turn)


def to_dicts(messages: Messages) -> tuple[dict[str, object], ...]:
    """Convert any accepted form of messages to chat-completions dicts, in order, without null fields.

    Raises:
        TypeError: `messages` has another type.
        ValueError: There is no message, or one has an unknown role.
    """
    if isinstance(messages, str):
        return ({"role": "user", "content": messages},)
    if isinstance(messages, Request):
        return messages.messages
    if isinstance(messages, Message | Mapping):
        return (_to_dict(messages),)
    if not is_iterable(messages):
        raise TypeError(f"messages must be a str, a Message, a dict or a sequence of these, not {_type_name(messages)}")
    converted = tuple(map(_to_dict, messages))
    if not converted:
        raise ValueError("messages is empty; pass at least one message")
    return converted


def with_cache_marks(messages: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Return messages with the last system message and the last user turn marked for the provider's cache."""
    marked = list(messages)
    for role in ("system", "user"):
        last = next((n for n in reversed(range(len(marked))) if marked[n]["role"] == role), None)
        if last is not None:
            marked[last] = _cache_marked(marked[last])
    return marked


def has_images(messages: Iterable[Mapping[str, object]]) -> bool:
    """Return whether a message has an image among its parts."""
    return any(
        is_mapping(part) and part.get("type") in ("image_url", "image")
        for message in messages
        for part in list_or_empty(message.get("content"))
    )


def _to_dict(message: object) -> dict[str, object]:
    if isinstance(message, str):
        return {"role": "user", "content": message}
    if isinstance(message, Message):
        return message.to_dict()
    if not is_mapping(message):
        raise TypeError(f"a message must be a str, a Message or a dict, not {_type_name(message)}")
    _check_role(message.get("role"))
    # Replies put back into a conversation contain nulls that several providers refuse; a null content means tool calls.
    plain = {key: value for key, value in message.items() if value is not None or key == "content"}
    if "content" not in plain and not plain.get("tool_calls"):
        raise ValueError(f"a message with role {message['role']!r} needs content, unless it has tool_calls")
    content = plain.get("content")
    if is_list(content):
        plain["content"] = [part.to_dict() if isinstance(part, Text | Image | File) else part for part in content]
    return plain


def _check_turn(tenant: object, priority: object) -> None:
    if tenant is not None and not (isinstance(tenant, str) and tenant):
        raise TypeError(f"tenant must be a name, not {tenant!r}")
    if priority not in (None, *get_args(Priority)):
        raise ValueError(f"priority must be 'live' or 'batch', not {priority!r}")


def _check_tool_calls(calls: Sequence[object]) -> None:
    """Raise if one is of another type, such as a chat-completions dict."""
    for call in calls:
        if not isinstance(call, ToolCall):
            given = type(call).__name__
            raise TypeError(f"tool_calls takes ToolCall, not {given}; Message.from_dict reads chat-completions dicts.")


def _check_role(role: object) -> None:
    if role in _ROLES:
        return
    names = ", ".join(get_args(Role))
    if role is None:
        raise ValueError(f"a message has no role; set one of {names}")
    near = nearest(str(role), _ROLES)
    raise ValueError(
        f"{role!r} is not a message role; " + (f"did you mean {near!r}?" if near else f"use one of {names}")
    )


def _parts(content: object) -> tuple[Part, ...]:
    if not is_iterable(content):
        raise TypeError(f"the content of a message must be a str or a list of parts, not {_type_name(content)}")
    return tuple(map(part_of, content))


def _cache_marked(message: dict[str, object]) -> dict[str, object]:
    content = message.get("content")
    parts = [content] if isinstance(content, str) and content else list_or_empty(content)
    if not parts:
        return message
    *others, last = parts
    part = Text(last).to_dict() if isinstance(last, str) else mapping_or_empty(last)
    return {**message, "content": [*others, {**part, "cache_control": {"type": "ephemeral"}}]}


def _type_name(value: object) -> str:
    return type(value).__name__


def _rebuild(
    messages: tuple[dict[str, object], ...],
    id: str | None,
    response_model: object,
    data: object,
    params: dict[str, object],
    turn: tuple[str | None, Priority | None] = (None, None),
) -> Request:
    tenant, priority = turn
    return Request(
        messages, id=id, response_model=response_model, data=data, tenant=tenant, priority=priority, **params
    )
