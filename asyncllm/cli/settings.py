"""The options that every command takes, before its name and after it; and what they set up."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from .terminal.exit_codes import UsageProblem, explain

if TYPE_CHECKING:
    from .. import LLMConfig
    from ..config import Profiles

P = ParamSpec("P")
R = TypeVar("R")


def profile_names(incomplete: str) -> list[str]:
    """Return the names of profiles that complete a text, for a shell."""
    from .. import load_profiles

    return [name for name in load_profiles().names if name.startswith(incomplete)]


@dataclass(frozen=True, slots=True)
class Settings:
    """The options that every command takes, and all arguments of the program."""

    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", metavar="NAME", help="Profile of config.toml.", autocompletion=profile_names),
    ] = None
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Configuration, instead of the config.toml that is found.")
    ] = None
    set: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Set a field of the profile; may be repeated.")
    ] = None
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="Show log events on stderr: debug, info or warning.")
    ] = None
    log_json: Annotated[bool, typer.Option("--log-json", help="Write log events as JSON.")] = False
    arguments: Sequence[str] = ()

    def profiles(self) -> Profiles:
        """Load every profile."""
        from .. import load_profiles

        return load_profiles(self.config)

    def llm_config(self, **options: object) -> LLMConfig:
        """Load the profile, with `--set` over it, and over that the options that are not None."""
        from .. import ConfigError

        profiles = self.profiles()
        try:
            return profiles.config(self.profile, **self.overrides(**options))
        except ConfigError as error:
            for name in self._names_set():
                error.message = error.message.replace(f"argument: {name} ", f"--set {name} ")
            if profiles.source is None and error.hint is None:
                error.hint = "To try it without a key: --model simulated/demo."
            raise

    def apart_from_parameters(self) -> tuple[Settings, dict[str, object]]:
        """Return the settings without what `--set` sets of the parameters of a call, and these parameters."""
        from ..config.fields import Fields
        from ..parameters import KNOWN

        fields: list[str] = []
        parameters: dict[str, object] = {}
        for text in self.set or ():
            name, _, value = text.partition("=")
            if name.strip() in KNOWN and name.strip() not in Fields.model_fields:
                parameters[name.strip()] = _json_or_text(value)
            else:
                fields.append(text)
        return replace(self, set=fields), parameters

    def _names_set(self) -> list[str]:
        return [text.partition("=")[0].strip() for text in self.set or ()]

    def overrides(self, **options: object) -> dict[str, Any]:
        """Return the fields that the command line sets."""
        values: dict[str, Any] = {}
        for text in self.set or ():
            from ..config.environment import parse_value
            from ..config.fields import field_kind

            name, equals, value = text.partition("=")
            if not equals:
                raise UsageProblem(f"--set takes FIELD=VALUE, not {text!r}.", "For example --set temperature=0.2.")
            values[name.strip()] = parse_value(value, field_kind(name.strip()))
        return values | {name: value for name, value in options.items() if value is not None}


def _json_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Add the common options to those of the program itself, for its commands to read."""

    @functools.wraps(function)
    def called(**given: object) -> None:
        for name in _ALL:
            del given[name]
        function(**given)

    return _signed(called, inspect.signature(function, eval_str=True).parameters.values(), _ALL)


def command(function: Callable[..., int]) -> Callable[..., int]:
    """Turn a function that takes the `Settings` first, and returns an exit code, into a command.

    Its other parameters are arguments and options as typer declares them, or one dataclass whose fields are.
    """
    return _command(function, _ALL)


def command_without_profile(function: Callable[..., int]) -> Callable[..., int]:
    """Turn a function into a command that reads no configuration, and refuses options that choose one."""
    return _command(function, _REPORTING)


def _command(function: Callable[..., int], shared: Mapping[str, inspect.Parameter]) -> Callable[..., int]:
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    is_grouped = bool(own) and is_dataclass(own[0].annotation)
    group: Any = own[0].annotation if is_grouped else None
    if is_grouped:
        own = list(inspect.signature(group, eval_str=True).parameters.values())

    @functools.wraps(function)
    def called(context: typer.Context, **given: Any) -> int:
        outer = context.parent.params if context.parent is not None else {}
        own_set: list[str] = given.get("set") or []
        common: dict[str, Any] = {name: given.pop(name) or outer.get(name) for name in shared}
        common["set"] = [*(outer.get("set") or ()), *own_set]
        settings = Settings(**common, arguments=tuple(context.find_root().obj or ()))
        # Errors become exit codes here, where they cannot be taken for typer's own ways of ending.
        try:
            for name in _ALL:
                if name not in shared and outer.get(name):
                    raise UsageProblem(f"{context.info_name} reads no configuration, and takes no --{name}.")
            with _logs(settings):
                return function(settings, group(**given)) if is_grouped else function(settings, **given)
        except (Exception, KeyboardInterrupt) as error:
            return explain(error, debug=settings.debug)

    return _signed(called, [_CONTEXT, *own], shared)


def _logs(settings: Settings) -> AbstractContextManager[None]:
    if not (settings.log_level or settings.log_json):
        return nullcontext()
    from .terminal.logs import shown_logs

    return shown_logs(settings.log_level or "info", as_json=settings.log_json)


_ALL = {name: one for name, one in inspect.signature(Settings, eval_str=True).parameters.items() if name != "arguments"}
# The options of a command that reads no configuration.
_REPORTING = {name: _ALL[name] for name in ("debug", "log_level", "log_json")}
_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _signed(
    function: Callable[P, R], own: Iterable[inspect.Parameter], shared: Mapping[str, inspect.Parameter]
) -> Callable[P, R]:
    """Return a function with its own parameters and the common ones, where typer looks for them."""
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared.values())]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function
