"""Requests in Anthropic's format are those that litellm sends, but for the differences listed here.

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
from asyncllm.transports.wire.formats.anthropic import AnthropicFormat, open_format
from asyncllm.transports.wire.formats.format import Unserved

from .anthropic_grid import LOOP_PARAMS, MESSAGES, MODELS, PARAMS, TOOL_LOOPS
from .anthropic_litellm import KEY, by_litellm

pytestmark = pytest.mark.usefixtures("litellm_imported")

EVERY = os.environ.get("ASYNCLLM_GRID") == "all"
LEADING = ("claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5-5")
PART = 6
# Of parameters, for each model; which they are differs by the model.
PAIRS = 1000 if EVERY else 40

HEADERS = ("anthropic-beta", "anthropic-version", "authorization", "x-api-key", "x-request-source")


class Difference(NamedTuple):
    """Fields or headers that the wire sends otherwise, for some parameters or messages."""

    names: str
    fields: str
    reason: str


DIFFERENCES = (
    Difference("tools_empty", "tools", "no tools are left out"),
    Difference("tool_choice_alone parallel_alone", "tool_choice", "the API refuses a choice without tools"),
    Difference("tools_any", "tool_choice", "Anthropic's own word for `required` is taken"),
    Difference("stops_many", "stop_sequences", "litellm keeps four, which is OpenAI's limit"),
    Difference("tier_auto tier_standard", "service_tier", "litellm drops it"),
    Difference(
        "extra_body extra_body_over extra_body_model",
        "extra_body min_p chat_template_kwargs temperature",
        "litellm sends a field of this name, which the API refuses, rather than what it holds",
    ),
    Difference("text_file", "messages", "the API takes texts as texts"),
    Difference("image_file", "messages", "the API takes no image as a document"),
    Difference("pdf_as_image", "messages", "the API takes no PDF as an image"),
    Difference("file_id", "messages", "a file is for the model to read, rather than for the code execution tool"),
    Difference("pdf_address", "anthropic-beta", "an address needs no beta"),
    Difference("result_error", "messages", "litellm cannot say that a tool failed"),
    Difference("hidden_inline", "messages", "litellm loses redacted thinking that stands in a content"),
    Difference(
        "blank_beside_image tool_result_empty_text thinking_empty_text",
        "messages",
        "litellm puts words into an empty text beside something else",
    ),
)


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

    @property
    def known(self) -> set[str]:
        names = {*self.params_name.split("+"), self.messages_name}
        found = [difference for difference in DIFFERENCES if not names.isdisjoint(difference.names.split())]
        known = {field for difference in found for field in difference.fields.split()}
        limit = self.params.get("max_tokens", self.params.get("max_completion_tokens"))
        # The API refuses a budget that leaves no room for the answer.
        return known | {"thinking"} if limit and "reasoning_effort" in self.params else known


def cases(model: str) -> Iterator[Case]:
    """Return all requests for the leading models, and a part of them, each another, for the rest."""
    found = [Case(params_name=name) for name in PARAMS]
    found += [Case(messages_name=name) for name in MESSAGES]
    found += itertools.starmap(Case, itertools.product(LOOP_PARAMS, TOOL_LOOPS))
    pairs = [(a, b) for a, b in itertools.combinations(PARAMS, 2) if not PARAMS[a].keys() & PARAMS[b].keys()]
    found += [Case(f"{a}+{b}") for a, b in random.Random(model).sample(pairs, PAIRS)]
    yield from found if EVERY or model in LEADING else found[MODELS.index(model) % PART :: PART]


def format_of(model: str, **options: Any) -> AnthropicFormat:
    made = open_format(Connection("anthropic", KEY, {"base_url": "https://provider.test", **options}), model)
    assert isinstance(made, AnthropicFormat)
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
        # litellm breaks the references of a schema that it sends as a tool.
        theirs = {**json.loads(json.dumps(sent.body).replace('"/$defs/', '"#/$defs/')), "url": sent.url}
        lower = {name.lower(): value for name, value in request.headers.items()}
        for name in HEADERS:
            ours[name], theirs[name] = lower.get(name), sent.headers.get(name)
        differing = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
        if differing - case.known:
            found["/".join(case)] = {name: (theirs.get(name), ours.get(name)) for name in differing - case.known}
    assert found == {}
