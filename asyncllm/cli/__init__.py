"""The program `asyncllm`: its commands, and how they are found and run.

stdout is data, stderr is everything else. Exit codes: 0 done, 1 something failed, 2 wrong usage or configuration,
130 interrupted. Each command has a module of its own, imported when the command is run, so that `--help` is quick.

An imported module becomes an attribute here: no function of this module may have the name of a command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .settings import with_settings
from .terminal.exit_codes import DONE, WRONG_USAGE, explain
from .terminal.output import prepare_streams

# In the order of the help. The module of a command has its name, and its function is called `run`.
_COMMANDS = {
    "demo": "See a call, a stream, a typed answer and a batch; no key, no internet.",
    "ask": "Ask a model, and read the answer as it comes.",
    "extract": "Read a typed value out of a text, as JSON.",
    "batch": "Run a prompt over every row of a file, and resume it.",
    "jobs": "Show the deferred batches of journals.",
    "report": "Show how a batch went, as a page, text or JSON.",
    "profiles": "Show the profiles, and where each value comes from.",
    "cache": "Show or clear a cache of answers.",
    "calls": "List, search and add up the calls in a log.",
    "schema": "Write the JSON Schema of config.toml, for editors.",
    "doctor": "Check profiles: key, endpoint, model, price, clock.",
    "simulate": "Serve a simulated provider on this machine, for tests.",
}
_EPILOG = (
    "Exit codes: 0 done, 1 something failed, 2 wrong usage or configuration, 130 interrupted. "
    "`asyncllm COMMAND --help` says more."
)


class _Commands(TyperGroup):
    """The commands, each imported when it is needed."""

    def list_commands(self, ctx: object) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:
        if cmd_name in _COMMANDS and cmd_name not in self.commands:
            module = import_module(f".{cmd_name}", __name__)
            self.commands[cmd_name] = typer.main.get_command(_alone(cmd_name, module))
        return self.commands.get(cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] in _COMMANDS and "--help" in args and "--" not in args:
            # Newer releases of typer import pydantic to read the program's own options, which takes longer than all the
            # rest of a help; where there are none before the command, nothing has to be read.
            self.get_command(ctx, args[0]).make_context(args[0], ["--help"], parent=ctx)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from ..errors import nearest

            near = nearest(args[0], _COMMANDS)
            ctx.fail(f"there is no command {args[0]!r}{f'; did you mean {near!r}?' if near else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: object, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _alone(name: str, module: ModuleType) -> typer.Typer:
    """Return a typer application of one command; a module may have a `Command` class, for a longer help."""
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    cls = getattr(module, "Command", None)
    single.command(name, short_help=_COMMANDS[name], **({"cls": cls} if cls else {}))(module.run)
    return single


def _version(wanted: bool) -> None:
    if wanted:
        from .terminal.versions import describe_versions

        typer.echo(describe_versions())
        raise typer.Exit


# Plain help: rich takes longer to import than all the rest of `--help` together.
app = typer.Typer(cls=_Commands, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True, epilog=_EPILOG, help="Call language models from the shell.")
@with_settings
def _asyncllm(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the versions, and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(WRONG_USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: What follows the command's name; None for those of the process.
    """
    prepare_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = typer.main.get_command(app).main(given, prog_name="asyncllm", standalone_mode=False, obj=given)
    except (Exception, KeyboardInterrupt) as error:
        return explain(error, debug="--debug" in given)
    return code if isinstance(code, int) else DONE
