"""Exit codes of commands, and the errors behind them."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from asyncllm.errors import AsyncLLMError, ConfigError, JournalError, UnsupportedError

from .output import close_stdout, note

DONE = 0
SOME_FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM
PIPE_CLOSED = 141  # 128 + SIGPIPE: as when `head` closes the pipe of any other program


class UsageProblem(Exception):
    """The command line asks for something that cannot be done."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def explain(error: BaseException, *, debug: bool) -> int:
    """Write an error that ended a command to stderr, and return its exit code.

    Args:
        debug: Whether the traceback is shown; without the values of variables, which may be secret.
    """
    if isinstance(error, BrokenPipeError):
        close_stdout()
        return PIPE_CLOSED
    if isinstance(error, KeyboardInterrupt):
        note("interrupted")
        return INTERRUPTED
    if debug:
        note("".join(traceback.format_exception(error)).rstrip())
    message, hint, code = _described(error)
    note(f"error: {message}")
    if hint:
        note(f"hint: {hint}")
    return code


def _described(error: BaseException) -> tuple[str, str | None, int]:
    """Return the message, the hint and the exit code of an error."""
    if isinstance(error, UsageProblem):
        return error.message, error.hint, WRONG_USAGE
    if isinstance(error, AsyncLLMError):
        wrong = isinstance(error, ConfigError | UnsupportedError | JournalError)
        return error.message, error.hint, WRONG_USAGE if wrong else SOME_FAILED
    format_message: Callable[[], str] | None = getattr(error, "format_message", None)
    if format_message is not None:
        # An error of typer's; the module of its class depends on the release.
        context = getattr(error, "ctx", None)
        hint = f"`{context.command_path} --help` shows what there is." if context is not None else None
        return format_message().rstrip("."), hint, WRONG_USAGE
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}", None, WRONG_USAGE
    return f"{type(error).__name__}: {error}", "Run it again with --debug for the traceback.", SOME_FAILED
