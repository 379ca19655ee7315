"""The public signatures that exist more than once are the same."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable

import pytest

import asyncllm
from asyncllm import LLM, AsyncLLM

# What the blocking client has under another name, or of another kind.
BLOCKING_NAMES = {"acompletion": "completion", "aclose": "close"}
BLOCKING_TYPES = {
    "AsyncLLM": "LLM",
    "CompletionStream": "BlockingStream",
    "PartialStream": "BlockingPartials",
    "ItemStream": "BlockingItems",
    "OutcomeStream": "BlockingOutcomes",
    "DeferredJob": "BlockingJob",
    "AsyncInstructor": "Instructor",
}
METHODS = sorted(name for name in vars(AsyncLLM) if not name.startswith("_"))
ONE_OFF = {"acompletion": "acompletion", "aextract": "extract", "agather": "gather"}
ONE_OFF |= {"completion": "acompletion", "extract": "extract", "gather": "gather"}


def signatures(function: Callable[..., object]) -> list[str]:
    """Return the signatures of a function, its overloads before itself, with annotations as they are written."""
    overloads = typing.get_overloads(function)
    return [str(inspect.signature(one)) for one in (*overloads, function)]


def as_blocking(signature: str) -> str:
    """Return a signature with the blocking kinds of streams and clients in place of the async ones."""
    return re.sub(r"\w+", lambda name: BLOCKING_TYPES.get(name[0], name[0]), signature)


def without_profile(signature: str) -> str:
    """Return the signature of a one-off function as that of a method: without its profile."""
    return re.sub(r"profile: '[^']*' = None, ", "", signature)


@pytest.mark.parametrize("name", METHODS)
def test_the_blocking_client_has_every_method(name: str) -> None:
    """Each public method of the async client has a blocking one, with the same parameters, defaults and overloads."""
    method, blocking = vars(AsyncLLM)[name], vars(LLM)[BLOCKING_NAMES.get(name, name)]
    if isinstance(method, property):
        assert isinstance(blocking, property)
        method, blocking = method.fget, blocking.fget
    assert method is not None
    assert blocking is not None
    assert signatures(blocking) == [as_blocking(one) for one in signatures(method)]


@pytest.mark.parametrize("name", sorted(ONE_OFF))
def test_one_off_functions_take_what_the_client_takes(name: str) -> None:
    """A one-off function has the parameters, defaults and overloads of the method, and the name of a profile."""
    method = signatures(getattr(AsyncLLM, ONE_OFF[name]))
    method = [one.replace("self, ", "", 1) for one in method]
    if name.endswith("completion"):  # it makes no streams, which need a client that lives as long
        method = ["(messages: 'Messages', *, **params: 'Unpack[CallOptions]') -> 'Completion'"]
    one_off = signatures(getattr(asyncllm, name))
    assert all("profile: 'str | None' = None" in signature for signature in one_off)
    assert [without_profile(signature) for signature in one_off] == method
