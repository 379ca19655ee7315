"""Requests: immutable units of work, copies and pickles."""

from __future__ import annotations

import pickle
from typing import Any
from unittest.mock import ANY

import pytest

from asyncllm import Message, Request

HI = ({"role": "user", "content": "Hi"},)


def test_a_request_holds_what_it_was_given() -> None:
    """Messages are converted; id, type, data and parameters are kept as they are."""
    data = object()
    request = Request("Hi", id="q-1", response_model=int, data=data, temperature=0.5)
    assert (request.messages, request.id, request.response_model, request.params) == (
        HI,
        "q-1",
        int,
        {"temperature": 0.5},
    )
    assert request.data is data


def test_a_request_without_options_has_none() -> None:
    """Everything but the messages is optional."""
    request = Request("Hi")
    assert (request.id, request.response_model, request.data, request.params) == (None, None, None, {})


def test_a_request_of_a_request_is_a_changed_copy() -> None:
    """What is given replaces what the request has; parameters are merged, and the original stays."""
    first = Request("Hi", id="q-1", response_model=int, data="d", temperature=0.5, seed=1)
    same, changed = Request(first), Request(first, id="q-2", response_model=str, data="e", seed=2, top_p=1)
    assert same == first
    assert (changed.messages, changed.id, changed.response_model, changed.data) == (HI, "q-2", str, "e")
    assert changed.params == {"temperature": 0.5, "seed": 2, "top_p": 1}
    assert first.params == {"temperature": 0.5, "seed": 1}


@pytest.mark.parametrize("name", ["id", "messages", "params", "data", "anything"])
def test_a_request_is_immutable(name: str) -> None:
    """No attribute can be set or deleted; the error shows how to make a copy."""
    request = Request("Hi", id="q-1")
    with pytest.raises(AttributeError) as caught:
        setattr(request, name, "x")
    assert str(caught.value) == f"a Request is immutable; make a copy: Request(request, {name}=...)"
    with pytest.raises(AttributeError, match=r"^a Request is immutable$"):
        delattr(request, name)
    assert request == Request("Hi", id="q-1")


@pytest.mark.parametrize(
    "other",
    [
        Request("Ho"),
        Request("Hi", id="q"),
        Request("Hi", response_model=int),
        Request("Hi", data=1),
        Request("Hi", seed=1),
        "Hi",
    ],
)
def test_requests_are_equal_by_all_of_their_fields(other: Any) -> None:
    """Requests that differ in any field are not equal, and none equals another type."""
    assert Request("Hi") == Request([Message.user("Hi")])
    assert Request("Hi") != other
    assert Request("Hi") == ANY  # another type decides for itself


def test_a_request_is_not_hashable() -> None:
    """A request holds dicts, so it cannot be a key."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Request("Hi"))


def test_a_request_survives_a_pickle() -> None:
    """A request can be sent to another process, with all of its fields."""
    request = Request(["Hi", Message("assistant", "Hello")], id="q", response_model=int, data={"row": 1}, seed=3)
    assert pickle.loads(pickle.dumps(request)) == request


def test_the_request_of_a_typed_call_keeps_id_and_data() -> None:
    """Messages and parameters are replaced without a copy, and the response model is dropped."""
    params = {"seed": 1}
    messages: tuple[dict[str, object], ...] = ({"role": "user", "content": "Ho"},)
    derived = Request("Hi", id="q", response_model=int, data="d").with_form(messages, params)
    assert (derived.id, derived.response_model, derived.data) == ("q", None, "d")
    assert derived.messages is messages
    assert derived.params is params


def test_a_repr_shows_the_last_message_and_the_parameters() -> None:
    """A request is recognised in a log by the number of its messages, the last one, its id and parameters."""
    assert repr(Request("Hi", id="q-1", seed=3)) == "Request(1 message, last 'Hi', id='q-1', seed=3)"
    assert repr(Request(["a", "b" * 100])) == f"Request(2 messages, last '{'b' * 60}... (100 characters)', id=None)"
