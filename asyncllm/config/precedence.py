"""Precedence of sources: the strongest value wins, and no key reaches another provider.

Sources come weakest first and belong to *levels*: `[llm]` with its variables `LLM_<FIELD>` is the base level,
`[llm.NAME]` with its variables `LLM__<NAME>__<FIELD>` the profile level, and arguments are the strongest. A field takes
its value as a whole from the strongest source that sets it. The connection group follows stricter rules, so that no key
ever reaches another provider's host:

1. A source that changes the provider inherits nothing of the group from weaker sources. A source's provider follows
   from its own values; inherited ones count only where these are not enough (a bare, unknown name).
2. What a level without a model sets of the group has no provider, and no stronger level inherits it.
3. A source that sets an endpoint inherits no credentials (key, headers, AWS credentials) that applied to another
   endpoint, nor those that another level set for the provider's own endpoint. Endpoints are the same when scheme, host
   and port are.
4. Of `api_key` and `api_key_env` the one from the stronger source wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..models import endpoint_provider, resolve_provider
from .fields import CONNECTION_GROUP, CREDENTIALS, ENDPOINTS, KEY_FIELDS
from .provenance import Origin

BASE, PROFILE, ARGUMENTS = range(3)
"""The levels, weakest first."""

_PROVIDER_FIELDS = ("model", "custom_llm_provider", "base_url")  # the fields that the provider follows from
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of one source.

    Attributes:
        value: The value; validated alone, not together with others.
        origin: Where it came from.
        level: The level of its source.
    """

    value: object
    origin: Origin
    level: int


Source = Mapping[str, Entry]
"""The entries of one source, by field: a table, the variables of a profile, or the arguments."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why an entry of the connection group was not inherited.

    Attributes:
        reason: The reason, for a message.
        origin: Where the entry came from.
        is_for_other_endpoint: Whether the provider is the same and only the endpoint differs.
    """

    reason: str
    origin: Origin
    is_for_other_endpoint: bool = False

    def __str__(self) -> str:
        return f"not taken from {self.origin}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of merging sources.

    Attributes:
        entries: The winning entry of each field that a source sets.
        withheld: Entries of the connection group that were neither inherited nor replaced, with the reason.
    """

    entries: Mapping[str, Entry]
    withheld: Mapping[str, Withheld]

    @property
    def values(self) -> dict[str, object]:
        """The winning values."""
        return {key: entry.value for key, entry in self.entries.items()}

    @property
    def origins(self) -> dict[str, Origin]:
        """The origins of the winning values."""
        return {key: entry.origin for key, entry in self.entries.items()}


def merge(sources: Iterable[Source], withheld: Mapping[str, Withheld] = MappingProxyType({})) -> Merged:
    """Merge sources, weakest first. An entry of None unsets what weaker sources set.

    Args:
        sources: The sources.
        withheld: What was already withheld from the first source.
    """
    entries: dict[str, Entry] = {}
    for source in sources:
        if not source:
            continue
        before, after = _provider(entries), _provider_after(entries, source)
        new = _withheld(entries, source, before, after)
        still_withheld = withheld if before in (None, after) else {}
        replaced = source.keys() | (KEY_FIELDS if KEY_FIELDS & source.keys() else frozenset[str]())
        withheld = {key: why for key, why in {**still_withheld, **new}.items() if key not in replaced}
        kept = {key: entry for key, entry in entries.items() if key not in new and key not in replaced}
        entries = kept | dict(source)
    return Merged({key: entry for key, entry in entries.items() if entry.value is not None}, withheld)


def provider_of(model: str, custom_llm_provider: str | None = None, base_url: str | None = None) -> str:
    """Return litellm's name of the provider that serves a model.

    Raises:
        ConfigError: The provider cannot be derived.
    """
    return resolve_provider(model, custom_llm_provider, base_url).provider


def endpoint_owner(base_url: str | None) -> str | None:
    """Return the provider that an endpoint belongs to; None when it is not known."""
    return None if base_url is None else endpoint_provider(base_url)


def url_origin(url: object) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port of a URL, which identify an endpoint."""
    try:
        parts = urlsplit(str(url))
        return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return str(url), None, None


def _withheld(
    entries: Mapping[str, Entry], source: Source, before: str | None, after: str | None
) -> dict[str, Withheld]:
    """Return the entries that a source does not inherit, with the reason."""
    inherited = {key: entry for key, entry in entries.items() if key in CONNECTION_GROUP and entry.value is not None}
    level = next(iter(source.values())).level
    if before is None:
        if after is None:
            return {}
        reason = "no model beside it names its provider"
        weaker = {key: Withheld(reason, entry.origin) for key, entry in inherited.items() if entry.level < level}
        return _withheld_by_endpoint(inherited, source, level) | weaker
    if before != after:
        reason = f"it is for {before}, and this profile uses {after or 'another provider'}"
        return {key: Withheld(reason, entry.origin) for key, entry in inherited.items()}
    return _withheld_by_endpoint(inherited, source, level)


def _withheld_by_endpoint(inherited: Mapping[str, Entry], source: Source, level: int) -> dict[str, Withheld]:
    withheld: dict[str, Withheld] = {}
    for endpoint in sorted(ENDPOINTS & source.keys()):
        now = inherited[endpoint].value if endpoint in inherited else None
        if url_origin(now) == url_origin(source[endpoint].value):
            continue
        for key in CREDENTIALS & inherited.keys():
            if now is not None or inherited[key].level < level:
                reason = f"it is for another endpoint than this {endpoint}"
                withheld[key] = Withheld(reason, inherited[key].origin, is_for_other_endpoint=True)
    return withheld


def _provider(entries: Mapping[str, Entry]) -> str | None:
    model, custom = _text(entries, "model"), _text(entries, "custom_llm_provider")
    if model is None:
        return custom
    return _provider_or_none(model, custom, _text(entries, "base_url"))


def _provider_after(entries: Mapping[str, Entry], source: Source) -> str | None:
    merged = {**entries, **source}
    model, custom, url = (_text(merged, key) for key in _PROVIDER_FIELDS)
    if model is None:
        return custom
    if model == _text(entries, "model") and "custom_llm_provider" not in source:
        return _provider_or_none(model, custom, url)
    alone = _provider_or_none(model, _text(source, "custom_llm_provider"), _text(source, "base_url"))
    return alone or _provider_or_none(model, custom, url)


def _provider_or_none(model: str, custom_llm_provider: str | None, base_url: str | None) -> str | None:
    try:
        return provider_of(model, custom_llm_provider, base_url)
    except ConfigError:
        return None


def _text(entries: Mapping[str, Entry], key: str) -> str | None:
    entry = entries.get(key)
    return entry.value if entry is not None and isinstance(entry.value, str) else None
