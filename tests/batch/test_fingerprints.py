"""The parts of a request that its fingerprint depends on, and those that it does not."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from pydantic import BaseModel

from asyncllm import Request
from asyncllm.batch.journal.fingerprint import Fingerprint, Fingerprinter, id_of, settings_of

from .journals import MODEL


class Point(BaseModel):
    x: int


class Colour(enum.Enum):
    RED = 1


def fingerprint(request: Request, **batch: Any) -> Fingerprint:
    """Return the fingerprint of a request in a batch with some settings."""
    return Fingerprinter(
        batch.pop("model", MODEL),
        batch.pop("profile", {}),
        batch.pop("params", {}),
        batch.pop("response_model", None),
        **batch,
    )(request)


def parts(request: Request, **batch: Any) -> dict[str, str]:
    """Return the settings of a request in a batch by name."""
    return dict(fingerprint(request, **batch).settings.parts)


def test_equal_requests_are_one() -> None:
    """The same messages and settings have the same key; other messages have another."""
    assert fingerprint(Request("a")) == fingerprint(Request([{"role": "user", "content": "a"}]))
    assert fingerprint(Request("a")).key != fingerprint(Request("b")).key
    assert fingerprint(Request("a")).settings == fingerprint(Request("b")).settings


def test_the_key_of_an_id_is_the_id_alone() -> None:
    """An item with an id is identified by it; the request that is sent has a hash of its own."""
    one, other = fingerprint(Request("a", id="x")), fingerprint(Request("b", id="x", temperature=1.0))
    assert one.key == other.key
    assert one.sent != other.sent
    assert id_of(one.key) == "x"
    assert fingerprint(Request("a", id="y")).sent == one.sent


@pytest.mark.parametrize("id", ["x", "", "naïve", "half a pair: \ud83d", "=x", "#x"])
def test_any_id_is_kept(id: str) -> None:
    """The id comes out of the key as it went in; a request without one has none."""
    assert id_of(fingerprint(Request("a", id=id)).key) == id
    assert id_of(fingerprint(Request("a")).key) is None


def test_an_id_never_collides_with_a_hash() -> None:
    """A caller's id that looks like the hash of another item is still another key."""
    unnamed = fingerprint(Request("a")).key
    for start in (0, 1):
        named = fingerprint(Request("b", id=unnamed[start:].decode("latin-1"))).key
        assert named != unnamed


@pytest.mark.parametrize(
    "params",
    [
        {"extra_headers": {"x": "y"}},
        {"metadata": {"a": "b"}},
        {"prompt_cache_key": "k"},
        {"prompt_cache_retention": "24h"},
        {"safety_identifier": "s"},
        {"service_tier": "flex"},
        {"store": True},
        {"stream_options": {"include_usage": True}},
        {"user": "me"},
        {"timeout": 5.0},
        {"num_retries": 2},
        {"deadline": 9.0},
        {"max_reasks": 1},
        {"drop_params": False},
    ],
    ids=lambda params: next(iter(params)),
)
def test_what_does_not_change_an_answer_is_no_difference(params: dict[str, Any]) -> None:
    """Who is billed, what is cached and how long it may take leave the answer as it is, of a batch and of an item."""
    assert fingerprint(Request("a"), params=params) == fingerprint(Request("a"))
    assert fingerprint(Request("a", **params)).sent == fingerprint(Request("a")).sent


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"temperature": 0.5}, {"temperature": "0.5"}),
        ({"logprobs": True}, {"logprobs": "True"}),
        ({"seed": 7}, {"seed": "7"}),
        ({"max_output_tokens": 9}, {"max_tokens": "9"}),
        ({"top_a": 0.1}, {"top_a": "0.1"}),  # unknown, and sent all the same
    ],
)
def test_numbers_are_shown_as_they_are(params: dict[str, Any], shown: dict[str, str]) -> None:
    """A changed number can be read in the reason for sending an item again."""
    assert parts(Request("a", **params)) == {"model": MODEL, **shown}
    assert parts(Request("a"), params=params) == {"model": MODEL, **shown}
    assert parts(Request("a"), profile=params).keys() == {"model", *params}


@pytest.mark.parametrize("value", ["a private text", ["a private text"], {"stop": "a private text"}, b"private"])
def test_what_may_be_private_is_shown_as_a_hash(value: Any) -> None:
    """Texts and objects are told apart by eight digits, and cannot be read."""
    shown = parts(Request("a", top_a=value))["top_a"]
    assert len(shown) == 8
    assert int(shown, 16) >= 0
    assert shown != parts(Request("a", top_a="other"))["top_a"]


