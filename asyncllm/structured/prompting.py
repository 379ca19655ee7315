"""How a type is asked for: instructor's knowledge, taken from its registry once for each type and mode.

Of instructor this relies on the registry, on the request and the re-ask handlers of four modes of its OpenAI provider
(litellm speaks for the other providers), and on the schema that it makes for a tool.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Literal, get_args

from pydantic_core import from_json, to_json

from ..completions.completion import Completion
from ..completions.view import View
from ..messages import Request, to_dicts
from ..models import ModelInfo
from ..parameters import FixedParams
from ..threads import ThreadEvent, run_in_own_thread
from .partial.shapes import Shape
from .reading import read
from .schema.answer_type import VALUE, AnswerType, BareType, canonical
from .schema.strict import StrictSchema, strict_schema

Mode = Literal["tools", "json_schema", "json", "md_json"]
MODES: tuple[Mode, ...] = get_args(Mode)

# Distinct types whose prepared requests are kept: an application has dozens; generated ones must not fill the memory.
KEPT = 256
# Parameters that say what the answer shall be, which is the typed call's own business.
_OWN = {
    "tools": ("tools", "tool_choice", "functions", "function_call"),
    "json_schema": ("response_format",),
    "json": ("response_format",),
    "md_json": ("response_format",),
}
_PROBE = "(what the user says)"


def choose_mode(info: ModelInfo) -> Mode:
    """Choose how to ask a model: by schema where it follows one, else by a tool, else for JSON, else in words."""
    if info.response_schema:
        return "json_schema"
    if info.tools is not False:
        return "tools"
    return "json" if info.json_mode else "md_json"


def weakest_mode(infos: Iterable[ModelInfo]) -> Mode:
    """Choose how to ask so that any of several models can answer: as the least able of them is asked."""
    strongest_first: tuple[Mode, ...] = ("json_schema", "tools", "json", "md_json")
    return max(map(choose_mode, infos), key=strongest_first.index)


class Prepared:
    """How to ask for one type in one mode, made once.

    Attributes:
        answer_type: The type.
        mode: The mode.
        tool: The name of the tool that is to be called; None in the other modes.
    """

    def __init__(self, answer_type: AnswerType, mode: Mode) -> None:
        self.answer_type = answer_type
        self.mode = mode
        self.tool = answer_type.name if mode == "tools" else None
        self._strict: StrictSchema | None = strict_schema(answer_type.schema) if mode == "json_schema" else None
        self._handlers = handlers(mode)
        self._system: str | None = None
        self._last: str | None = None
        self._params = FixedParams(self._tool_params() if mode == "tools" else self._learn())

    def request(self, request: Request) -> Request:
        """Return a request with what asks for the type added to its messages and parameters.

        Raises:
            TypeError: A parameter says otherwise what the answer shall be.
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

    def read(self, completion: Completion, context: Any = None) -> Any:
        """Read the value of an answer.

        Raises:
            BadAnswerError: It has none.
        """
        return read(completion, self.tool, self._read_json, context)

    def read_item(self, text: str, context: Any = None) -> Any:
        """Read one item of the list that was asked for.

        Raises:
            BadAnswerError: It is no value of the items' type.
        """
        if self._strict is not None and self._strict.has_nulls and "null" in text:
            text = _undone(self._strict, text, around=lambda item: {VALUE: [item]}, within=lambda it: it[VALUE][0])
        return self._items.read(text, context)

    def reask(self, first: Request, completion: Completion, reason: str) -> Request:
        """Return the request of the next attempt: the first one, the bad answer, and what was wrong with it."""
        answered: View | None = None
        if completion.text or completion.tool_calls:
            message: dict[str, Any] = {"role": "assistant", "content": completion.text}
            if completion.tool_calls:
                message["tool_calls"] = [call.to_dict() for call in completion.tool_calls]
            answered = View({"choices": [{"message": message}]})
        arguments = {"messages": list(first.messages)}
        # Without an answer the handlers add the reason alone: an empty assistant message is refused by some providers.
        asked: list[dict[str, Any]] = self._handlers.reask_handler(arguments, answered, ValueError(reason))["messages"]
        return first.with_form(to_dicts(asked), first.params)

    @cached_property
    def shape(self) -> Shape:
        """How a value looks while it grows."""
        return self.answer_type.shape()

    @cached_property
    def _items(self) -> BareType:
        return self.answer_type.items()

    def _read_json(self, text: str, context: Any) -> Any:
        if self._strict is not None and self._strict.has_nulls and "null" in text:
            text = _undone(self._strict, text)
        return self.answer_type.read(text, context)

    def _tool_params(self) -> dict[str, Any]:
        from instructor.v2.providers.openai.schema import generate_openai_schema

        # instructor's own request handler would make another class of the user's.
        tool = generate_openai_schema(_Model(self.answer_type))
        tool = {**tool, "name": self.tool}
        choice = {"type": "function", "function": {"name": self.tool}}
        return {"tools": [{"type": "function", "function": tool}], "tool_choice": choice}

    def _learn(self) -> dict[str, Any]:
        """Learn from the request handler what it adds to a conversation."""
        arguments = {"messages": [{"role": "user", "content": _PROBE}]}
        asked = self._handlers.request_handler(_Model(self.answer_type), arguments)[1]
        *before, last = asked.pop("messages")
        if before:
            self._system = before[0]["content"].strip()
        self._last = last["content"].removeprefix(_PROBE).strip() or None
        wanted = asked.get("response_format", {}).get("json_schema")
        if wanted is not None and self._strict is not None:
            wanted["schema"] = self._strict.schema
            wanted["strict"] = True
        learnt: dict[str, Any] = asked
        return learnt


