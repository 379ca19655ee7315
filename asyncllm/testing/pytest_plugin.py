"""pytest's way to the simulator and to recordings: fixtures, the marker `asyncllm_recorded`, and an option.

It is loaded in every run of pytest where asyncllm is installed, and imports nothing until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..simulator import Simulator
    from .recordings import Recording

_FIXTURE = "asyncllm_recording"
_MARKER = "asyncllm_recorded"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the mode."""
    parser.getgroup("asyncllm").addoption(
        "--asyncllm-record",
        metavar="MODE",
        choices=("once", "none", "new", "all"),
        help="mode of all recordings of this run: once, none, new or all; instead of those of the markers",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(file=None, mode='once', timings=False): record the calls of asyncllm, or replay them; "
        "the file is cassettes/MODULE/TEST.jsonl beside the test",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Record or replay the calls of a marked test."""
    marker = item.get_closest_marker(_MARKER)
    if marker is None or _FIXTURE in getattr(item, "fixturenames", ()):
        return (yield)
    with _recorded(item, *marker.args, **marker.kwargs):
        return (yield)


@pytest.fixture
def asyncllm_recording(request: pytest.FixtureRequest) -> Generator[Recording]:
    """The recording of a test, which begins with its fixtures; file and mode are those of its marker, if it has one."""
    marker = request.node.get_closest_marker(_MARKER)
    args: tuple[Any, ...] = () if marker is None else marker.args
    options: Mapping[str, Any] = {} if marker is None else marker.kwargs
    with _recorded(request.node, *args, **options) as recording:
        yield recording


@pytest.fixture
def asyncllm_simulator(monkeypatch: pytest.MonkeyPatch) -> Generator[Simulator]:
    """A running simulator, which every profile of the configuration calls: those of clients made after it."""
    from ..config.profiles import load_profiles
    from ..config.sources import variables_prefix
    from .simulated import simulated_provider

    with simulated_provider() as provider:
        values = {"MODEL": "openai/simulated", "BASE_URL": provider.url, "API_KEY": "any"}
        for profile in {"default", *load_profiles().names}:
            for field, value in values.items():
                monkeypatch.setenv(variables_prefix(profile) + field, value)
        yield provider


def _recorded(
    item: pytest.Item, file: str | None = None, mode: str = "once", *, timings: bool = False
) -> AbstractContextManager[Recording]:
    from .recordings import Recording, recording_calls

    name = file if file is not None else f"cassettes/{item.path.stem}/{item.name}.jsonl"
    wanted: Any = item.config.getoption("--asyncllm-record") or mode
    option = "pytest --asyncllm-record={}"
    return recording_calls(Recording(Path(item.path.parent, name), wanted, timings=timings, option=option))
