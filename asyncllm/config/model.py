"""`LLMConfig`: one profile, complete and validated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from ..errors import ConfigError
from ..models import base_url_variables, key_variables
from ..narrowing import is_mapping
from .environment import Environment
from .fields import KEY_FIELDS, SHARED_WITH_FALLBACKS, Fields
from .mistakes import Problem, config_error, contradictions, problems_of
from .precedence import ARGUMENTS, PROFILE, Entry, Withheld, endpoint_owner, merge, provider_of
from .provenance import ARGUMENT, DEFAULT, Origin, shown_path

if TYPE_CHECKING:
    from typing import Unpack

    from .options import ConfigOptions, Options
    from .profiles import Profiles


@dataclass(frozen=True, slots=True)
class ConfigContext:
    """Where a configuration comes from; given to `model_validate` as its context.

    Attributes:
        profile: The name of the profile; None when it has none.
        profiles: The profiles that it is one of; None for a configuration made in code.
        environment: Where keys and endpoints are looked up.
        origins: The origins of its values; a field without one is an argument or a default.
        withheld: The fields of the connection group that were not inherited.
    """

    profile: str | None = None
    profiles: Profiles | None = None
    environment: Environment = field(default_factory=Environment)
    origins: Mapping[str, Origin] = field(default_factory=dict[str, Origin])
    withheld: Mapping[str, Withheld] = field(default_factory=dict[str, Withheld])


class LLMConfig(Fields):
    """One profile: the model, its connection, and the options of its calls.

    Immutable; equality and hash are those of its fields. Secrets show as asterisks wherever it is printed; a pickle
    does contain them.

    Raises:
        ConfigError: A field is unknown, of the wrong type or out of range; the message lists every mistake.

    Example:
        ```python
        config = LLMConfig(model="openai/gpt-5-mini", timeout=20)
        async with AsyncLLM(config.replace(num_retries=8)) as llm:
            answer = await llm.acompletion("Name a colour.")
        ```
    """

    # Built with the class: on first use, two threads might build it at the same time.
    model_config = ConfigDict(defer_build=False)

    _context: ConfigContext = PrivateAttr(default_factory=ConfigContext)

    if TYPE_CHECKING:
        # For type checkers: pydantic also takes str for SecretStr, and a list for a tuple.
        def __init__(self, **options: Unpack[ConfigOptions]) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        values: Mapping[str, object] = {}
        if is_mapping(data):
            data = values = {key: value for key, value in data.items() if value is not None}
        problems: list[Problem]
        try:
            config = handler(data)
        except ValidationError as error:
            problems = problems_of(error, values)
        else:
            values = {key: getattr(config, key) for key in config.model_fields_set}
            problems = contradictions(values)
            if not problems:
                if isinstance(info.context, ConfigContext):
                    config._context = info.context
                return config
        # Outside the except block: pydantic's error holds the values, and must not become the context of ours.
        raise config_error(problem.at(ARGUMENT) for problem in problems)

    @property
    def profile(self) -> str | None:
        """The name of the profile; None for a configuration made in code."""
        return self._context.profile

    @property
    def source(self) -> Path | None:
        """The file that the profile comes from; None for a configuration made without one."""
        return self._context.profiles.source if self._context.profiles is not None else None

    @property
    def provenance(self) -> Mapping[str, Origin]:
        """The origin of the value of each field."""
        origins = {key: ARGUMENT if key in self.model_fields_set else DEFAULT for key in type(self).model_fields}
        return MappingProxyType(origins | dict(self._context.origins))

    @property
    def withheld(self) -> Mapping[str, Withheld]:
        """The fields of the connection group that were not inherited, with the reason."""
        return MappingProxyType(dict(self._context.withheld))

    @property
    def provider(self) -> str:
        """litellm's name of the provider.

        Raises:
            ConfigError: The provider cannot be derived from the model.
        """
        return provider_of(self.model, self.custom_llm_provider, self.base_url)

    def resolved_key(self) -> SecretStr | None:
        """Return the key: `api_key`, else the variable `api_key_env` names, else the provider's usual variable.

        Variables are looked up in the environment, then in `.env`.

        Returns:
            The key; None when there is none, which some providers allow.

        Raises:
            ConfigError: The variable that `api_key_env` names is not set, or the value of a variable cannot be a key.
        """
        if self.api_key is not None:
            return self.api_key
        if self.api_key_env is not None:
            if (key := self._context.environment.get(self.api_key_env)) is None:
                raise ConfigError(
                    f"{self._where('api_key_env')} names {self.api_key_env}, which is set neither in the environment "
                    f"nor in {shown_path(self._context.environment.dotenv)}.",
                    hint=f"Set {self.api_key_env}, or name the variable that holds the key.",
                )
            return _key_from(self.api_key_env, key)
        for variable in self._key_variables():
            if (key := self._context.environment.get(variable)) is not None:
                return _key_from(variable, key)
        return None

    def resolved_base_url(self) -> str | None:
        """Return the endpoint: `base_url`, else the provider's usual variable; None for the provider's own endpoint."""
        if self.base_url is not None:
            return self.base_url
        return next(filter(None, map(self._context.environment.get, base_url_variables(self.provider))), None)

    def key_advice(self) -> str:
        """Return the remedy for a missing key: the variables to set, and why an inherited key was not taken."""
        variables = " or ".join(self._key_variables())
        advice = f"Set {variables}, or set api_key or api_key_env." if variables else "Set api_key or api_key_env."
        reasons = [f"{key} was {why}." for key, why in self._context.withheld.items() if key in KEY_FIELDS]
        return " ".join([advice, *reasons])

    def fallback_configs(self) -> tuple[LLMConfig, ...]:
        """Return the profiles that `fallbacks` names, in order.

        Arguments apply to them too, except those that say where requests go. Their own fallbacks are not followed.

        Raises:
            ConfigError: There is no file to look the profiles up in, or one of them is unknown or invalid.
        """
        if not self.fallbacks:
            return ()
        profiles = self._context.profiles
        if profiles is None:
            raise ConfigError(
                f"{self._where('fallbacks')} names profiles of a config.toml, and this configuration was made "
                "without one.",
                hint="Write a table [llm.NAME] in a config.toml for each model, and use the first: AsyncLLM(NAME).",
            )
        profiles.check_fallbacks(self.profile or "", self.fallbacks, self.provenance["fallbacks"])
        given = [key for key, origin in self.provenance.items() if origin == ARGUMENT and key in SHARED_WITH_FALLBACKS]
        options: Any = {key: getattr(self, key) for key in given}
        return tuple(profiles.config(name, **options) for name in self.fallbacks)

    def replace(self, **changes: Unpack[Options]) -> Self:
        """Return a changed copy, by the rules for arguments of `load_config`.

        None unsets a field. With another provider or endpoint, the key is dropped.

        Raises:
            ConfigError: A change is unknown, of the wrong type or out of range.
        """
        origins = self.provenance
        now = {key: Entry(getattr(self, key), origins[key], PROFILE) for key in self.model_fields_set}
        changed = {key: Entry(value, ARGUMENT, ARGUMENTS) for key, value in changes.items()}
        merged = merge([now, changed], self._context.withheld)
        context = replace(self._context, origins=merged.origins, withheld=merged.withheld)
        return type(self).model_validate(merged.values, context=context)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy; changes are validated as by `replace`, which pydantic's own copy would not do."""
        return self.replace(**update) if update else super().model_copy(deep=deep)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LLMConfig):
            return NotImplemented
        return all(getattr(self, key) == getattr(other, key) for key in LLMConfig.model_fields)

    def __hash__(self) -> int:
        # Tables are not hashable; without them, equal configurations still have equal hashes.
        values = (getattr(self, key) for key in LLMConfig.model_fields)
        return hash(tuple(value for value in values if isinstance(value, str | int | float | SecretStr)))

    def __repr_args__(self) -> Iterator[tuple[str, object]]:
        """Return only the fields that are set, not fifty defaults."""
        if self._context.profile is not None:
            yield "profile", self._context.profile
        for key in type(self).model_fields:
            if key in self.model_fields_set:
                yield key, getattr(self, key)

    def _where(self, key: str) -> str:
        return self.provenance[key].locate(key)

    def _key_variables(self) -> tuple[str, ...]:
        """Return the variables that may hold the key for this endpoint.

        A key that was withheld because it is for another endpoint is most likely in the usual variable too, so none is
        read then. An endpoint that belongs to another provider (Groq speaks OpenAI's format) takes that provider's key.
        """
        if any(why.is_for_other_endpoint for key, why in self._context.withheld.items() if key in KEY_FIELDS):
            return ()
        return key_variables(endpoint_owner(self.base_url) or self.provider)


def _key_from(variable: str, text: str) -> SecretStr:
    key = text.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"The variable {variable} must not contain spaces, line breaks or characters outside ASCII.",
            hint=f"Set {variable} to the key alone.",
        )
    return SecretStr(key)
