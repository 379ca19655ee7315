"""The sources of every profile: tables of the file and environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import nearest
from .environment import Environment, parse_value
from .fields import CONNECTION_GROUP, Fields, field_kind
from .files import DEFAULT_PROFILE, Tables, table_name
from .mistakes import Mistake, check_values
from .precedence import BASE, PROFILE, Entry, Source
from .provenance import Origin, OriginKind

_PREFIX = "LLM_"
_VARIABLES = {f"{_PREFIX}{field.upper()}": field for field in Fields.model_fields}


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of every profile, arguments excepted.

    Attributes:
        base: The sources that all profiles inherit, weakest first.
        own: The sources of each profile itself, weakest first; `default` always comes first.
        mistakes: Everything that is wrong in any of them.
        ignored: The variables `LLM_...` that set nothing, each with the one it may be a misspelling of.
    """

    base: tuple[Source, ...]
    own: Mapping[str, tuple[Source, ...]]
    mistakes: tuple[Mistake, ...]
    ignored: Mapping[str, str | None]

    def of(self, profile: str) -> tuple[Source, ...]:
        """Return all sources of a profile, weakest first."""
        return self.base + self.own[profile]


def read_sources(tables: Tables, file: Path | None, environment: Environment) -> Sources:
    """Sort the values of tables and variables into sources, and validate each value on its own."""
    mistakes = list(tables.mistakes)
    variables = environment.find(_PREFIX)
    by_profile = _variables_by_profile(variables, [DEFAULT_PROFILE, *tables.profiles], mistakes)

    def from_table(name: str, table: Mapping[str, object], level: int) -> Source:
        origin = Origin(OriginKind.FILE, table_name(name), file)
        return checked({key: Entry(value, origin, level) for key, value in table.items()}, mistakes)

    def from_variables(fields: Mapping[str, str], level: int) -> Source:
        entries: dict[str, Entry] = {}
        for variable, field in fields.items():
            text, origin = variables[variable]
            entries[field] = Entry(parse_value(text, field_kind(field)), origin, level)
        return checked(entries, mistakes)

    of_base = {variable: field for variable, field in _VARIABLES.items() if variable in variables}
    base = (from_table(DEFAULT_PROFILE, tables.base, BASE), from_variables(of_base, BASE))
    own = {
        name: (from_table(name, tables.profiles.get(name, {}), PROFILE), from_variables(fields, PROFILE))
        for name, fields in by_profile.items()
    }
    if not {"model", "custom_llm_provider"} & {*tables.base, *of_base.values()}:
        mistakes += _without_provider(base[0])
    used = {*of_base, *(variable for fields in by_profile.values() for variable in fields)}
    return Sources(base, own, tuple(mistakes), _ignored(variables.keys() - used, list(by_profile)))


def checked(entries: Mapping[str, Entry], mistakes: list[Mistake]) -> Source:
    """Return the entries that are valid on their own, and append what is wrong with the others to `mistakes`."""
    problems = check_values({key: entry.value for key, entry in entries.items() if entry.value is not None})
    mistakes += [problem.at(entries[problem.key].origin) for problem in problems]
    wrong = {problem.key for problem in problems}
    return {key: entry for key, entry in entries.items() if key not in wrong}


def variables_prefix(profile: str) -> str:
    """Return what the variables of a profile begin with."""
    return f"{_PREFIX}_{re.sub('[^A-Z0-9]', '_', profile.upper())}__"


def _variables_by_profile(
    variables: Mapping[str, object], profiles: list[str], mistakes: list[Mistake]
) -> dict[str, dict[str, str]]:
    """Return the variables of each profile, each with the field it sets."""
    by_profile: dict[str, dict[str, str]] = {name: {} for name in profiles}
    # The longest prefix wins, so that `LLM__A__B__MODEL` is the model of `a--b` rather than a field of `a`.
    prefixes = sorted(map(variables_prefix, profiles), key=len, reverse=True)
    for variable in variables:
        prefix = next(filter(variable.startswith, prefixes), None)
        if prefix is None:
            continue
        named = [name for name in profiles if variables_prefix(name) == prefix]
        if len(named) > 1:
            tables = " and ".join(map(table_name, named))
            mistakes.append(Mistake(f"environment: {variable}", f"may be for {tables}: rename one of them"))
        for name in named:
            by_profile[name][variable] = variable.removeprefix(prefix).lower()
    return by_profile


def _without_provider(base: Source) -> list[Mistake]:
    """Return the connection fields of an `[llm]` without a provider: no profile could inherit them."""
    return [
        Mistake(entry.origin.locate(key), "has no provider: set model or custom_llm_provider beside it", key)
        for key, entry in base.items()
        if key in CONNECTION_GROUP
    ]


def _ignored(variables: set[str], profiles: list[str]) -> Mapping[str, str | None]:
    prefixes = [_PREFIX, *map(variables_prefix, profiles)]
    known = [prefix + field.upper() for prefix in prefixes for field in Fields.model_fields]
    return {variable: nearest(variable, known) for variable in sorted(variables)}
