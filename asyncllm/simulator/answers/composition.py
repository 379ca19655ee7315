"""Simulated answers: stable, recognisable as such, and of the length that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from .conversation import CHARS_PER_TOKEN, ChatRequest, SimulatedAnswer, SimulatedToolCall, Tool, stable_number
from .json_values import as_array, as_number, as_object, is_object
from .typed import typed_answer

# Enough of the question to recognise it in a table, short enough to leave the answer its own words.
_QUOTE_CHARS = 60
# The last sentence is finished, so answers have up to about 60 words.
_MIN_WORDS, _MAX_WORDS = 10, 50
_FILLER = (
    "This text was made by the asyncllm simulator and no model has read the question.",
    "The same input always gives the same words, so that a test can rely on them.",
    "Its length varies with the question, as the length of a real answer would.",
    "Nothing here is advice, and every figure in it would be invented.",
)
_LENGTH_IN_MODEL = re.compile(r"(\d+)-?tokens?\b")
_WORD = re.compile(r"[^\W_]+")
# Too common in the descriptions of tools to tell one tool from another.
_EMPTY_WORDS = frozenset(
    _WORD.findall("a an and are by for from get given in is it of on or returns set that the this to use with")
)


def compose(chat: ChatRequest) -> list[SimulatedAnswer]:
    """Return the `chat.n` answers to a request."""
    return [_one_answer(chat, index) for index in range(chat.n)]


def _one_answer(chat: ChatRequest, index: int) -> SimulatedAnswer:
    script = chat.script
    answer = SimulatedAnswer()
    if "reason" in chat.model or chat.thinking or "reasoning" in script:
        usual = f"The simulator pretends to think about {_quote(chat.last_text)} before it answers."
        answer.reasoning = str(script.get("reasoning") or usual)
    if "refusal" in script:
        answer.refusal = str(script["refusal"])
    elif calls := _tool_calls(chat):
        answer.tool_calls, answer.finish = calls, "tool_calls"
    else:
        answer.text = _text(chat, index)
    _apply_stops(answer, chat.stop)
    _apply_token_limit(answer, chat.max_tokens)
    answer.finish = str(script.get("finish_reason", answer.finish))
    return answer


def _text(chat: ChatRequest, index: int) -> str:
    script = chat.script
    if "text" in script:
        return str(script["text"])
    if tokens := _requested_tokens(chat):
        return _text_of_tokens(chat, tokens)
    if chat.schema is not None:
        return _typed_text(chat, chat.schema, index)
    if (schema := _schema_in_prompt(chat)) is not None:
        text = _typed_text(chat, schema, index)
        return text if chat.json_object else f"```json\n{text}\n```"
    if chat.json_object:
        return json.dumps({"answer": _prose(chat, index)}, ensure_ascii=False)
    return _prose(chat, index)


def _typed_text(chat: ChatRequest, schema: Mapping[str, object], salt: object) -> str:
    return json.dumps(typed_answer(schema, "\n".join(chat.user_texts), salt=str(salt)), ensure_ascii=False)


def _prose(chat: ChatRequest, index: int) -> str:
    subject = f"the tool result {_quote(chat.tool_result)}" if chat.tool_result else _quote(chat.last_text)
    number = stable_number(chat.model, chat.last_text, chat.tool_result, str(index))
    opening = f"Simulated answer to: {subject}."
    if chat.images:
        opening += f" It came with {chat.images} image{'s' if chat.images > 1 else ''}."
    missing = _MIN_WORDS + number % (_MAX_WORDS - _MIN_WORDS + 1) - opening.count(" ") - 1
    parts = [opening]
    while missing > 0:
        number += 1
        parts.append(_FILLER[number % len(_FILLER)])
        missing -= parts[-1].count(" ") + 1
    return " ".join(parts)


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line}"' if len(line) <= _QUOTE_CHARS else f'"{line[:_QUOTE_CHARS].rstrip()}..."'


def _requested_tokens(chat: ChatRequest) -> int | None:
    if "answer_tokens" in chat.script:
        return int(as_number(chat.script["answer_tokens"]))
    found = _LENGTH_IN_MODEL.search(chat.model)
    return int(found[1]) if found else None


def _text_of_tokens(chat: ChatRequest, tokens: int) -> str:
    chars = tokens * CHARS_PER_TOKEN
    text = f"Simulated answer to: {_quote(chat.last_text)}. "
    if len(text) < chars:
        filler = " ".join(_FILLER) + " "
        text += filler * (chars // len(filler) + 1)
    # A full stop at the end, because a trailing blank would be lost in a comparison that strips.
    return text[: chars - 1] + "."


def _tool_calls(chat: ChatRequest) -> list[SimulatedToolCall]:
    if "tool_calls" in chat.script:
        scripted = as_array(chat.script["tool_calls"])
        return [_scripted_call(as_object(call), index) for index, call in enumerate(scripted)]
    if not chat.tools or chat.tool_choice == "none" or "text" in chat.script:
        return []
    if chat.tool_choice == "required":
        chosen = _mentioned(chat) or chat.tools[:1]
    elif chat.tool_choice == "auto":
        chosen = [] if chat.tool_result else _mentioned(chat)
    else:
        chosen = [tool for tool in chat.tools if tool.name == chat.tool_choice]
    source = "\n".join(chat.user_texts)
    return [
        SimulatedToolCall(
            _call_id(tool.name, source, index), tool.name, _typed_text(chat, tool.parameters, salt=tool.name)
        )
        for index, tool in enumerate(chosen if chat.parallel_tool_calls else chosen[:1])
    ]


def _scripted_call(call: Mapping[str, object], index: int) -> SimulatedToolCall:
    name, arguments = str(call["name"]), call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return SimulatedToolCall(str(call.get("id") or _call_id(name, text, index)), name, text)


def _call_id(*parts: object) -> str:
    return f"call_sim{stable_number(*map(str, parts)):016x}"


def _mentioned(chat: ChatRequest) -> list[Tool]:
    """Return the tools that share a telling word with the question, as a model calls the tools that it is about."""
    words = {word.lower() for word in _WORD.findall(chat.last_text)}
    return [tool for tool in chat.tools if words & _telling_words(tool)]


def _telling_words(tool: Tool) -> set[str]:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", tool.name).replace("_", " ")
    return {word.lower() for word in _WORD.findall(f"{name} {tool.description}")} - _EMPTY_WORDS


def _schema_in_prompt(chat: ChatRequest) -> Mapping[str, object] | None:
    """Return the JSON Schema that an instruction spells out, for callers that have no other way to ask for a type."""
    instructions = [chat.system_text, *(chat.user_texts if chat.json_object else ())]
    documents = (found for text in instructions if "json" in text.lower() for found in _json_objects(text))
    return next((found for found in documents if not found.keys().isdisjoint(("properties", "$ref", "$defs"))), None)


def _json_objects(text: str) -> Iterator[Mapping[str, object]]:
    for start in (found.start() for found in re.finditer(r"\{", text)):
        try:
            value: object = json.JSONDecoder().raw_decode(text, start)[0]
        except ValueError:
            continue
        if is_object(value):
            yield value


def _apply_stops(answer: SimulatedAnswer, stops: list[str]) -> None:
    ends = [(found, stop) for stop in stops if stop and (found := answer.text.find(stop)) >= 0]
    if ends:
        end, answer.stop_sequence = min(ends)
        answer.text = answer.text[:end]


def _apply_token_limit(answer: SimulatedAnswer, max_tokens: int | None) -> None:
    """Cut an answer; reasoning is spent first, as reasoning models do."""
    if max_tokens is None or answer.tokens <= max_tokens:
        return
    left = max_tokens * CHARS_PER_TOKEN
    answer.finish, answer.stop_sequence = "length", None
    answer.reasoning = answer.reasoning[:left]
    left -= len(answer.reasoning)
    answer.text = answer.text[:left]
    left -= len(answer.text)
    if answer.refusal is not None:
        answer.refusal = answer.refusal[:left]
    kept: list[SimulatedToolCall] = []
    for call in answer.tool_calls:
        left -= len(call.name)
        if left <= 0:
            break
        kept.append(SimulatedToolCall(call.id, call.name, call.arguments[:left]))
        left -= len(call.arguments)
    answer.tool_calls = kept
