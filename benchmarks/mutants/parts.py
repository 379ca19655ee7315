"""The parts that are mutated, and the tests that answer for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Part:
    """Sources and the tests that answer for them.

    Attributes:
        sources: Modules, and folders of modules, relative to the root of the checkout.
        tests: Test files and folders, relative to the root of the checkout.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]

    def modules(self) -> list[str]:
        """Return the paths of the modules, relative to the root, in order.

        Raises:
            FileNotFoundError: A source or a test of the part does not exist.
        """
        missing = [name for name in (*self.sources, *self.tests) if not (ROOT / name).exists()]
        if missing:
            raise FileNotFoundError(f"named in {Path(__file__).name}, and not there: {', '.join(missing)}")
        return [path.relative_to(ROOT).as_posix() for name in self.sources for path in _modules_at(ROOT / name)]


PARTS: dict[str, Part] = {
    "messages": Part(
        ("asyncllm/messages.py", "asyncllm/content.py"),
        ("tests/messages", "tests/pipeline"),
    ),
    "parameters": Part(
        ("asyncllm/parameters.py",), ("tests/test_parameters.py", "tests/test_parameter_rules.py", "tests/client")
    ),
    "retry": Part(
        (
            "asyncllm/pipeline/retry.py",
            "asyncllm/pipeline/deadline.py",
            "asyncllm/pipeline/fallback.py",
            "asyncllm/pipeline/circuit_breaker.py",
        ),
        ("tests/pipeline",),
    ),
    "config": Part(("asyncllm/config",), ("tests/config",)),
    "limits": Part(("asyncllm/limits",), ("tests/limits", "tests/pipeline")),
    "schema": Part(("asyncllm/structured/schema",), ("tests/structured",)),
    "journal": Part(("asyncllm/batch/journal",), ("tests/batch",)),
}


def _modules_at(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from sorted(path.rglob("*.py"))
