"""Fingerprints of requests: the key of one in a journal, and hashes of what affects its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from string import hexdigits
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from asyncllm.messages import Request
from asyncllm.parameters import KNOWN, WITHOUT_EFFECT, CallOptions, merge

# Fields of the profile that a call may have, and that do change it.
_OF_THE_PROFILE = frozenset(("model", "structured_mode"))
_DIGEST_BYTES = 16
_BY_ID, _BY_HASH = b"=", b"#"
# Numbers show as they are in what has changed; anything else may be private, and shows as this much of its hash.
_SHOWN_DIGEST = 8


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """Everything that affects an answer, apart from the messages.

    Attributes:
        parts: Each by its name: `model`, `type`, and the parameters.
        own: The names of those that the request has itself, rather than the batch.
    """

    digest: bytes
    parts: Mapping[str, str]
    own: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of a request in a journal.

    Attributes:
        key: Its id, or the hash of what is sent; unique together with its occurrence.
        sent: The hash of what is sent.
        prompt: The hash of the messages.
        settings: What else affects the answer.
    """

    key: bytes
    sent: bytes
    prompt: bytes
    settings: RequestSettings


class Fingerprinter:
    """Computes the fingerprints of one batch."""

    def __init__(
        self,
        model: str,
        profile: Mapping[str, object],
        params: Mapping[str, object],
        response_model: object = None,
        structured_mode: str = "auto",
    ) -> None:
        self._model = model
        self._profile = profile
        self._params = params
        self._response_model = response_model
        self._mode = structured_mode
        self._types: dict[int, tuple[object, str]] = {}
        self.base = self._settings({}, None)

    def __call__(self, request: Request) -> Fingerprint:
        """Return the fingerprint of a request."""
        prompt = _digest(_json(request.messages))
        own = request.params
        settings = (
            self.base if not own and request.response_model is None else self._settings(own, request.response_model)
        )
        return Fingerprint(key_of(request.id, prompt, settings), _sent(prompt, settings), prompt, settings)

    def unsendable(self, messages: object) -> Fingerprint:
        """Return the fingerprint of something that is no valid request."""
        given, id = (messages.messages, messages.id) if isinstance(messages, Request) else (messages, None)
        prompt = _digest(_json(given))
        return Fingerprint(key_of(id, prompt, self.base), _sent(prompt, self.base), prompt, self.base)

    def _settings(self, own: Mapping[str, object], response_model: object) -> RequestSettings:
        given = {**self._params, **own}
        parts = {"model": str(given.get("model") or self._model)}
        wanted = self._response_model if response_model is None else response_model
        if wanted is not None:
            parts["type"] = self._type(wanted)
            parts["structured_mode"] = str(given.get("structured_mode") or self._mode)
        sent = {name: value for name, value in given.items() if _has_effect(name)}
        for name, value in merge(self._profile, sent).items():
            parts[name] = _shown(value)
        named = {*own, "type"} if response_model is not None else {*own}
        return settings_of(parts, frozenset(named))

    def _type(self, wanted: object) -> str:
        known = self._types.get(id(wanted))
        if known is None:
            # The type is kept beside its name, so that its id stays its own.
            known = self._types[id(wanted)] = (wanted, _type_shown(wanted))
        return known[1]


def settings_of(parts: Mapping[str, str], own: frozenset[str] = frozenset()) -> RequestSettings:
    """Return settings with their hash."""
    return RequestSettings(_digest(_json(sorted(parts.items()))), parts, own)


def key_of(id: str | None, prompt: bytes, settings: RequestSettings) -> bytes:
    """Return the key of an item."""
    return _BY_HASH + _sent(prompt, settings) if id is None else key_of_id(str(id))


def key_of_id(id: str) -> bytes:
    """Return the key of an item with an id."""
    return _BY_ID + id.encode("utf-8", "surrogatepass")


def id_of(key: bytes) -> str | None:
    """Return the id in a key; None when the item had none."""
    return key[1:].decode("utf-8", "surrogatepass") if key[:1] == _BY_ID else None


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the settings that differ."""
    return [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]


def change_in_words(before: str | None, now: str | None) -> str:
    """Return how a setting has changed: hashes are not shown, since they say nothing to a reader."""
    if before is None or now is None:
        return "is set now" if before is None else "is no longer set"
    return "has another value" if _is_hash(before) or _is_hash(now) else f"{before} → {now}"


def _is_hash(shown: str) -> bool:
    return len(shown) == _SHOWN_DIGEST and not shown.isdecimal() and all(digit in hexdigits for digit in shown)


def _sent(prompt: bytes, settings: RequestSettings) -> bytes:
    return _digest(prompt + settings.digest)


def _has_effect(name: str) -> bool:
    if name in WITHOUT_EFFECT or name in _OF_THE_PROFILE:
        return False
    return name in KNOWN or name not in CallOptions.__annotations__


def _type_shown(wanted: Any) -> str:
    if isinstance(wanted, Mapping):
        schema = cast(Mapping[str, object], wanted)
        return f"{schema.get('title') or 'JSON Schema'} {_shown(schema)}"
    name = wanted.__name__ if isinstance(wanted, type) else str(wanted)
    try:
        return f"{name} {_shown(TypeAdapter(wanted).json_schema())}"
    except Exception:  # a type that cannot be asked for fails where it is asked for, with the reason
        return name


def _shown(value: object) -> str:
    if isinstance(value, bool | int | float):
        return repr(value)
    return _digest(_json(value)).hex()[:_SHOWN_DIGEST]


def _json(value: object) -> bytes:
    try:
        return to_json(value, inf_nan_mode="constants", fallback=_named, bytes_mode="base64")
    except PydanticSerializationError:
        return json.dumps(value, default=_named).encode()  # a lone surrogate has no form in UTF-8


def _named(value: object) -> object:
    """Return the name of what has no JSON form: its repr may hold an address, and differ from run to run."""
    if isinstance(value, type) and issubclass(value, BaseModel):
        return value.model_json_schema()
    kind = value if isinstance(value, type) or callable(value) else type(value)
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', '')}"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
