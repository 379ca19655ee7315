"""Errors: messages, hints, attributes and pickles."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

from asyncllm import errors
from asyncllm.errors import AsyncLLMError

CLASSES = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, AsyncLLMError)]

# A value for each attribute that an error can have.
VALUES: dict[str, Any] = {
    "hint": "Try again.",
    "model": "openai/a",
    "provider": "openai",
    "profile": "fast",
    "status_code": 429,
    "request_id": "req_1",
    "retry_after": 1.5,
    "attempts": ("first", "second"),
    "request_sent": False,
    "timeout": "idle_timeout",
    "partial": "so far",
    "partial_value": {"a": 1},
    "last_error": errors.ServerError("down"),
    "completion": "an answer",
    "usage": "a usage",
    "cost_usd": 0.25,
}
PROVIDER = {"hint", "model", "provider", "profile", "status_code", "request_id", "retry_after", "attempts"}
OWN = {
    errors.ProviderConnectionError: {"request_sent"},
    errors.ProviderTimeoutError: {"timeout"},
    errors.StreamInterruptedError: {"partial", "partial_value"},
    errors.DeadlineExceededError: {"last_error", "attempts"},
    errors.OverloadedError: {"retry_after"},
}
EXTRACTION = {"attempts", "completion", "usage", "cost_usd", "partial"}


def attributes(kind: type[AsyncLLMError]) -> dict[str, Any]:
    """Return the attributes that an error of a class can be given."""
    names = {"hint"} | OWN.get(kind, set())
    if issubclass(kind, errors.ProviderError):
        names |= PROVIDER
    if issubclass(kind, errors.ExtractionError):
        names |= EXTRACTION
    return {name: VALUES[name] for name in names}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_keeps_its_attributes_in_a_pickle(kind: type[AsyncLLMError]) -> None:
    """Every attribute can be read, and survives a pickle with the message."""
    given = attributes(kind)
    error = kind("It broke.", **given)
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert type(one) is kind
        assert (one.message, str(one)) == ("It broke.", "It broke. Try again.")
        kept = {name: getattr(one, name) for name in given}
        assert kept.pop("last_error", None).__class__ in (type(None), errors.ServerError)
        assert kept == {name: value for name, value in given.items() if name != "last_error"}


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_needs_nothing(kind: type[AsyncLLMError]) -> None:
    """Without arguments the message is empty and every attribute is unset."""
    error = kind()
    assert str(error) == ""
    unset = {name: getattr(error, name) for name in attributes(kind)}
    assert all(value in (None, ()) or name == "request_sent" for name, value in unset.items())
    assert unset.get("request_sent", True) is True


@pytest.mark.parametrize("kind", [errors.ProviderTimeoutError, errors.DeadlineExceededError])
def test_timeouts_are_timeout_errors(kind: type[AsyncLLMError]) -> None:
    """Code that catches `TimeoutError` catches ours."""
    assert issubclass(kind, TimeoutError)


def test_attempts_are_a_tuple() -> None:
    """The attempts of an error cannot be changed through the caller's list."""
    attempts: list[Any] = ["first"]
    for kind in (errors.ProviderError, errors.DeadlineExceededError, errors.ExtractionError):
        kept: object = kind("x", attempts=attempts).attempts
        assert kept == ("first",)
