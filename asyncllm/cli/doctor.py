"""`asyncllm doctor`: checks of profiles, each with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .checks import Check, check_endpoint, check_limits, check_profile, check_variables
from .options import ProfileArgument
from .profiles import chosen, source_of
from .settings import Settings, command
from .terminal.exit_codes import DONE, SOME_FAILED
from .terminal.output import grid, show_section, write, write_json

if TYPE_CHECKING:
    from .. import LLMConfig

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


@command
def run(
    settings: Settings,
    name: ProfileArgument = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave out what needs the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """Check profiles: key, endpoint, model, price, clock, shared limits.

    Nothing is sent that costs money, and no key leaves the machine: an endpoint is only asked whether it is there. The
    exit code is 1 when a check fails.
    """
    from .terminal import own_loop

    profiles = settings.profiles()
    configs = chosen(settings, profiles, name)
    found = [*check_variables(profiles), *(check for config in configs for check in check_profile(config))]
    if not offline:
        found += own_loop.run(_reached, configs)
    if as_json:
        write_json([check.to_dict() for check in found])
    else:
        write(f"{source_of(profiles)}\n")
        for title in dict.fromkeys(check.profile for check in found):
            _show(title, [check for check in found if check.profile == title])
    return SOME_FAILED if any(check.status == "fail" for check in found) else DONE


async def _reached(configs: list[LLMConfig]) -> list[Check]:
    """Check all endpoints at once."""
    import anyio

    found: list[list[Check]] = [[] for _ in configs]

    async def ask(index: int) -> None:
        found[index] = [*await check_endpoint(configs[index]), *await check_limits(configs[index])]

    async with anyio.create_task_group() as group:
        for index in range(len(configs)):
            group.start_soon(ask, index)
    return [check for checks in found for check in checks]


def _show(title: str, checks: list[Check]) -> None:
    from rich.text import Text

    table = grid(True, True, False)
    for check in checks:
        detail = Text(check.detail)
        if check.remedy:
            detail.append(f"\n{check.remedy}", style="italic")
        table.add_row(Text(f"  {check.status}", style=_STYLES[check.status]), Text(check.name), detail)
    show_section(title, table)
