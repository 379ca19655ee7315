"""A process that has imported all the libraries already, and forks a child for each run of the tests.

It runs in a copy of the checkout, as `python -m benchmarks.mutants.server`, and reads one request a line from its
standard input:

    {"probe": {"tests": [...]}}                             which libraries the tests import
    {"preload": {"modules": [...]}}                         imports libraries; every later child has them
    {"baseline": {"sources": [...], "tests": [...]}}        which test runs which line of the sources
    {"try": {"path": ..., "source": ..., "limits": {...}}}  whether tests notice a fault in a module

Each is answered by one line. The package and its tests are imported in the children alone.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_RESULT = "result.json"
_LOG = "tests.log"
# Imports, collection and the fixtures of a session take a second or two; this is for a machine that is busy.
_START_LIMIT_S = 60.0
# The tests of a part, under coverage and on a machine that is busy; a mutant's end earlier, each by its own limit.
_CHILD_LIMIT_S = 1800.0
_MEMORY_LIMIT_BYTES = 3 << 30
_POLL_S = 0.02
_NOT_PRELOADED = ("__main__", "asyncllm", "benchmarks", "coverage", "tests")
# litellm's own switches against the network, which the package sets before its import.
_OFFLINE = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_MODE": "PRODUCTION",
}
_OPTIONS = (
    *("--quiet", "--no-header", "--no-summary", "--tb=line", "-rN"),
    # The one writes into the checkout, the other warns of what has been imported ahead.
    f"--basetemp={tempfile.gettempdir()}/tests",
    *("-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


def main() -> None:
    """Answer requests until standard input ends."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as replies:
        os.dup2(2, 1)
        for line in sys.stdin:
            print(json.dumps(_answer(json.loads(line))), file=replies, flush=True)


def _answer(request: dict[str, dict[str, Any]]) -> Any:
    ((name, given),) = request.items()
    match name:
        case "preload":
            return _preload(**given)
        case "probe":
            return _in_child(lambda: _probe(**given))
        case "baseline":
            return _in_child(lambda: _measure(**given))
        case "try":
            with _mutated(Path(given["path"]), given["source"]):
                return _in_child(lambda: _try(given["limits"]))
    raise ValueError(name)


def _preload(modules: list[str]) -> None:
    os.environ.update(_OFFLINE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            with suppress(Exception):  # some are made by their package, and not to be found without it
                importlib.import_module(name)
    for name in _OFFLINE:
        del os.environ[name]
    gc.collect()
    gc.freeze()


@contextmanager
def _mutated(path: Path, source: str) -> Generator[None]:
    """Put a text into a module for a while; afterwards its byte code is valid again."""
    before, status = path.read_bytes(), path.stat()
    path.write_text(source, encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _in_child(run: Callable[[], Any]) -> Any:
    """Return what a function returns in a forked process; None when the process died of it."""
    result, started, parent = Path("..", _RESULT), time.monotonic(), os.getppid()
    result.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _become_child()
        try:
            result.write_text(json.dumps(run()), encoding="utf-8")
        finally:
            os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() - started > _CHILD_LIMIT_S or _memory_of(child) > _MEMORY_LIMIT_BYTES:
            os.killpg(child, signal.SIGKILL)
        if os.getppid() != parent:  # the result is not awaited any more
            os.killpg(child, signal.SIGKILL)
            sys.exit(1)
        time.sleep(_POLL_S)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what its tests have started and not ended
    return json.loads(result.read_text(encoding="utf-8")) if result.exists() else None


def _become_child() -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in the background
    with open(os.devnull) as nothing, open(Path("..", _LOG), "w") as log:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from hypothesis import Phase, settings

    # The same examples each time, none kept for the next mutant, and no time spent to make a failure small.
    settings.register_profile("mutants", database=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("mutants")


def _memory_of(process: int) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _probe(tests: list[str]) -> dict[str, Any]:
    """Run the first test of each file, and note which libraries that takes."""
    code = pytest.main([*_OPTIONS, *tests], [_FirstOfEach()])
    modules = [name for name in sys.modules if name.partition(".")[0] not in _NOT_PRELOADED]
    return {"code": int(code), "modules": modules}


class _Quiet:
    """A plugin that ignores warnings of litellm's own code.

    Imported ahead, it makes its models within a test, whose warnings are errors.
    """

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("filterwarnings", "ignore:Item .* on TypedDict class:UserWarning")
        config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:litellm")


class _FirstOfEach(_Quiet):
    """A plugin that leaves out all but the first test of each file."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = {item.path: item for item in reversed(items)}.values()


def _measure(sources: list[str], tests: list[str]) -> dict[str, Any]:
    """Run the tests of a part as they are, and note what each takes and which lines of the sources it runs."""
    import coverage

    files = [str(Path(path).resolve()) for path in sources]
    watched = coverage.Coverage(data_file=None, config_file=False, include=files)
    watched.start()
    for path in sources:  # so that what a module runs at its import belongs to no test
        importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    recorder = _Recorder(watched)
    code = pytest.main([*_OPTIONS, *tests], [recorder])
    watched.stop()
    data = watched.get_data()
    number_of = {name: number for number, name in enumerate(data.measured_contexts())}
    return {
        "code": int(code),
        "failed": recorder.failed,
        "seconds": recorder.seconds,
        "tests": list(number_of),
        "lines": {
            path: {
                line: [number_of[name] for name in names]
                for line, names in data.contexts_by_lineno(str(Path(path).resolve())).items()
            }
            for path in sources
        },
    }


class _Recorder(_Quiet):
    """A plugin that takes the time of each test, and gives coverage the test that runs."""

    def __init__(self, watched: Any) -> None:
        self._watched = watched
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._watched.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._watched.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
        if report.when == "call" and report.passed:  # the fixtures of the session would count for the first alone
            self.seconds[report.nodeid] = report.duration


def _try(limits: dict[str, float]) -> dict[str, Any]:
    """Run tests in the order given, each within its limit, until one fails."""
    faulthandler.dump_traceback_later(_START_LIMIT_S, exit=True)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    chosen = _Chosen(limits)
    files = dict.fromkeys(name.partition("::")[0] for name in limits)
    code = pytest.main([*_OPTIONS, "--exitfirst", *files], [chosen])
    return {"code": int(code), "noticed_by": chosen.failed, "ran": chosen.ran}


class _Chosen(_Quiet):
    """A plugin that runs the tests it is given, in their order, and ends the process when one takes too long."""

    def __init__(self, limits: dict[str, float]) -> None:
        self._limits = limits
        self.failed: str | None = None
        self.ran = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_id = {item.nodeid: item for item in items}
        items[:] = [by_id[name] for name in self._limits if name in by_id]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        faulthandler.dump_traceback_later(self._limits[item.nodeid], exit=True)
        self.ran += 1
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid


if __name__ == "__main__":
    main()
