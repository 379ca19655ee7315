"""Prompts for typed answers, made with instructor's handlers once for each type and mode.

Of instructor this relies on the registry, on the request and the re-ask handlers of four modes of its OpenAI provider
(litellm speaks for the other providers), and on the schema that it makes for a tool.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, cast, get_args

from pydantic_core import to_json
from typing_extensions import TypeVar

from ..completions.completion import Completion
from ..completions.view import View
from ..messages import Request, to_dicts
from ..models import ModelInfo
from ..parameters import FixedParams
from ..threads import ThreadEvent, run_in_own_thread
from .partial.snapshots import Snapshots
from .reading import read
from .schema.answer_type import VALUE, AnswerType, canonical
from .schema.json_schema import array_in
from .schema.readers import NotJSONError, Read, parsed
from .schema.strict import StrictSchema, strict_schema

if TYPE_CHECKING:
    from instructor.v2.core.registry import ModeHandlers
    from pydantic import BaseModel
    from typing_extensions import TypeForm

    from .partial.shapes import Shape

T = TypeVar("T", default=Any)
Item = TypeVar("Item")
Mode = Literal["tools", "json_schema", "json", "md_json"]
MODES: tuple[Mode, ...] = get_args(Mode)

# Distinct types whose prepared requests are kept: an application has dozens; generated ones must not fill the memory.
KEPT = 256
# The parameters that ask for the type, which the typed call sets itself.
_OWN = {
    "tools": ("tools", "tool_choice", "functions", "function_call"),
    "json_schema": ("response_format",),
    "json": ("response_format",),
    "md_json": ("response_format",),
}
_PROBE = "(what the user says)"


def choose_mode(info: ModelInfo) -> Mode:
    """Return the mode for a model: by schema where it follows one, else by a tool, else for JSON, else in words."""
    if info.response_schema:
        return "json_schema"
    if info.tools is not False:
        return "tools"
    return "json" if info.json_mode else "md_json"


def weakest_mode(infos: Iterable[ModelInfo]) -> Mode:
    """Return the mode that any of several models can answer in: that of the least able."""
    strongest_first: tuple[Mode, ...] = ("json_schema", "tools", "json", "md_json")
    return max(map(choose_mode, infos), key=strongest_first.index)


class Prepared(Generic[T]):
    """The form of requests for one type in one mode; made once.

    Attributes:
        answer_type: The type.
        mode: The mode.
        tool: The name of the tool that is to be called; None in the other modes.
    """

    def __init__(self, answer_type: AnswerType[T], mode: Mode) -> None:
        self.answer_type = answer_type
        self.mode = mode
        self.tool = answer_type.name if mode == "tools" else None
        self._strict: StrictSchema | None = strict_schema(answer_type.schema) if mode == "json_schema" else None
        self._handlers = handlers(mode)
        self._system: str | None = None
        self._last: str | None = None
        self._params = FixedParams(self._tool_params() if mode == "tools" else self._learn())

    def request(self, request: Request) -> Request:
        """Return a request with the type added to its messages and parameters.

        Raises:
            TypeError: A parameter asks for another kind of answer.
        """
        messages, params = request.messages, request.params
        if self._system is not None:
            messages = _with_system(messages, self._system)
        if self._last is not None:
            messages = _with_last(messages, self._last)
        if not params:
            return request.with_form(messages, self._params)
        for name in _OWN[self.mode]:
            if name in params:
                raise TypeError(f"{name}= cannot be given to a typed call in mode {self.mode}, which sets it itself")
        return request.with_form(messages, {**params, **self._params})

    def read(self, completion: Completion, context: object = None) -> T:
        """Read the value of an answer.

        Raises:
            BadAnswerError: It has none.
        """
        return read(completion, self.tool, self._read_json, context)

    def read_item(self: Prepared[list[Item]], text: str, context: object = None) -> Item:
        """Read one item of the list that was asked for.

        Raises:
            BadAnswerError: It is no value of the items' type.
        """
        return cast(Item, self._read_own_item(self._restored(text, is_item=True), context))

    def partial(self, completion: Completion) -> object:
        """Return the partial value of an incomplete or invalid answer; None when there is nothing to show."""
        snapshots = Snapshots(self.shape)
        calls = [call.arguments for call in completion.tool_calls if call.name == self.tool]
        snapshots.feed(calls[0] if calls else completion.text)
        return snapshots.latest if snapshots.advance() else None

    def reask(self, first: Request, completion: Completion, reason: str) -> Request:
        """Return the request of the next attempt: the first one, the bad answer, and the reason it was refused."""
        answered: View | None = None
        if completion.text or completion.tool_calls:
            message: dict[str, object] = {"role": "assistant", "content": completion.text}
            if completion.tool_calls:
                message["tool_calls"] = [call.to_dict() for call in completion.tool_calls]
            answered = View({"choices": [{"message": message}]})
        arguments = {"messages": list(first.messages)}
        # Without an answer the handlers add the reason alone: an empty assistant message is refused by some providers.
        asked = to_dicts(self._handlers.reask_handler(arguments, answered, ValueError(reason))["messages"])
        thoughts = completion.message.thinking_blocks
        if answered is not None and thoughts:
            # Claude refuses calls of its own that come back without the thinking that led to them.
            at = len(first.messages)
            asked = (*asked[:at], {**asked[at], "thinking_blocks": list(thoughts)}, *asked[at + 1 :])
        return first.with_form(asked, first.params)

    @cached_property
    def shape(self) -> Shape:
        """The shape of partial values."""
        return self.answer_type.shape()

    @cached_property
    def _read_own_item(self) -> Read[object]:
        return self.answer_type.items()

    def _read_json(self, text: str, context: object) -> T:
        return self.answer_type.read(self._restored(text), context)

    def _restored(self, text: str, *, is_item: bool = False) -> str:
        """Return an answer, or an item of one, without the nulls that only the strict schema asked for."""
        if self._strict is None or not self._strict.has_nulls or "null" not in text:
            return text
        try:
            value = parsed(text)
        except NotJSONError:
            return text
        kept: Any = self._strict.without_nulls({VALUE: [value]} if is_item else value)
        kept = kept[VALUE][0] if is_item else kept
        # The text itself is kept where nothing is left out: it has digits that a float has not.
        return text if kept == value else to_json(kept, inf_nan_mode="constants").decode()

    def _model(self) -> type[BaseModel]:
        asked = self.answer_type
        return cast("type[BaseModel]", _Model(asked.name, asked.documentation(), asked.schema))

    def _tool_params(self) -> dict[str, object]:
        from instructor.v2.providers.openai.schema import generate_openai_schema

        # instructor's own request handler would make another class of the user's.
        tool = generate_openai_schema(self._model())
        choice = {"type": "function", "function": {"name": self.tool}}
        return {"tools": [{"type": "function", "function": {**tool, "name": self.tool}}], "tool_choice": choice}

    def _learn(self) -> dict[str, Any]:
        """Learn what the request handler adds to a conversation."""
        arguments = {"messages": [{"role": "user", "content": _PROBE}]}
        learnt = self._handlers.request_handler(self._model(), arguments)[1]
        *before, last = learnt.pop("messages")
        if before:
            self._system = before[0]["content"].strip()
        self._last = last["content"].removeprefix(_PROBE).strip() or None
        wanted = learnt.get("response_format", {}).get("json_schema")
        if wanted is not None and self._strict is not None:
            wanted["schema"] = self._strict.schema
            wanted["strict"] = True
        return learnt


def handlers(mode: Mode) -> ModeHandlers:
    """Return instructor's handlers of a mode. The first call takes a second: instructor then imports openai."""
    from instructor import Mode as InstructorMode
    from instructor.v2.core.providers import Provider
    from instructor.v2.core.registry import mode_registry

    return mode_registry.get_handlers(Provider.OPENAI, InstructorMode[mode.upper()])


