"""Every profile of a configuration, and the one that is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..suggestions import nearest
from .environment import Environment
from .fallbacks import fallback_mistakes, inherited, wrong_fallbacks
from .fields import Fields
from .files import DEFAULT_PROFILE, FILE_NAME, Tables, find_config_file, read_tables, table_name
from .mistakes import EXAMPLE_MODEL, Mistake, config_error, contradictions
from .model import LLMConfig
from .precedence import ARGUMENTS, Entry, Layer, Merged, merge, provider_of
from .provenance import ARGUMENT, shown_path
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

    From the weakest to the strongest: built-in defaults, `[llm]`, the variables `LLM_<FIELD>`, `[llm.NAME]`, the
    variables `LLM__<NAME>__<FIELD>`, arguments. `.env` beside the file (in the working directory when there is no file)
    adds to the environment. Names of variables are in capitals; what is neither letter nor digit in the name of a
    profile is `_` in them. Their values are numbers, true or false, texts, lists separated by commas or in JSON, tables
    in JSON. Profiles are what the file has tables for; variables alone make none.

    Args:
        profile: The name of the profile; None for the default, which is `[llm]` itself.
        path: The file; None for the one that `ASYNCLLM_CONFIG` names, else `config.toml` in the working directory or
            its parents up to the project root.
        env: The environment; None for that of the process.
        **overrides: Fields that the call sets itself; None unsets what the profile says.

    Raises:
        ConfigError: The configuration is wrong or incomplete; the message lists every mistake, of all profiles.
    """
    return load_profiles(path, env).config(profile, **overrides)


def load_profiles(path: str | Path | None = None, env: Mapping[str, str] | None = None) -> Profiles:
    """Load every profile, without raising for mistakes in them: `Profiles.mistakes` lists these.

    Args:
        path: As for `load_config`.
        env: As for `load_config`.

    Raises:
        ConfigError: A file cannot be found, cannot be read, or is not valid TOML.
    """
    source = find_config_file(path, os.environ if env is None else env)
    environment = Environment(env, (source.parent if source else Path.cwd()) / ".env")
    tables = read_tables(source) if source else Tables({}, {})
    return Profiles(read_sources(tables, source, environment), source, environment, tables.absence)


class Profiles:
    """Every profile of a configuration; made by `load_profiles`.

    Attributes:
        source: The file; None when there is none.
        names: The names of the profiles; `default` is among them when `[llm]` has a model, or when there is no other.
        mistakes: What is wrong with any of them, apart from a missing model, which an argument may still name.
        ignored_variables: The variables `LLM_...` that are nobody's here, with the one that each may have been meant to
            be.
    """

    def __init__(self, stack: Sources, source: Path | None, environment: Environment, absence: str = "") -> None:
        self._stack = stack
        self._environment = environment
        self._absence = absence
        self.source = source
        self.ignored_variables = stack.ignored
        has_default = len(stack.own) == 1 or "model" in self._merged(DEFAULT_PROFILE).entries
        self.names = tuple(name for name in stack.own if has_default or name != DEFAULT_PROFILE)
        together = [mistake for name in stack.own for mistake in _mistakes_together(self._merged(name))]
        self.mistakes = tuple(dict.fromkeys([*stack.mistakes, *together, *fallback_mistakes(stack)]))

    def config(self, profile: str | None = None, **overrides: Unpack[Options]) -> LLMConfig:
        """Make one profile, as `load_config` does.

        Raises:
            ConfigError: The configuration is wrong or incomplete.
        """
        name = profile or DEFAULT_PROFILE
        mistakes = list(self.mistakes)
        arguments = checked({key: Entry(value, ARGUMENT, ARGUMENTS) for key, value in overrides.items()}, mistakes)
        if name not in self._stack.own:
            raise config_error([self._unknown(name), *mistakes])
        merged = self._merged(name, arguments)
        mistakes += _mistakes_together(merged)
        if "fallbacks" in arguments:
            mistakes += wrong_fallbacks(name, arguments["fallbacks"], self._stack)
        if "model" not in merged.entries and not any(map(_is_the_model, mistakes)):
            mistakes.append(self._missing_model(name))
        if mistakes:
            raise config_error(mistakes)
        return LLMConfig._build(
            merged.values,
            profile=name,
            source=self.source,
            origins=merged.origins,
            withheld=merged.withheld,
            environment=self._environment,
            profiles=self,
        )

    def _merged(self, name: str, arguments: Layer | None = None) -> Merged:
        base = self._stack.base if name == DEFAULT_PROFILE else [inherited(layer, name) for layer in self._stack.base]
        return merge([*base, *self._stack.own[name], arguments or {}])

    def _unknown(self, name: str) -> Mistake:
        if self.source is None:
            return Mistake("configuration:", f'there is no profile "{name}", because no {FILE_NAME} was found')
        meant = nearest(name, self.names)
        suggestion = f"; did you mean {meant}?" if meant else ""
        have = f'has no profile "{name}", only {", ".join(self.names)}{suggestion}'
        return Mistake(f"{shown_path(self.source)}:", have)

    def _missing_model(self, name: str) -> Mistake:
        others = [other for other in self.names if other != name]
        example = f'model = "{EXAMPLE_MODEL}"'
        ask = f", or ask for one of the profiles {', '.join(others)}" if others else ""
        if self.source and self._absence:
            add = self._absence if self._absence.endswith("?") else f"{self._absence}: add it, with {example}"
            return Mistake(f"{shown_path(self.source)}:", add)
        if self.source:
            return Mistake(f"{shown_path(self.source)}: {table_name(name)}", f"names no model: add {example}{ask}")
        return Mistake(
            "configuration:",
            f"no model is named, and no {FILE_NAME} was found: write one with [llm] and {example}, set LLM_MODEL, "
            "or give model= as an argument",
        )


def _is_the_model(mistake: Mistake) -> bool:
    """Tell whether a mistake is about a model that is named wrongly, and so not missing."""
    return mistake.key in ("llm", "model") or nearest(mistake.key, Fields.model_fields) == "model"


def _mistakes_together(merged: Merged) -> Iterator[Mistake]:
    """Find what is wrong with values only as they meet in one profile."""
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
