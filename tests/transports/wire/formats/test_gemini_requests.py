"""Requests in Gemini's format are those that litellm sends, but for the listed differences.

`ASYNCLLM_GRID=all` runs the larger grid.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from asyncllm.transports.base import Connection
from asyncllm.transports.wire.formats.format import Unserved
from asyncllm.transports.wire.formats.gemini import GeminiFormat, open_format

from ..grid import Case
from .gemini_grid import DIFFERENCES, GRID, LEADING, MODELS, PARAMS
from .gemini_litellm import KEY, by_litellm, in_api_spelling

pytestmark = pytest.mark.usefixtures("litellm_imported")

EVERY = os.environ.get("ASYNCLLM_GRID") == "all"
# Of parameters, for each model; which they are differs by the model.
PAIRS = 1000 if EVERY else 40

HEADERS = ("authorization", "x-goog-api-key", "x-request-source")


def cases(model: str) -> Iterator[Case]:
    """Return the requests of the grid, and pairs of parameters, which differ by the model."""
    grid = replace(GRID, streamed=(), streamed_messages=())
    yield from grid.cases("gemini", model, sampled=not EVERY)
    if EVERY or model in LEADING:
        pairs = [(a, b) for a, b in itertools.combinations(PARAMS, 2) if not PARAMS[a].keys() & PARAMS[b].keys()]
        for one, other in random.Random(model).sample(pairs, PAIRS):
            yield Case("gemini", model, f"{one}+{other}", params={**PARAMS[one], **PARAMS[other]})


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
        known = {field for one in DIFFERENCES if one.covers(case) for field in one.fields.split()}
        names = (ours.keys() | theirs.keys()) - known
        differing = {name for name in names if ours.get(name) != theirs.get(name)}
        if differing:
            found[str(case)] = {name: (theirs.get(name), ours.get(name)) for name in differing}
    assert found == {}
