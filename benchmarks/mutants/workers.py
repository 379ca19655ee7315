"""Servers in copies of the checkout: nothing that is measured or tried in them touches the checkout itself."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .parts import ROOT, Part

CACHE = ROOT / ".cache" / "mutants"
# No test of a part needs these, and they make the copies large.
_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "site", "dist", "out", "*.egg-info")
# pytest's codes: all tests passed, some failed, there was none to run.
_PASSED, _FAILED, _NONE = 0, 1, 5


@dataclass(frozen=True, slots=True)
class Baseline:
    """The tests of a part on the code as it is.

    Attributes:
        seconds: What each test takes, by its id.
        tests_of_lines: For each module the ids of the tests that run a line, by its number; an empty id is its import.
    """

    seconds: dict[str, float]
    tests_of_lines: dict[str, dict[int, list[str]]]


@dataclass(frozen=True, slots=True)
class Trial:
    """What the tests made of a mutant.

    Attributes:
        is_killed: Whether they noticed it.
        noticed_by: The first test that failed; None when an import failed, or the process died or was too slow.
    """

    is_killed: bool
    noticed_by: str | None = None


class Worker:
    """A copy of the checkout with a server in it; use it in `with`.

    Args:
        number: Counts the copies.
    """

    def __init__(self, number: int) -> None:
        self._home = CACHE / f"worker-{number}"
        shutil.rmtree(self._home, ignore_errors=True)
        copy = self._home / "checkout"
        shutil.copytree(ROOT, copy, ignore=_NOT_COPIED)
        # Outside of the checkout: tests of finding the configuration need a folder that is in no project.
        self._temporary = tempfile.TemporaryDirectory(prefix="asyncllm-mutants-")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.mutants.server"],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "TMPDIR": self._temporary.name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()
        self._temporary.cleanup()

    def preload(self, modules: list[str]) -> None:
        """Import libraries ahead of all later runs."""
        self._ask({"preload": {"modules": modules}})

    def probe(self, tests: Sequence[str]) -> list[str]:
        """Return the libraries that some tests import."""
        return list(self._kept("probe", {"tests": tests})["modules"])

    def baseline(self, part: Part) -> Baseline:
        """Run the tests of a part on the code as it is; those that fail are left out, and named."""
        found = self._kept("baseline", {"sources": part.modules(), "tests": part.tests})
        for name in found["failed"]:
            print(f"left out, because it fails without any mutant: {name}", file=sys.stderr, flush=True)
        ids = found["tests"]
        return Baseline(
            found["seconds"],
            {
                path: {int(line): [ids[number] for number in numbers] for line, numbers in lines.items()}
                for path, lines in found["lines"].items()
            },
        )

    def try_source(self, path: str, source: str, limits: dict[str, float]) -> Trial:
        """Run tests, in order and each within its limit in seconds, with another text in a module."""
        found = self._ask({"try": {"path": path, "source": source, "limits": limits}})
        if found is None:
            return Trial(is_killed=True)
        return Trial(found["code"] not in (_PASSED, _NONE), found["noticed_by"])

    def _kept(self, name: str, request: dict[str, Any]) -> Any:
        """Ask about the code as it is; the last answer stands while no file has changed.

        Raises:
            RuntimeError: The tests cannot be run.
        """
        kept = CACHE / f"{name}-{_fingerprint(request)}.json"
        if kept.exists():
            return json.loads(kept.read_text(encoding="utf-8"))
        found = self._ask({name: request})
        if found is None or found["code"] not in (_PASSED, _FAILED):
            raise RuntimeError(f"the tests do not run on the code as it is; see {self._home / 'tests.log'}")
        kept.write_text(json.dumps(found), encoding="utf-8")
        return found

    def _ask(self, request: dict[str, dict[str, Any]]) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(request), file=self._server.stdin, flush=True)
        reply = self._server.stdout.readline()
        if not reply:
            raise RuntimeError("the server of a worker has ended; its error is above")
        return json.loads(reply)


def _fingerprint(request: dict[str, Any]) -> str:
    digest = hashlib.sha256(repr((sys.version, request)).encode())
    code = sorted(path for folder in ("asyncllm", "tests") for path in (ROOT / folder).rglob("*.py"))
    for path in (*code, ROOT / "pyproject.toml", ROOT / "constraints.txt", Path(__file__).with_name("server.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
