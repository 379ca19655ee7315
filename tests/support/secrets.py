"""No key in any log record, error, output or file of the test run.

A pytest plugin. The suite uses one recognisable key (`secret_key`); while tests run, everything through which a key
could leave the process is read: log records at DEBUG with their extras, errors that tests expect or die of with their
whole chain, captured output, the output of child processes and of command-line runs, and files under `tmp_path`.
"""

from __future__ import annotations

import gc
import logging
import subprocess
import traceback
import types
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner as TyperRunner

# In two pieces, so that a search of the repository for keys finds none.
SECRET = "sk-test-" + "SECRET" + "-0123456789abcdef"

# Where a key belongs: a test writes its own configuration with it.
_KEY_FILES = ("*.toml", "*.env", ".env*")

# More objects than any error of ours may hold; a walk that reaches it has left the error behind.
_MAX_OBJECTS = 20_000

# Following these would leave the error for the program around it: frames hold the test's own variables.
_CODE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
_RUNNING = (types.FrameType, types.TracebackType, types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)

_REPORTED = pytest.StashKey[set[str]]()

_leaks: list[str] = []


@pytest.fixture
def secret_key() -> str:
    """The one key that tests use, which must not be seen anywhere outside a configuration."""
    return SECRET


def check_text(text: object, where: str) -> None:
    """Record a leak if the key occurs in a text or in the repr of an object."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    if SECRET in shown:
        _leaks.append(where)


def check_error(error: BaseException, where: str) -> None:
    """Record a leak if the key shows in an error, in its chain, or is kept alive by one of ours."""
    chain = list(_chain(error))
    for link in chain:
        name = f"{where}: {type(link).__qualname__}"
        check_text("".join(traceback.format_exception_only(link)), f"{name}, its message")
        check_text(f"{link!r} {link.args!r} {vars(link)!r}", f"{name}, its repr or attributes")
    if type(error).__module__.startswith("asyncllm.") and any(_holds_secret(link) for link in chain):
        _leaks.append(f"{where}: {type(error).__qualname__} keeps the key alive in its chain")


def check_record(record: logging.LogRecord) -> None:
    """Record a leak if the key occurs in a log record: its message, its extras or its traceback."""
    where = f"log record of {record.name}"
    check_text(record.getMessage(), where)
    check_text({name: value for name, value in vars(record).items() if name != "exc_info"}, f"{where}, its fields")
    if record.exc_info and record.exc_info[1] is not None:
        check_error(record.exc_info[1], where)


def check_files(directory: Path) -> None:
    """Record a leak for every file under a directory that holds the key, configurations excepted."""
    for path in directory.rglob("*"):
        if path.is_file() and not any(path.match(pattern) for pattern in _KEY_FILES):
            check_text(path.read_bytes(), f"file {path.relative_to(directory)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the phase of a test in which the key got out: by a door, in its output, its error or its files."""
    report = yield
    for title, content in report.sections:
        check_text(content, title.lower())
    if call.excinfo is not None:
        check_error(call.excinfo.value, "error of the test")
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    if directory is not None and directory.is_dir():
        check_files(directory)
    # A later phase sees the output and the files of the ones before it again.
    known = item.stash.setdefault(_REPORTED, set())
    new = [leak for leak in dict.fromkeys(_leaks) if leak not in known]
    known.update(new)
    _leaks.clear()
    found = "; ".join(new)
    if found and report.failed:
        report.sections.append(("secret key leaked", found))
    elif found:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: secret key leaked: {found}"
    return report


@pytest.fixture(scope="session", autouse=True)
def watched_doors() -> Iterator[None]:
    """Read what passes through logging, expected errors, captured output and child processes, for the whole session."""

    def output(result: Any) -> None:
        check_text(result, "output that a test captured")

    def command_run(result: Any) -> None:
        check_text(result.output, "output of a command-line run")
        if result.exception is not None:
            check_error(result.exception, "error of a command-line run")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.Logger, "handle", _watched_handle(logging.Logger.handle))
        patch.setattr(pytest.RaisesExc, "__exit__", _watched_exit(pytest.RaisesExc.__exit__))
        _watch_result(patch, pytest.CaptureFixture, "readouterr", output)
        _watch_result(patch, subprocess.Popen, "communicate", output)
        _watch_result(patch, TyperRunner, "invoke", command_run)
        yield


def _watched_handle(handle: Callable[..., None]) -> Callable[..., None]:
    def watched(logger: logging.Logger, record: logging.LogRecord) -> None:
        check_record(record)
        # litellm's dozens of debug records a call are read here, and kept out of the report of a failing test.
        if record.levelno > logging.DEBUG or not record.name.startswith("LiteLLM"):
            handle(logger, record)

    return watched


def _watched_exit(leave: Callable[..., bool]) -> Callable[..., bool]:
    def watched(context: object, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            check_error(error, "expected error")
        return leave(context, kind, error, trace)

    return watched


def _watch_result(patch: pytest.MonkeyPatch, owner: type, name: str, look: Callable[[Any], None]) -> None:
    original = getattr(owner, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        look(result)
        return result

    patch.setattr(owner, name, watched)


def _chain(error: BaseException) -> Iterable[BaseException]:
    """Yield an error and everything behind it: causes, contexts (suppressed ones too) and the members of groups."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        link = todo.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        todo += [link.__cause__, link.__context__]
        if isinstance(link, BaseExceptionGroup):
            todo += link.exceptions


def _holds_secret(error: BaseException) -> bool:
    """Return whether the key can be reached from an error's own data."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo and len(seen) < _MAX_OBJECTS:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, _CODE + _RUNNING):
            continue
        seen.add(id(thing))
        if isinstance(thing, str) and SECRET in thing:
            return True
        todo += gc.get_referents(thing)
    return False