async def prepared(response_model: TypeForm[T], mode: str, info: Callable[[], ModelInfo]) -> Prepared[T]:
    """Return the form of requests for a type; made on a thread the first time, and kept.

    Raises:
        TypeError: It is no type that can be asked for.
    """
    chosen = choose_mode(info()) if mode == "auto" else cast(Mode, mode)
    key = (canonical(response_model), chosen)
    while (made := _kept.get(key)) is None:
        done = ThreadEvent()
        with _lock:
            waiting = _under_way.setdefault(key, [])
            waiting.append(done)
        if waiting[0] is not done:
            await done.wait()
            continue
        try:
            new = await run_in_own_thread(lambda: Prepared(AnswerType(response_model), chosen))
            _keep(key, new)
            return new
        finally:
            with _lock:
                del _under_way[key]
            for other in waiting:
                other.set()
    return made


class _Model:
    """Stands in for a model class where instructor looks at one."""

    def __init__(self, name: str, documentation: str | None, schema: Mapping[str, object]) -> None:
        self.__name__ = name
        self.__doc__ = documentation
        self._schema = schema

    def model_json_schema(self) -> dict[str, object]:
        return {**copy.deepcopy(dict(self._schema)), "title": self.__name__}


_kept: dict[tuple[object, Mode], Prepared[Any]] = {}
_under_way: dict[tuple[object, Mode], list[ThreadEvent]] = {}
_lock = threading.Lock()


def _keep(key: tuple[object, Mode], made: Prepared[Any]) -> None:
    with _lock:
        while len(_kept) >= KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = made


def _with_system(messages: tuple[dict[str, object], ...], text: str) -> tuple[dict[str, object], ...]:
    first = messages[0]
    if first["role"] not in ("system", "developer"):
        return ({"role": "system", "content": text}, *messages)
    return (_with_text(first, text), *messages[1:])


def _with_last(messages: tuple[dict[str, object], ...], text: str) -> tuple[dict[str, object], ...]:
    last = messages[-1]
    if last["role"] != "user":
        return (*messages, {"role": "user", "content": text})
    # In the same message, because some models refuse two in a row of one role.
    return (*messages[:-1], _with_text(last, text))


def _with_text(message: dict[str, object], text: str) -> dict[str, object]:
    content = message.get("content") or ""
    if isinstance(content, str):
        return {**message, "content": f"{content}\n\n{text}" if content else text}
    return {**message, "content": [*array_in(message, "content"), {"type": "text", "text": text}]}
