"""The input of commands: texts from the command line and from stdin."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .exit_codes import UsageProblem

if TYPE_CHECKING:
    from asyncllm import Image, Message


def prompt_text(given: str | None, what: str = "PROMPT") -> str:
    """Return the text to send: the argument, stdin where it is `-` or missing, or both where something is piped in."""
    if given == "-" or (given is None and sys.stdin is not None and not sys.stdin.isatty()):
        text = read_stdin()
    elif given is None:
        raise UsageProblem(f"there is no {what}.", f"Give a {what}, or - to read it from stdin.")
    else:
        piped = read_stdin() if _is_piped() else ""
        text = f"{given}\n\n{piped}" if piped.strip() else given
    if not text.strip():
        raise UsageProblem(f"the {what} is empty.", f"Give a {what}, or pipe one in.")
    return text


def text_or_file(given: str, option: str) -> str:
    """Return a text of the command line: for `@FILE` the file's content, for `@@...` the text from the second @."""
    if not given.startswith("@"):
        return given
    if given.startswith("@@"):
        return given[1:]
    try:
        # The line break at its end comes from the editor, and is no part of the prompt.
        return Path(given[1:]).read_text(encoding="utf-8-sig").removesuffix("\n")
    except OSError as error:
        hint = "A text that begins with @ is written with @@."
        raise UsageProblem(f"{option} {given}: {error.strerror}.", hint) from None
    except UnicodeDecodeError:
        raise UsageProblem(f"{option} {given}: it is not UTF-8 text.") from None


def chat_messages(text: str, system: str | None, *images: Image) -> list[Message]:
    """Return the messages of one question."""
    from asyncllm import Message

    user = Message.user(text, *images)
    return [user] if not system else [Message.system(system), user]


def read_stdin() -> str:
    """Read stdin to its end as UTF-8."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # a shell can close it
        raise UsageProblem("stdin is closed.")
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageProblem("stdin is not UTF-8 text.", "Convert it, for example with `iconv -t UTF-8`.") from None


def _is_piped() -> bool:
    """Return whether stdin is a pipe or a file: not a terminal, not /dev/null, and not closed."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        return False
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)
