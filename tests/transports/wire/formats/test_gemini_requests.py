"""Requests in Gemini's format are those that litellm sends, but for the differences listed here.

`ASYNCLLM_GRID=all` runs the larger grid.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from asyncllm.transports.base import Connection
from asyncllm.transports.wire.formats.format import Unserved
from asyncllm.transports.wire.formats.gemini import GeminiFormat, open_format

from .gemini_grid import LOOP_PARAMS, MESSAGES, MODELS, PARAMS, TOOL_LOOPS
from .gemini_litellm import KEY, by_litellm, in_api_spelling

pytestmark = pytest.mark.usefixtures("litellm_imported")

EVERY = os.environ.get("ASYNCLLM_GRID") == "all"
LEADING = ("gemini-1.5-pro", "gemini-2.5-flash", "gemini-3-flash-preview")
PART = 6
# Of parameters, for each model; which they are differs by the model.
PAIRS = 1000 if EVERY else 40

HEADERS = ("authorization", "x-goog-api-key", "x-request-source")


class Difference(NamedTuple):
    """Fields or headers that the wire sends otherwise, for some parameters or messages."""

    names: str
    fields: str
    reason: str


DIFFERENCES = (
    Difference("tool_choice_alone", "toolConfig", "the API refuses a choice without tools"),
    Difference("extra_body_model", "model", "the profile decides the model, which is no field of the body"),
    Difference("logprobs", "generationConfig", "litellm drops top_logprobs, which the API takes"),
    Difference("stops_many", "generationConfig", "litellm keeps four, which is OpenAI's limit; the API takes five"),
    Difference("schema_strict_property", "generationConfig", "litellm removes properties of the name `strict`"),
    Difference(
        "tools_recursive tools_one_of tools_map tools_numbers",
        "tools",
        "litellm loses what the API's subset cannot say, and parametersJsonSchema can",
    ),
    Difference("tools_const", "tools", "litellm loses a constant, which is an enum of one value"),
    Difference("calls_same", "contents", "litellm loses one of two equal calls, but neither result"),
    Difference("call_empty_arguments", "contents", "litellm sends an argument that nobody gave"),
    Difference("extra_system", "system_instruction systemInstruction", "one spelling, so that no field comes twice"),
)


UNLISTED = ("gemini-1.5-pro", "gemini-2.0-flash")
"""Models that are not in litellm's map, which it takes for models without system instructions."""


class Case(NamedTuple):
    """One request."""

    params_name: str = "none"
    messages_name: str = "plain"

    @property
    def params(self) -> dict[str, Any]:
        parts = [PARAMS[name] for name in self.params_name.split("+")]
        return {name: value for part in parts for name, value in part.items()}

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        return MESSAGES[self.messages_name]

    def known(self, model: str) -> set[str]:
        """Return the fields that may differ."""
        names = {*self.params_name.split("+"), self.messages_name}
        found = [difference for difference in DIFFERENCES if not names.isdisjoint(difference.names.split())]
        known = {field for difference in found for field in difference.fields.split()}
        has_system = any(message["role"] in ("system", "developer") for message in self.messages)
        return known | {"contents", "systemInstruction"} if model in UNLISTED and has_system else known


def cases(model: str) -> Iterator[Case]:
    """Return all requests for the leading models, and a part of them, each another, for the rest."""
    found = [Case(params_name=name) for name in PARAMS]
    found += [Case(messages_name=name) for name in MESSAGES]
    found += itertools.starmap(Case, itertools.product(LOOP_PARAMS, TOOL_LOOPS))
    pairs = [(a, b) for a, b in itertools.combinations(PARAMS, 2) if not PARAMS[a].keys() & PARAMS[b].keys()]
    found += [Case(f"{a}+{b}") for a, b in random.Random(model).sample(pairs, PAIRS)]
    yield from found if EVERY or model in LEADING else found[MODELS.index(model) % PART :: PART]


def format_of(model: str, **options: Any) -> GeminiFormat:
    made = open_format(Connection("gemini", KEY, {"base_url": "https://provider.test/v1beta", **options}), model)
    assert isinstance(made, GeminiFormat)
    return made


@pytest.mark.parametrize("model", MODELS)
def test_requests_are_those_of_litellm(model: str) -> None:
    """What the format serves, it sends as litellm does."""
    fmt = format_of(model)
    found: dict[str, Any] = {}
    for case in cases(model):
        request = fmt.request(case.messages, case.params)
        if isinstance(request, Unserved):
            continue
        sent = by_litellm(model, case.messages, case.params)
        ours: dict[str, Any] = {**json.loads(request.encode()), "url": fmt.url}
        theirs: dict[str, Any] = {**in_api_spelling(sent.body), "url": sent.url}
        lower = {name.lower(): value for name, value in request.headers.items()}
        for name in HEADERS:
            ours[name], theirs[name] = lower.get(name), sent.headers.get(name)
        differing = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
        if differing - case.known(model):
            found["/".join(case)] = {name: (theirs.get(name), ours.get(name)) for name in differing - case.known(model)}
    assert found == {}