def test_a_request_comes_over_its_batch() -> None:
    """What an item sets itself replaces what the batch and the profile set, and is known to be its own."""
    found = fingerprint(Request("a", temperature=0.1), params={"temperature": 0.9, "seed": 1}, profile={"top_p": 0.5})
    assert found.settings.parts == {"model": MODEL, "temperature": "0.1", "seed": "1", "top_p": "0.5"}
    assert found.settings.own == {"temperature"}
    assert fingerprint(Request("a", model="other")).settings.parts == {"model": "other"}
    assert fingerprint(Request("a"), params={"model": "other"}).settings.parts == {"model": "other"}


def test_the_type_is_a_setting() -> None:
    """A typed answer depends on its type and on how it is asked for; an item's own type is its own."""
    of_batch = fingerprint(Request("a"), response_model=Point, structured_mode="tools").settings
    assert of_batch.parts["type"].startswith("Point ")
    assert of_batch.parts["structured_mode"] == "tools"
    assert of_batch.own == frozenset()
    own = fingerprint(Request("a", response_model=Point, structured_mode="tools")).settings
    assert own.parts == of_batch.parts
    assert own.own == {"type", "structured_mode"}
    assert fingerprint(Request("a", response_model=Point)).settings.parts["structured_mode"] == "auto"
    assert "structured_mode" not in parts(Request("a"), structured_mode="tools")


@pytest.mark.parametrize(
    ("response_model", "name"),
    [
        (Point, "Point"),
        (int, "int"),
        (list[Point], "list["),
        (Colour, "Colour"),
        ({"title": "Pair", "type": "object"}, "Pair"),
        ({"type": "object"}, "JSON Schema"),
        (type("Unaskable", (), {}), "Unaskable"),
    ],
)
def test_types_are_shown_by_name(response_model: Any, name: str) -> None:
    """The name comes first, and a hash of the schema where there is one."""
    assert parts(Request("a"), response_model=response_model)["type"].startswith(name)


def test_types_of_one_name_differ_by_their_schema() -> None:
    """Another field, or another constraint, is another type."""
    other = type("Point", (BaseModel,), {"__annotations__": {"x": str}, "__module__": __name__})
    shown = {parts(Request("a"), response_model=each)["type"] for each in (Point, other, {"title": "Point"})}
    assert len(shown) == 3


class Callback:
    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        (Callback(), Callback(), Colour),  # by its class: its repr has an address
        (Callback, Callback, int),
        (Callback.method, Callback.method, len),
        (Point, Point, type("Point", (BaseModel,), {"__annotations__": {"y": int}})),
        ("half \ud83d", "half \ud83d", "half \ud83e"),
        (float("nan"), float("nan"), float("inf")),
        (b"\xff", b"\xff", b"\xfe"),
    ],
    ids=["object", "class", "method", "model", "surrogate", "nan", "bytes"],
)
def test_anything_has_a_fingerprint_that_lasts(one: Any, same: Any, other: Any) -> None:
    """What has no JSON form is known by what it is called, the same in every run."""
    assert fingerprint(Request("a", top_a=[one])).sent == fingerprint(Request("a", top_a=[same])).sent
    assert fingerprint(Request("a", top_a=[one])).sent != fingerprint(Request("a", top_a=[other])).sent


def test_objects_are_named_by_module_and_class() -> None:
    """A class of the same name from another module is another one."""
    elsewhere = type("Callback", (), {"__module__": "elsewhere", "__qualname__": "Callback"})
    assert fingerprint(Request("a", top_a=elsewhere())).sent != fingerprint(Request("a", top_a=Callback())).sent


def test_what_cannot_be_sent_has_a_fingerprint_too() -> None:
    """An item of which no request can be made is known like others: by its id, or by what it is."""
    identify = Fingerprinter(MODEL, {}, {"temperature": 0.5})
    assert identify.unsendable(42) == identify.unsendable(42)
    assert identify.unsendable(42).sent != identify.unsendable(43).sent
    assert identify.unsendable(42).settings == identify.base
    assert id_of(identify.unsendable(Request("a", id="x", temperature=1)).key) == "x"
    assert identify.unsendable(Request("a")) == identify(Request("a"))


def test_settings_are_equal_in_any_order() -> None:
    """The digest is of the settings by name; the order in which they were given is none of it."""
    one, other = settings_of({"model": "m", "seed": "1"}), settings_of({"seed": "1", "model": "m"})
    assert one.digest == other.digest
    assert one.digest != settings_of({"model": "m", "seed": "2"}).digest
    assert len(one.digest) == 16


def test_keys_are_those_of_earlier_versions() -> None:
    """They are what a journal on disk has: an id, or the hash of what is sent, with a mark before it."""
    hashed = fingerprint(Request("a"))
    assert hashed.key == b"#" + hashed.sent
    assert fingerprint(Request("a", id="x")).key == b"=x"
