"""What a file and an environment say, as layers for each profile, with the mistakes found on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..suggestions import nearest
from .environment import Environment, parse_value
from .fields import CONNECTION_GROUP, Fields, field_kind
from .files import DEFAULT_PROFILE, Tables, table_name
from .mistakes import Mistake, check_values
from .precedence import BASE, PROFILE, Entry, Layer
from .provenance import Origin, OriginKind

_PREFIX = "LLM_"
_VARIABLES = {f"{_PREFIX}{field.upper()}": field for field in Fields.model_fields}


@dataclass(frozen=True, slots=True)
class Sources:
    """The layers of every profile.

    Attributes:
        base: The layers that all profiles inherit, weakest first.
        own: The layers of each profile itself, weakest first; `default` comes first and always.
        mistakes: What is wrong in any of them.
        ignored: The variables `LLM_...` that are nobody's here, with the one that each may have been meant to be.
    """

    base: tuple[Layer, ...]
    own: Mapping[str, tuple[Layer, ...]]
    mistakes: tuple[Mistake, ...]
    ignored: Mapping[str, str | None]

    def layers(self, profile: str) -> tuple[Layer, ...]:
        """Give all layers of a profile, weakest first."""
        return self.base + self.own[profile]


def read_sources(tables: Tables, source: Path | None, environment: Environment) -> Sources:
    """Sort what tables and variables say into layers, and check each value on its own."""
    mistakes = list(tables.mistakes)
    variables = environment.find(_PREFIX)
    owners = _owners(variables, [DEFAULT_PROFILE, *tables.profiles], mistakes)

    def from_table(name: str, table: Mapping[str, object], level: int) -> Layer:
        origin = Origin(OriginKind.FILE, table_name(name), source)
        return checked({key: Entry(value, origin, level) for key, value in table.items()}, mistakes)

    def from_variables(fields: Mapping[str, str], level: int) -> Layer:
        entries = {}
        for variable, field in fields.items():
            text, origin = variables[variable]
            entries[field] = Entry(parse_value(text, field_kind(field)), origin, level)
        return checked(entries, mistakes)

    of_base = {variable: field for variable, field in _VARIABLES.items() if variable in variables}
    base = (from_table(DEFAULT_PROFILE, tables.base, BASE), from_variables(of_base, BASE))
    own = {
        name: (from_table(name, tables.profiles.get(name, {}), PROFILE), from_variables(owners[name], PROFILE))
        for name in owners
    }
    if not {"model", "custom_llm_provider"} & {*tables.base, *of_base.values()}:
        mistakes += _ownerless(base[0])
    used = {*of_base, *(variable for fields in owners.values() for variable in fields)}
    return Sources(base, own, tuple(mistakes), _ignored(variables.keys() - used, list(owners)))


def checked(entries: Mapping[str, Entry], mistakes: list[Mistake]) -> Layer:
    """Give the entries that hold on their own, and add what is wrong with the others to the mistakes."""
    problems = check_values({key: entry.value for key, entry in entries.items() if entry.value is not None})
    mistakes += [problem.at(entries[problem.key].origin) for problem in problems]
    wrong = {problem.key for problem in problems}
    return {key: entry for key, entry in entries.items() if key not in wrong}


def _variables_prefix(profile: str) -> str:
    return f"{_PREFIX}_{re.sub('[^A-Z0-9]', '_', profile.upper())}__"


def _owners(variables: Mapping[str, object], profiles: list[str], mistakes: list[Mistake]) -> dict[str, dict[str, str]]:
    """Give each profile its variables, by name of the variable, with the field that each is for."""
    owners: dict[str, dict[str, str]] = {name: {} for name in profiles}
    # The longest prefix wins, so that `LLM__A__B__MODEL` is the model of `a--b` rather than a field of `a`.
    prefixes = sorted(map(_variables_prefix, profiles), key=len, reverse=True)
    for variable in variables:
        prefix = next(filter(variable.startswith, prefixes), None)
        if prefix is None:
            continue
        named = [name for name in profiles if _variables_prefix(name) == prefix]
        if len(named) > 1:
            tables = " and ".join(map(table_name, named))
            mistakes.append(Mistake(f"environment: {variable}", f"may be for {tables}: rename one of them"))
        for name in named:
            owners[name][variable] = variable.removeprefix(prefix).lower()
    return owners


def _ownerless(base: Layer) -> list[Mistake]:
    """Find connection fields of `[llm]` that no profile could ever take, because nothing says whose they are."""
    return [
        Mistake(entry.origin.locate(key), "belongs to no provider: name a model or custom_llm_provider beside it", key)
        for key, entry in base.items()
        if key in CONNECTION_GROUP
    ]


def _ignored(variables: set[str], profiles: list[str]) -> Mapping[str, str | None]:
    prefixes = [_PREFIX, *map(_variables_prefix, profiles)]
    known = [prefix + field.upper() for prefix in prefixes for field in Fields.model_fields]
    return {variable: nearest(variable, known) for variable in sorted(variables)}
