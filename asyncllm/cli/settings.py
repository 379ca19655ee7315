"""The options that every command takes, before its name and after it, and what they set up."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .terminal.exit_codes import UsageProblem, explain

if TYPE_CHECKING:
    from .. import LLMConfig
    from ..config import Profiles


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options that every command takes say.

    Attributes:
        profile: The name of the profile; None for the default.
        config: The file; None for the one that is found.
        set: `FIELD=VALUE` texts.
        debug: Show tracebacks.
        log_level: The lowest level of log events to show; None for none at all.
        log_json: Write log events as JSON.
        arguments: Everything that was given to the program.
    """

    profile: str | None = None
    config: Path | None = None
    set: Sequence[str] = field(default_factory=tuple)
    debug: bool = False
    log_level: str | None = None
    log_json: bool = False
    arguments: Sequence[str] = ()

    def profiles(self) -> Profiles:
        """Load every profile."""
        from .. import load_profiles

        return load_profiles(self.config)

    def llm_config(self, **options: Any) -> LLMConfig:
        """Load the profile, with `--set` over it, and over that the options that are not None."""
        from .. import ConfigError

        profiles = self.profiles()
        try:
            return profiles.config(self.profile, **self.overrides(**options))
        except ConfigError as error:
            if profiles.source is None and error.hint is None:
                error.hint = "To try it without a key: --model simulated/demo."
            raise

    def apart_from_parameters(self) -> tuple[Settings, dict[str, Any]]:
        """Return the settings without those of `--set` that are parameters of a call, and these."""
        from ..config.fields import Fields
        from ..parameters import KNOWN

        fields, parameters = [], {}
        for text in self.set:
            name, _, value = text.partition("=")
            if name.strip() in KNOWN and name.strip() not in Fields.model_fields:
                parameters[name.strip()] = _json_or_text(value)
            else:
                fields.append(text)
        return replace(self, set=tuple(fields)), parameters

    def overrides(self, **options: Any) -> dict[str, Any]:
        """Return the fields that the command line sets."""
        values: dict[str, Any] = {}
        for text in self.set:
            from ..config.environment import parse_value
            from ..config.fields import field_kind

            name, equals, value = text.partition("=")
            if not equals:
                raise UsageProblem(f"--set takes FIELD=VALUE, not {text!r}.", "For example --set temperature=0.2.")
            values[name.strip()] = parse_value(value, field_kind(name.strip()))
        return values | {name: value for name, value in options.items() if value is not None}


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common options to those of the program itself, for its commands to see."""

    @functools.wraps(function)
    def called(**given: Any) -> Any:
        for name in _ALL:
            del given[name]
        return function(**given)

    return _signed(called, list(inspect.signature(function, eval_str=True).parameters.values()), _ALL)


def command(function: Callable[..., int]) -> Callable[..., int]:
    """Make a command of a function whose first argument is the `Settings`, and which returns an exit code.

    Errors become exit codes here, so that they are told from typer's own ways of ending.
    """
    return _command(function, _ALL)


def command_without_profile(function: Callable[..., int]) -> Callable[..., int]:
    """Make a command as `command` does, of one that reads no configuration and refuses to be given any."""
    return _command(function, _REPORTING)


def _command(function: Callable[..., int], shared: Mapping[str, inspect.Parameter]) -> Callable[..., int]:
    @functools.wraps(function)
    def called(context: typer.Context, **given: Any) -> int:
        outer = context.parent.params if context.parent is not None else {}
        own_set = given.get("set") or ()
        said: dict[str, Any] = {name: given.pop(name) or outer.get(name) for name in shared}
        said["set"] = (*(outer.get("set") or ()), *own_set)
        settings = Settings(**said, arguments=tuple(context.find_root().obj or ()))
        try:
            for name in _ALL:
                if name not in shared and outer.get(name):
                    raise UsageProblem(f"{context.info_name} reads no configuration, and takes no --{name}.")
            if not (settings.log_level or settings.log_json):
                return function(settings, **given)
            from .terminal.logs import shown_logs

            with shown_logs(settings.log_level or "info", as_json=settings.log_json):
                return function(settings, **given)
        except (Exception, KeyboardInterrupt) as error:
            return explain(error, debug=settings.debug)

    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    return _signed(called, [_CONTEXT, *own], shared)


def profile_names(incomplete: str) -> list[str]:
    """Complete the name of a profile, for a shell."""
    from .. import load_profiles

    return [name for name in load_profiles().names if name.startswith(incomplete)]


def _of_profiles(
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", metavar="NAME", help="Profile of config.toml.", autocompletion=profile_names),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Configuration, instead of the config.toml that is found.")
    ] = None,
    set: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Set a field of the profile; may be repeated.")
    ] = None,
) -> None:
    """Hold the options that choose and change a profile, as typer reads them."""


def _of_reporting(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="Show log events on stderr: debug, info or warning.")
    ] = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write log events as JSON.")] = False,
) -> None:
    """Hold the options that say what is told on stderr, as typer reads them."""


_REPORTING = inspect.signature(_of_reporting, eval_str=True).parameters
_ALL = {**inspect.signature(_of_profiles, eval_str=True).parameters, **_REPORTING}
_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)


def _signed(
    function: Callable[..., Any], own: list[inspect.Parameter], shared: Mapping[str, inspect.Parameter]
) -> Callable[..., Any]:
    """Give a function its own parameters and the common ones, where typer looks for them."""
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared.values())]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function