def _undone(
    strict: StrictSchema,
    text: str,
    *,
    around: Callable[[Any], Any] = lambda value: value,
    within: Callable[[Any], Any] = lambda value: value,
) -> str:
    """Return an answer in the form that the type itself has, without what only the strict schema asked for."""
    try:
        value = from_json(text)
    except ValueError:
        return text
    kept = within(strict.without_nulls(around(value)))
    # The text itself is kept where nothing is left out: it has digits that a float has not.
    return text if kept == value else to_json(kept, inf_nan_mode="constants").decode()


def handlers(mode: Mode) -> Any:
    """Return instructor's handlers of a mode. The first call takes a second: instructor then imports openai."""
    from instructor import Mode as InstructorMode
    from instructor.v2.core.providers import Provider
    from instructor.v2.core.registry import mode_registry

    return mode_registry.get_handlers(Provider.OPENAI, InstructorMode[mode.upper()])


async def prepared(response_model: Any, mode: str, info: Callable[[], ModelInfo]) -> Prepared:
    """Return how to ask for a type; made on a thread the first time, and kept.

    Raises:
        TypeError: It is no type that can be asked for.
    """
    chosen: Any = choose_mode(info()) if mode == "auto" else mode
    key = (canonical(response_model), chosen)
    while (made := _kept.get(key)) is None:
        with _lock:
            waiting = _under_way.get(key)
            done = ThreadEvent()
            if waiting is None:
                _under_way[key] = []
            else:
                waiting.append(done)
        if waiting is not None:
            await done.wait()
            continue
        try:
            made = await run_in_own_thread(lambda: Prepared(AnswerType(response_model), chosen))
            _keep(key, made)
        finally:
            with _lock:
                others = _under_way.pop(key)
            for other in others:
                other.set()
    return made


class _Model:
    """Stands where instructor looks at a model class."""

    def __init__(self, answer_type: AnswerType) -> None:
        self._schema = answer_type.schema
        self.__name__ = answer_type.name
        self.__doc__ = answer_type.documentation()

    def model_json_schema(self) -> dict[str, Any]:
        return {**copy.deepcopy(self._schema), "title": self.__name__}


_kept: dict[Any, Prepared] = {}
_under_way: dict[Any, list[ThreadEvent]] = {}
_lock = threading.Lock()


def _keep(key: Any, made: Prepared) -> None:
    with _lock:
        while len(_kept) >= KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = made


_Dicts = tuple[dict[str, Any], ...]


def _with_system(messages: _Dicts, text: str) -> _Dicts:
    first = messages[0]
    if first["role"] not in ("system", "developer"):
        return ({"role": "system", "content": text}, *messages)
    return (_with_text(first, text), *messages[1:])


def _with_last(messages: _Dicts, text: str) -> _Dicts:
    last = messages[-1]
    if last["role"] != "user":
        return (*messages, {"role": "user", "content": text})
    # In the same message, because some models refuse two in a row of one role.
    return (*messages[:-1], _with_text(last, text))


def _with_text(message: dict[str, Any], text: str) -> dict[str, Any]:
    content = message.get("content") or ""
    if isinstance(content, str):
        return {**message, "content": f"{content}\n\n{text}" if content else text}
    return {**message, "content": [*content, {"type": "text", "text": text}]}
