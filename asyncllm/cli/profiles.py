"""`asyncllm profiles`: the profiles, and the source of each value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from .checks import facts, how_read, resolved_model, retirement
from .options import ProfileArgument
from .settings import Settings, command
from .terminal.exit_codes import DONE
from .terminal.output import grid, note, show_section, write, write_json

if TYPE_CHECKING:
    from .. import LLMConfig
    from ..config import Profiles


@command
def run(
    settings: Settings,
    name: ProfileArgument = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Show the fields at their defaults, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with all fields.")] = False,
) -> int:
    """Show the profiles, and where each value comes from.

    Weakest first: defaults, [llm], the variables LLM_<FIELD>, [llm.NAME], the variables LLM__<NAME>__<FIELD>, --set.
    Secrets are masked.
    """
    profiles = settings.profiles()
    configs = chosen(settings, profiles, name)
    if as_json:
        write_json(_as_data(profiles, configs))
        return DONE
    write(f"{source_of(profiles)}\n")
    for unread in profiles.unread_tables.values():
        note(unread)
    for config in configs:
        _show(config, everything)
    if not everything:
        write("\nFields at their defaults: --all shows them.\n")
    return DONE


def chosen(settings: Settings, profiles: Profiles, name: str | None) -> list[LLMConfig]:
    """Return the profile that is named, or all of them."""
    name = name or settings.profile
    names = profiles.names if name is None else (name,)
    return [profiles.config(each, **settings.overrides()) for each in names]


def source_of(profiles: Profiles) -> str:
    """Return the configuration file, for people."""
    return str(profiles.source or "no config.toml was found: defaults and the environment alone")


def _show(config: LLMConfig, everything: bool) -> None:
    from rich.text import Text

    from ..config import OriginKind, describe_fields

    values = config.model_dump(mode="json")
    defaults = {doc.name: doc.default for doc in describe_fields()}
    table = grid(True, False, False)
    for field, origin in config.provenance.items():
        if origin.kind is not OriginKind.DEFAULT:
            table.add_row(Text(f"  {field}"), Text(_text(values[field])), Text(str(origin), style="dim"))
            if field == "model":
                resolved, info = resolved_model(config), facts(config)
                read = Text(how_read(resolved, info), style="dim")
                table.add_row(Text("  └ provider"), Text(resolved.provider), read)
                if (end := retirement(info)) is not None:
                    table.add_row(Text("  └ until"), Text(str(info.deprecated_on), style="yellow"), Text(end))
        elif everything:
            table.add_row(Text(f"  {field}"), Text(defaults[field]), Text("default", style="dim"))
    for field, why in config.withheld.items():
        table.add_row(Text(f"  {field}"), Text("not inherited", style="yellow"), Text(str(why), style="dim"))
    show_section(config.profile or "default", table)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"  # 15 rather than 15.0
    if isinstance(value, dict):
        return ", ".join(f"{name} = {_text(item)}" for name, item in cast(dict[str, object], value).items())
    return ", ".join(map(_text, cast(list[object], value))) if isinstance(value, list) else str(value)


def _as_data(profiles: Profiles, configs: list[LLMConfig]) -> dict[str, object]:
    return {
        "file": None if profiles.source is None else str(profiles.source),
        "ignored_variables": dict(profiles.ignored_variables),
        "profiles": {config.profile: _fields(config) for config in configs},
    }


def _fields(config: LLMConfig) -> dict[str, object]:
    values = config.model_dump(mode="json")
    fields = {
        name: {"value": values[name], "from": str(origin), "kind": str(origin.kind)}
        for name, origin in config.provenance.items()
    }
    resolved, info = resolved_model(config), facts(config)
    model = {"provider": resolved.provider, "name": resolved.name, "read_by": resolved.read_by, "known": info.known}
    return {
        "fields": fields,
        "model": {**model, "deprecated_on": None if info.deprecated_on is None else str(info.deprecated_on)},
        "withheld": {name: str(why) for name, why in config.withheld.items()},
    }
