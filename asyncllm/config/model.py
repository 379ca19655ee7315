"""LLMConfig: one profile, complete and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from pydantic import ConfigDict, ModelWrapValidatorHandler, PrivateAttr, SecretStr, ValidationError, model_validator

from ..errors import ConfigError
from ..models import base_url_variables, key_variables
from .environment import Environment
from .fields import KEY_FIELDS, OF_EVERY_TARGET, Fields
from .mistakes import Problem, config_error, contradictions, problems_of
from .precedence import ARGUMENTS, PROFILE, Entry, Withheld, endpoint_owner, merge, provider_of
from .provenance import ARGUMENT, DEFAULT, Origin, shown_path

if TYPE_CHECKING:
    from typing import Unpack

    from .options import ConfigOptions, Options
    from .profiles import Profiles


class LLMConfig(Fields):
    """One profile: which model to call, how to reach it, and how to treat its answers.

    Immutable, comparable and hashable by its fields. Secrets show as asterisks wherever it is printed; a pickle holds
    them.

    Raises:
        ConfigError: A field is unknown, of the wrong type or impossible; the message lists every mistake.
    """

    # Built with the class, where no two threads can do it at the same time.
    model_config = ConfigDict(defer_build=False)

    _profile: str | None = PrivateAttr(default=None)
    _source: Path | None = PrivateAttr(default=None)
    _origins: Mapping[str, Origin] = PrivateAttr(default_factory=dict)
    _withheld: Mapping[str, Withheld] = PrivateAttr(default_factory=dict)
    _environment: Environment = PrivateAttr(default_factory=Environment)
    _profiles: Profiles | None = PrivateAttr(default=None)

    if TYPE_CHECKING:
        # pydantic turns text into SecretStr, a list into a tuple; type checkers learn that from here.
        def __init__(self, **options: Unpack[ConfigOptions]) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, Mapping):
            data = {key: value for key, value in data.items() if value is not None}
        values: Mapping[str, object] = data if isinstance(data, Mapping) else {}
        problems: list[Problem]
        try:
            config = handler(data)
        except ValidationError as error:
            problems = problems_of(error, values)
        else:
            values = {key: getattr(config, key) for key in config.model_fields_set}
            problems = contradictions(values)
            if not problems:
                return config
        # Outside of the except block: pydantic's error holds the values, and must not hang on to ours as its context.
        raise config_error(problem.at(ARGUMENT) for problem in problems)

    @property
    def profile(self) -> str | None:
        """The name of the profile; None when it was made without one."""
        return self._profile

    @property
    def source(self) -> Path | None:
        """The file that the profile comes from; None when it was made without one."""
        return self._source

    @property
    def provenance(self) -> Mapping[str, Origin]:
        """Where the value of each field came from."""
        origins = {key: ARGUMENT if key in self.model_fields_set else DEFAULT for key in type(self).model_fields}
        return MappingProxyType(origins | dict(self._origins))

    @property
    def withheld(self) -> Mapping[str, Withheld]:
        """Why an inherited part of the connection group was not taken, by field."""
        return MappingProxyType(dict(self._withheld))

    @property
    def provider(self) -> str:
        """litellm's name of the provider.

        Raises:
            ConfigError: The name of the model does not say which provider it is.
        """
        return provider_of(self.model, self.custom_llm_provider, self.base_url)

    def resolved_key(self) -> SecretStr | None:
        """Find the key: `api_key`, else what `api_key_env` names, else the provider's usual variable.

        Variables are looked up in the environment, then in `.env`.

        Returns:
            The key; None when there is none, which some providers allow.

        Raises:
            ConfigError: `api_key_env` names a variable that is not set, or what a variable holds cannot be a key.
        """
        if self.api_key is not None:
            return self.api_key
        if self.api_key_env is not None:
            if (key := self._environment.get(self.api_key_env)) is None:
                raise ConfigError(
                    f"{self._where('api_key_env')} names {self.api_key_env}, which is set neither in the environment "
                    f"nor in {shown_path(self._environment.dotenv)}.",
                    hint=f"Set {self.api_key_env}, or name the variable that holds the key.",
                )
            return _key_from(self.api_key_env, key)
        for variable in self._key_variables():
            if (key := self._environment.get(variable)) is not None:
                return _key_from(variable, key)
        return None

    def resolved_base_url(self) -> str | None:
        """Find the endpoint: `base_url`, else the provider's usual variable; None for the provider's own endpoint."""
        if self.base_url is not None:
            return self.base_url
        return next(filter(None, map(self._environment.get, base_url_variables(self.provider))), None)

    def key_advice(self) -> str:
        """Say where a key would be looked for, and why an inherited one was not taken: the remedy for a missing key."""
        variables = " or ".join(self._key_variables())
        advice = (
            f"Set {variables}, or name the key in api_key or api_key_env." if variables else "Name the key in api_key."
        )
        reasons = [f"{key} was {why}." for key, why in self._withheld.items() if key in KEY_FIELDS]
        return " ".join([advice, *reasons])

    def fallback_configs(self) -> tuple[LLMConfig, ...]:
        """Make the profiles that `fallbacks` names, in order.

        What arguments said of this one about how to call, rather than whom, holds for them too. Their own fallbacks are
        not followed.

        Raises:
            ConfigError: This one comes from no file, or one of them is wrong.
        """
        if self.fallbacks and self._profiles is None:
            raise ConfigError(
                f"{self._where('fallbacks')} names profiles of a config.toml, and this profile was made without one.",
                hint="Write the profiles into a config.toml, and name the first one: AsyncLLM(profile).",
            )
        said = [key for key, origin in self.provenance.items() if origin == ARGUMENT and key in OF_EVERY_TARGET]
        options: Any = {key: getattr(self, key) for key in said}
        return tuple(self._profiles.config(name, **options) for name in self.fallbacks) if self._profiles else ()

    def replace(self, **changes: Unpack[Options]) -> Self:
        """Make a changed copy, checked like arguments of `load_config`: None unsets a field, and another provider or
        endpoint takes no key along.

        Raises:
            ConfigError: A change is unknown, of the wrong type or impossible.
        """
        origins = self.provenance
        now = {key: Entry(getattr(self, key), origins[key], PROFILE) for key in self.model_fields_set}
        changed = {key: Entry(value, ARGUMENT, ARGUMENTS) for key, value in changes.items()}
        merged = merge([now, changed], self._withheld)
        return self._build(
            merged.values,
            profile=self._profile,
            source=self._source,
            origins=merged.origins,
            withheld=merged.withheld,
            environment=self._environment,
            profiles=self._profiles,
        )

    @classmethod
    def _build(
        cls,
        values: Mapping[str, object],
        *,
        profile: str | None,
        source: Path | None,
        origins: Mapping[str, Origin],
        withheld: Mapping[str, Withheld],
        environment: Environment,
        profiles: Profiles | None,
    ) -> Self:
        config = cls.model_validate(values)
        config._profile = profile
        config._source = source
        config._origins = origins
        config._withheld = withheld
        config._environment = environment
        config._profiles = profiles
        return config

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy; with changes, the same as `replace`, because pydantic's own copy would check nothing."""
        return self.replace(**update) if update else super().model_copy(deep=deep)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LLMConfig):
            return NotImplemented
        return all(getattr(self, key) == getattr(other, key) for key in LLMConfig.model_fields)

    def __hash__(self) -> int:
        # Tables cannot be hashed; leaving them out keeps equal configurations equal in hash.
        values = (getattr(self, key) for key in LLMConfig.model_fields)
        return hash(tuple(value for value in values if isinstance(value, str | int | float | SecretStr)))

    def __repr_args__(self) -> Any:
        """Show what was set; the defaults would bury it."""
        if self._profile is not None:
            yield "profile", self._profile
        for key in type(self).model_fields:
            if key in self.model_fields_set:
                yield key, getattr(self, key)

    def _where(self, key: str) -> str:
        return self.provenance[key].locate(key)

    def _key_variables(self) -> tuple[str, ...]:
        """Give the variables that may hold the key for this endpoint.

        A key that was named, and withheld for the sake of the endpoint, is most likely what the usual variable holds
        too. An endpoint that belongs to another provider (Groq speaks OpenAI's format) is opened with that one's key.
        """
        if any(why.is_for_other_endpoint for key, why in self._withheld.items() if key in KEY_FIELDS):
            return ()
        return key_variables(endpoint_owner(self.base_url) or self.provider)


def _key_from(variable: str, text: str) -> SecretStr:
    key = text.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"The variable {variable} holds blanks, line breaks or other characters that no key has.",
            hint=f"Set {variable} to the key alone.",
        )
    return SecretStr(key)
