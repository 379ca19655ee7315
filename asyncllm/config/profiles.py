"""All profiles of a configuration, and functions that load them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..errors import ConfigError, nearest
from .environment import Environment
from .fallbacks import fallback_mistakes, inherited, wrong_fallbacks
from .fields import Fields
from .files import DEFAULT_PROFILE, FILE_NAME, Tables, find_config_file, read_tables, table_name
from .mistakes import EXAMPLE_MODEL, Mistake, config_error, contradictions
from .model import ConfigContext, LLMConfig
from .precedence import ARGUMENTS, Entry, Merged, Source, merge, provider_of
from .provenance import ARGUMENT, Origin, shown_path
from .sources import Sources, checked, read_sources

if TYPE_CHECKING:
    from typing import Unpack

    from .options import Options


def load_config(
    profile: str | None = None,
    *,
    path: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    **overrides: Unpack[Options],
) -> LLMConfig:
    """Load one profile.

    Sources, weakest first: built-in defaults, `[llm]`, the variables `LLM_<FIELD>`, `[llm.NAME]`, the variables
    `LLM__<NAME>__<FIELD>`, arguments. A `.env` beside the file (in the working directory when there is no file) adds to
    the environment. Variable names are upper case, with `_` for every character of a profile's name that is neither
    letter nor digit. Their values are numbers, true or false, strings, lists (separated by commas, or JSON) and tables
    (JSON). Only tables of the file make profiles, variables do not.

    Args:
        profile: The name of the profile; None for the default, which is `[llm]` itself.
        path: The file; None for the one that `ASYNCLLM_CONFIG` names, else `config.toml` in the working directory or
            its parents up to the project root.
        env: The environment; None for `os.environ`.
        **overrides: Fields to override; None unsets a field.

    Raises:
        ConfigError: The configuration is invalid or incomplete; the message lists every mistake, of all profiles.

    Example:
        ```python
        config = load_config("fast", timeout=20)
        print(config.model, config.timeout)
        ```
    """
    return load_profiles(path, env).config(profile, **overrides)


def load_profiles(path: str | Path | None = None, env: Mapping[str, str] | None = None) -> Profiles:
    """Load all profiles. Mistakes in them do not raise here: `Profiles.mistakes` lists them.

    Args:
        path: As for `load_config`.
        env: As for `load_config`.

    Raises:
        ConfigError: The file does not exist, cannot be read, or is not valid TOML.

    Example:
        ```python
        profiles = load_profiles("config.toml")
        for name in profiles.names:
            print(name, profiles.config(name).model)
        ```
    """
    file = find_config_file(path, os.environ if env is None else env)
    environment = Environment(env, (file.parent if file else Path.cwd()) / ".env")
    tables = read_tables(file) if file else Tables({}, {})
    return Profiles(read_sources(tables, file, environment), file, environment, tables.absence, tables.unread)


class Profiles:
    """All profiles of a configuration, as `load_profiles` returns them.

    Attributes:
        source: The file; None when there is none.
        names: The names of the profiles; `default` is one of them when `[llm]` has a model, or when there is no other.
        mistakes: Everything that is wrong with any of them, except a missing model, which an argument may still set.
        ignored_variables: The variables `LLM_...` that set nothing, each with the one it may be a misspelling of.
        unread_tables: The names of tables `[profiles.NAME]`, which make no profiles, each with the remedy.
    """

    def __init__(
        self,
        sources: Sources,
        file: Path | None,
        environment: Environment,
        absence: str = "",
        unread: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._sources = sources
        self._environment = environment
        self._absence = absence
        self.unread_tables = unread
        self.source = file
        self.ignored_variables = sources.ignored
        has_default = len(sources.own) == 1 or "model" in self._merged(DEFAULT_PROFILE).entries
        self.names = tuple(name for name in sources.own if has_default or name != DEFAULT_PROFILE)
        together = [mistake for name in sources.own for mistake in _mistakes_together(self._merged(name))]
        self.mistakes = tuple(dict.fromkeys([*sources.mistakes, *together, *fallback_mistakes(sources)]))

    def config(self, profile: str | None = None, **overrides: Unpack[Options]) -> LLMConfig:
        """Return one profile, as `load_config` does.

        Raises:
            ConfigError: The configuration is invalid or incomplete.
        """
        name = profile or DEFAULT_PROFILE
        mistakes = list(self.mistakes)
        arguments = checked({key: Entry(value, ARGUMENT, ARGUMENTS) for key, value in overrides.items()}, mistakes)
        if name not in self._sources.own:
            raise config_error([self._unknown(name), *mistakes])
        merged = self._merged(name, arguments)
        mistakes += _mistakes_together(merged)
        if "fallbacks" in arguments:
            mistakes += wrong_fallbacks(name, arguments["fallbacks"], self._sources)
        if "model" not in merged.entries and not any(map(_is_the_model, mistakes)):
            mistakes.append(self._missing_model(name))
        if mistakes:
            raise config_error(mistakes)
        context = ConfigContext(name, self, self._environment, merged.origins, merged.withheld)
        return LLMConfig.model_validate(merged.values, context=context)

    def check_fallbacks(self, profile: str, fallbacks: Sequence[str], origin: Origin) -> None:
        """Raise if fallbacks of a profile are unknown, or the profile itself.

        Raises:
            ConfigError: They are; the message lists every mistake.
        """
        mistakes = [*wrong_fallbacks(profile, Entry(list(fallbacks), origin, ARGUMENTS), self._sources)]
        if mistakes:
            raise config_error(mistakes)

    def _merged(self, name: str, arguments: Source | None = None) -> Merged:
        base = self._sources.base
        if name != DEFAULT_PROFILE:
            base = tuple(inherited(source, name) for source in base)
        return merge([*base, *self._sources.own[name], arguments or {}])

    def _unknown(self, name: str) -> Mistake:
        if self.source is None:
            absence = f'there is no profile "{name}", because no {FILE_NAME} was found{_as_model(name)}'
            return Mistake("configuration:", absence)
        if name in self.unread_tables:
            return Mistake(f"{shown_path(self.source)}:", self.unread_tables[name])
        meant = nearest(name, self.names)
        suggestion = f"; did you mean {meant}?" if meant else _as_model(name)
        have = f'has no profile "{name}", only {", ".join(self.names)}{suggestion}'
        return Mistake(f"{shown_path(self.source)}:", have)

    def _missing_model(self, name: str) -> Mistake:
        others = [other for other in self.names if other != name]
        example = f'model = "{EXAMPLE_MODEL}"'
        select = f", or select another profile: {', '.join(others)}" if others else ""
        if self.source and self._absence:
            add = self._absence if self._absence.endswith("?") else f"{self._absence}: add one, with {example}"
            return Mistake(f"{shown_path(self.source)}:", add)
        if self.source:
            return Mistake(f"{shown_path(self.source)}: {table_name(name)}", f"has no model: add {example}{select}")
        return Mistake(
            "configuration:",
            f"no model is set, and no {FILE_NAME} was found: create one with [llm] and {example}, set LLM_MODEL, "
            "or pass model= as an argument",
        )


def _as_model(name: str) -> str:
    """Return how to name a model, for what may be one and was given as a profile; empty for any other name."""
    if "/" not in name:
        try:
            provider_of(name)
        except ConfigError:
            return ""
    return f'; a model is named AsyncLLM(model="{name}")'


def _is_the_model(mistake: Mistake) -> bool:
    """Return whether a mistake is about a model that is set, but wrongly, and so is not missing."""
    return mistake.key in ("llm", "model") or nearest(mistake.key, Fields.model_fields) == "model"


def _mistakes_together(merged: Merged) -> Iterator[Mistake]:
    """Return what is wrong with the values of a profile taken together."""
    for problem in contradictions(merged.values):
        yield problem.at(merged.entries[problem.key].origin)
    if "model" not in merged.entries:
        return
    values = merged.values
    model, custom, url = (values.get(key) for key in ("model", "custom_llm_provider", "base_url"))
    try:
        provider_of(str(model), str(custom) if custom else None, str(url) if url else None)
    except ConfigError as error:
        reason = str(error).rstrip(".")
        yield Mistake(merged.entries["model"].origin.locate("model"), f"cannot be used: {reason}", "model")
