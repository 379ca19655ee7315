"""How the layers of a configuration become one profile: the nearest value wins, and no key goes astray.

Layers come weakest first and belong to *levels*: `[llm]` with its variables `LLM_<FIELD>` is one level, `[llm.NAME]`
with its variables `LLM__<NAME>__<FIELD>` the next, arguments are the nearest. For every field the nearest value wins as
a whole. The connection group follows stricter rules, so that no key ever reaches another provider's host:

1. A layer that changes the provider takes nothing of the group from farther layers. Which provider a layer means is
   decided by what it says itself; what it inherits only decides when that says too little (a bare, unknown name).
2. What a level without a model says of the group belongs to nobody, and no nearer level takes it.
3. A layer that names an endpoint takes no credentials (key, headers, AWS credentials) that were in force for another
   endpoint, nor those that another level meant for the provider's own endpoint. Endpoints are the same when scheme,
   host and port are.
4. Of `api_key` and `api_key_env` the one named nearest wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..models import resolve_provider
from .fields import CONNECTION_GROUP, CREDENTIALS, ENDPOINTS, KEY_FIELDS
from .provenance import Origin

BASE, PROFILE, ARGUMENTS = range(3)
"""The levels, farthest first."""

_PROVIDER_FIELDS = ("model", "custom_llm_provider", "base_url")  # what decides which provider it is
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of one layer.

    Attributes:
        value: The value, not yet validated as a whole.
        origin: Where it came from.
        level: The level of its layer.
    """

    value: object
    origin: Origin
    level: int


Layer = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why an entry of the connection group was not taken from a farther layer.

    Attributes:
        reason: Why, in words.
        origin: Where the entry stands.
        is_for_other_endpoint: Whether the provider is the same, and only the endpoint another.
    """

    reason: str
    origin: Origin
    is_for_other_endpoint: bool = False

    def __str__(self) -> str:
        return f"not taken from {self.origin}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Merged:
    """What the layers say together.

    Attributes:
        entries: The winning entry of each field that any layer sets.
        withheld: Why farther entries of the connection group were not taken, where nothing nearer replaced them.
    """

    entries: Mapping[str, Entry]
    withheld: Mapping[str, Withheld]

    @property
    def values(self) -> dict[str, object]:
        """The winning values."""
        return {key: entry.value for key, entry in self.entries.items()}

    @property
    def origins(self) -> dict[str, Origin]:
        """Where the winning values came from."""
        return {key: entry.origin for key, entry in self.entries.items()}


def merge(layers: Iterable[Layer], withheld: Mapping[str, Withheld] = MappingProxyType({})) -> Merged:
    """Merge layers, weakest first. An entry of None unsets what farther layers say.

    Args:
        layers: The layers.
        withheld: What was withheld already when the first layer was made.
    """
    entries: dict[str, Entry] = {}
    for layer in layers:
        if not layer:
            continue
        before, after = _provider(entries), _provider_after(entries, layer)
        refused = _refused(entries, layer, before, after)
        known = withheld if before in (None, after) else {}
        renamed = layer.keys() | (KEY_FIELDS if KEY_FIELDS & layer.keys() else frozenset())
        withheld = {key: why for key, why in {**known, **refused}.items() if key not in renamed}
        kept = {key: entry for key, entry in entries.items() if key not in refused and key not in renamed}
        entries = kept | dict(layer)
    return Merged({key: entry for key, entry in entries.items() if entry.value is not None}, withheld)


def provider_of(model: str, custom_llm_provider: str | None = None, base_url: str | None = None) -> str:
    """Give litellm's name of the provider that serves a model.

    Raises:
        ConfigError: Nothing says which provider it is.
    """
    return resolve_provider(model, custom_llm_provider, base_url).provider


def endpoint_owner(base_url: str | None) -> str | None:
    """Give the provider that an endpoint is known to belong to; None when it is not known."""
    if base_url is None:
        return None
    # A name that no provider uses leaves the decision to the endpoint.
    return _provider_or_none("-", None, base_url)


def origin_of(url: object) -> tuple[str, str | None, int | None]:
    """Give scheme, host and port of an address, by which endpoints are compared."""
    try:
        parts = urlsplit(str(url))
        return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return str(url), None, None


def _refused(entries: Mapping[str, Entry], layer: Layer, before: str | None, after: str | None) -> dict[str, Withheld]:
    """Say which inherited entries a layer does not take, and why."""
    inherited = {key: entry for key, entry in entries.items() if key in CONNECTION_GROUP and entry.value is not None}
    level = next(iter(layer.values())).level
    if before is None:
        if after is None:
            return {}
        reason = "no model stands beside it that says whose it is"
        farther = {key: Withheld(reason, entry.origin) for key, entry in inherited.items() if entry.level < level}
        return _refused_by_endpoint(inherited, layer, level) | farther
    if before != after:
        reason = f"it is for {before}, and this profile calls {after or 'another provider'}"
        return {key: Withheld(reason, entry.origin) for key, entry in inherited.items()}
    return _refused_by_endpoint(inherited, layer, level)


def _refused_by_endpoint(inherited: Mapping[str, Entry], layer: Layer, level: int) -> dict[str, Withheld]:
    refused: dict[str, Withheld] = {}
    for endpoint in sorted(ENDPOINTS & layer.keys()):
        now = inherited[endpoint].value if endpoint in inherited else None
        if origin_of(now) == origin_of(layer[endpoint].value):
            continue
        for key in CREDENTIALS & inherited.keys():
            if now is not None or inherited[key].level < level:
                reason = f"it is for another endpoint than this {endpoint}"
                refused[key] = Withheld(reason, inherited[key].origin, is_for_other_endpoint=True)
    return refused


def _provider(entries: Mapping[str, Entry]) -> str | None:
    model, custom = _text(entries, "model"), _text(entries, "custom_llm_provider")
    if model is None:
        return custom
    return _provider_or_none(model, custom, _text(entries, "base_url"))


def _provider_after(entries: Mapping[str, Entry], layer: Layer) -> str | None:
    merged = {**entries, **layer}
    model, custom, url = (_text(merged, key) for key in _PROVIDER_FIELDS)
    if model is None:
        return custom
    if model == _text(entries, "model") and "custom_llm_provider" not in layer:
        return _provider_or_none(model, custom, url)
    alone = _provider_or_none(model, _text(layer, "custom_llm_provider"), _text(layer, "base_url"))
    return alone or _provider_or_none(model, custom, url)


def _provider_or_none(model: str, custom_llm_provider: str | None, base_url: str | None) -> str | None:
    try:
        return provider_of(model, custom_llm_provider, base_url)
    except ConfigError:
        return None


def _text(entries: Mapping[str, Entry], key: str) -> str | None:
    entry = entries.get(key)
    return entry.value if entry is not None and isinstance(entry.value, str) else None
