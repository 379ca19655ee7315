"""What the simulator answers: stable, recognisably simulated, and of the length that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .conversation import CHARS_PER_TOKEN, Ask, SimulatedAnswer, SimulatedToolCall, Tool, stable_number
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


def compose(ask: Ask) -> list[SimulatedAnswer]:
    """Give the `ask.n` answers to a request."""
    return [_one_answer(ask, index) for index in range(ask.n)]


def _one_answer(ask: Ask, index: int) -> SimulatedAnswer:
    script = ask.script
    answer = SimulatedAnswer()
    if "reason" in ask.model or ask.thinking or "reasoning" in script:
        question = _quote(ask.last_text)
        answer.reasoning = (
            script.get("reasoning") or f"The simulator pretends to think about {question} before it answers."
        )
    if "refusal" in script:
        answer.refusal = str(script["refusal"])
    elif calls := _tool_calls(ask):
        answer.tool_calls, answer.finish = calls, "tool_calls"
    else:
        answer.text = _text(ask, index)
    _stop_and_cut(answer, ask)
    answer.finish = script.get("finish_reason", answer.finish)
    return answer


def _text(ask: Ask, index: int) -> str:
    script = ask.script
    if "text" in script:
        return str(script["text"])
    if tokens := _length_asked(ask):
        return _exact_text(ask, tokens)
    source = "\n".join(ask.user_texts)
    if ask.schema is not None:
        return json.dumps(typed_answer(ask.schema, source, salt=str(index)), ensure_ascii=False)
    if (schema := _schema_in_prompt(ask)) is not None:
        text = json.dumps(typed_answer(schema, source, salt=str(index)), ensure_ascii=False)
        return text if ask.json_object else f"```json\n{text}\n```"
    if ask.json_object:
        return json.dumps({"answer": _prose(ask, index)}, ensure_ascii=False)
    return _prose(ask, index)


def _prose(ask: Ask, index: int) -> str:
    subject = f"the tool result {_quote(ask.tool_result)}" if ask.tool_result else _quote(ask.last_text)
    number = stable_number(ask.model, ask.last_text, ask.tool_result, str(index))
    opening = f"Simulated answer to: {subject}."
    if ask.images:
        opening += f" It came with {ask.images} image{'s' if ask.images > 1 else ''}."
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


def _length_asked(ask: Ask) -> int | None:
    if "answer_tokens" in ask.script:
        return int(ask.script["answer_tokens"])
    found = _LENGTH_IN_MODEL.search(ask.model)
    return int(found[1]) if found else None


def _exact_text(ask: Ask, tokens: int) -> str:
    chars = tokens * CHARS_PER_TOKEN
    text = f"Simulated answer to: {_quote(ask.last_text)}. "
    if len(text) < chars:
        filler = " ".join(_FILLER) + " "
        text += filler * (chars // len(filler) + 1)
    # A full stop in the last place, because a trailing blank would be lost in a comparison that strips.
    return text[: chars - 1] + "."


def _tool_calls(ask: Ask) -> list[SimulatedToolCall]:
    if "tool_calls" in ask.script:
        return [_scripted_call(call, index) for index, call in enumerate(ask.script["tool_calls"])]
    if not ask.tools or ask.tool_choice == "none" or "text" in ask.script:
        return []
    if ask.tool_choice == "required":
        chosen = _mentioned(ask) or ask.tools[:1]
    elif ask.tool_choice == "auto":
        chosen = [] if ask.tool_result else _mentioned(ask)
    else:
        chosen = [tool for tool in ask.tools if tool.name == ask.tool_choice]
    source = "\n".join(ask.user_texts)
    return [
        SimulatedToolCall(
            id=_call_id(tool.name, source, index),
            name=tool.name,
            arguments=json.dumps(typed_answer(tool.parameters, source, salt=tool.name), ensure_ascii=False),
        )
        for index, tool in enumerate(chosen if ask.parallel_tool_calls else chosen[:1])
    ]


def _scripted_call(call: Mapping[str, Any], index: int) -> SimulatedToolCall:
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return SimulatedToolCall(
        id=str(call.get("id") or _call_id(call["name"], text, index)), name=call["name"], arguments=text
    )


def _call_id(*parts: object) -> str:
    return f"call_sim{stable_number(*map(str, parts)):016x}"


def _mentioned(ask: Ask) -> list[Tool]:
    """A model calls a tool when the question is about what the tool does: here, when they share a telling word."""
    said = {word.lower() for word in _WORD.findall(ask.last_text)}
    return [tool for tool in ask.tools if said & _telling_words(tool)]


def _telling_words(tool: Tool) -> set[str]:
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", tool.name).replace("_", " ")
    return {word.lower() for word in _WORD.findall(f"{name} {tool.description}")} - _EMPTY_WORDS


def _schema_in_prompt(ask: Ask) -> Mapping[str, Any] | None:
    """Find the JSON Schema that an instruction spells out, for callers that have no other way to ask for a type."""
    instructions = [ask.system_text] if ask.system_text else []
    if ask.json_object:
        instructions += ask.user_texts
    for text in instructions:
        if "json" not in text.lower():
            continue
        for start in (found.start() for found in re.finditer(r"\{", text)):
            try:
                value, _ = json.JSONDecoder().raw_decode(text, start)
            except ValueError:
                continue
            if isinstance(value, dict) and ("properties" in value or "$ref" in value or "$defs" in value):
                return value
    return None


def _stop_and_cut(answer: SimulatedAnswer, ask: Ask) -> None:
    """Apply the stop sequences, then the token limit: reasoning is spent first, as reasoning models do."""
    ends = [(found, stop) for stop in ask.stop if stop and (found := answer.text.find(stop)) >= 0]
    if ends:
        at, answer.stop_sequence = min(ends)
        answer.text = answer.text[:at]
    if ask.max_tokens is None or answer.tokens <= ask.max_tokens:
        return
    left = ask.max_tokens * CHARS_PER_TOKEN
    answer.finish, answer.stop_sequence = "length", None
    answer.reasoning = answer.reasoning[:left]
    left -= len(answer.reasoning)
    answer.text = answer.text[:left]
    left -= len(answer.text)
    if answer.refusal is not None:
        answer.refusal = answer.refusal[:left]
    kept = []
    for call in answer.tool_calls:
        left -= len(call.name)
        if left <= 0:
            break
        kept.append(SimulatedToolCall(call.id, call.name, call.arguments[:left]))
        left -= len(call.arguments)
    answer.tool_calls = kept
