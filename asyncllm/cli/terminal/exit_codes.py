"""How a command ends: its exit code, and the one line that says why."""

from __future__ import annotations

import traceback

from asyncllm.errors import AsyncLLMError, ConfigError, JournalError, UnsupportedError

from .output import close_stdout, note

DONE = 0
SOME_FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count
TERMINATED = 143  # 128 + SIGTERM
PIPE_CLOSED = 141  # 128 + SIGPIPE: what a reader such as `head` that has enough does to any other program


class UsageProblem(Exception):
    """The command was asked for something that it cannot do.

    Args:
        message: What is wrong.
        hint: What to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def explain(error: BaseException, *, debug: bool) -> int:
    """Say on stderr why a command ended early, and return its exit code.

    Args:
        error: What ended it.
        debug: Show the traceback; without the values of variables, which may be secret.
    """
    if isinstance(error, BrokenPipeError):
        close_stdout()
        return PIPE_CLOSED
    if isinstance(error, KeyboardInterrupt):
        note("interrupted")
        return INTERRUPTED
    if debug:
        note("".join(traceback.format_exception(error)).rstrip())
    message, hint, code = _in_words(error)
    note(f"error: {message}")
    if hint:
        note(f"hint: {hint}")
    return code


def _in_words(error: BaseException) -> tuple[str, str | None, int]:
    if isinstance(error, UsageProblem):
        return error.message, error.hint, WRONG_USAGE
    if isinstance(error, AsyncLLMError):
        wrong = isinstance(error, ConfigError | UnsupportedError | JournalError)
        return error.message, error.hint, WRONG_USAGE if wrong else SOME_FAILED
    if hasattr(error, "format_message"):
        # typer's own errors; where their classes live depends on its release.
        context = getattr(error, "ctx", None)
        hint = f"`{context.command_path} --help` shows what there is." if context is not None else None
        return error.format_message().rstrip("."), hint, WRONG_USAGE
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}", None, WRONG_USAGE
    return f"{type(error).__name__}: {error}", "Run it again with --debug for the traceback.", SOME_FAILED
