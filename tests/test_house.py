"""Rules that hold for the repository as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.house import measure

ROOT = Path(__file__).parents[1]
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# What makes a file work on one machine only, or fetch from a place that the reader did not choose.
FOREIGN = {
    "a package index or its file host": re.compile(r"pypi\.org/simple|pythonhosted\.org"),
    "a download address": re.compile(r"https?://[^\s\"']+\.(?:whl|tar\.gz|tgz|zip)\b"),
    "a path of one machine": re.compile(r"(?<![\w.])/(?:work|farm|root|home/\w+|Users/\w+|tmp/\w+)/[a-z.]"),
}

# Distributions that are released together with a dependency and pinned by it.
PART_OF = {"pydantic_core": "pydantic", "referencing": "jsonschema"}

HEAVY = ("litellm", "instructor", "openai", "aiohttp")


def committed_files() -> list[Path]:
    """List what git has, or would have after `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def pins(name: str) -> dict[str, str]:
    """Read a lock file: the version of each requirement; where it depends on the platform, the one of this platform."""
    lines = re.findall(r"^(\S+==.*?)\s*\\$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    here = [pin for line in lines if (pin := Requirement(line)).marker is None or pin.marker.evaluate()]
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in here}


def test_no_file_names_an_index_or_a_machine() -> None:
    """A clone works anywhere: no index host, no download address, no path of somebody's machine."""
    found = []
    for path in committed_files():
        text = path.read_bytes().decode("utf-8", "replace")
        for what, pattern in FOREIGN.items():
            found += [f"{path.relative_to(ROOT)}: {what}: {match.group()}" for match in pattern.finditer(text)]
    assert found == []


def test_importing_the_package_imports_nothing_heavy() -> None:
    """`import asyncllm` costs no second and no loop: the heavy libraries wait until a call needs them."""
    code = f"import sys, asyncllm; print([name for name in {HEAVY} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("library", "home"),
    [
        ("litellm", "transports/litellm/transport.py"),
        ("instructor", "structured/prompting.py"),
        ("asyncio", "simulator/server/simulator.py"),
        ("aiohttp", "transports/wire/transport.py"),
    ],
)
def test_the_linter_keeps_heavy_libraries_in_their_place(library: str, home: str) -> None:
    """ruff refuses such an import in client.py, also inside a function, and allows it where it belongs."""

    def refused(module: str) -> bool:
        checked = subprocess.run(
            [sys.executable, "-m", "ruff", "check", "--select=TID251", "--stdin-filename", f"asyncllm/{module}", "-"],
            input=f"def run():\n    import {library}\n    return {library}\n",
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return "TID251" in checked.stdout

    assert refused("client.py")
    assert not refused(home)


def test_what_the_package_imports_it_depends_on() -> None:
    """Every third-party import of the library is a declared dependency, not a guest of another one's."""
    declared = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    for_developers = {"test", "lint", "docs", "build"}
    for extra in PROJECT["optional-dependencies"].keys() - for_developers:
        declared |= {canonicalize_name(Requirement(line).name) for line in PROJECT["optional-dependencies"][extra]}
    distributions = packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in sorted((ROOT / "asyncllm").rglob("*.py"))
        if path.name != "pytest_plugin.py"  # imported by pytest alone
        for module in imported_modules(path)
        if module not in sys.stdlib_module_names
        and module != "asyncllm"
        and PART_OF.get(module) not in declared
        and not declared & {canonicalize_name(name) for name in distributions.get(module, [module])}
    }
    assert undeclared == set()


def imported_modules(path: Path) -> set[str]:
    """Name the top-level packages that a file imports absolutely, wherever in it, except those it can do without."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    optional = {id(node) for attempt in ast.walk(tree) if survives_without(attempt) for node in ast.walk(attempt)}
    found = set()
    for node in ast.walk(tree):
        if id(node) in optional:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def survives_without(node: ast.AST) -> bool:
    """Return whether a statement goes on when an import in it fails."""
    caught = [handler.type for handler in node.handlers] if isinstance(node, ast.Try) else []
    return any(isinstance(error, ast.Name) and error.id in ("ImportError", "ModuleNotFoundError") for error in caught)


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8"])
def test_the_malicious_litellm_releases_are_excluded(version: str) -> None:
    """No resolver can pick one of the two releases that stole credentials."""
    litellm = next(Requirement(line) for line in PROJECT["dependencies"] if line.startswith("litellm"))
    assert not litellm.specifier.contains(version)
    assert litellm.specifier.contains(pins("constraints.txt")["litellm"])


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-run.txt"])
def test_every_pin_carries_hashes(name: str) -> None:
    """Each requirement of a lock file is one exact version with the hashes of its files."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
    assert starts
    for number in starts:
        assert "==" in lines[number]
        assert lines[number + 1].strip().startswith("--hash=sha256:")


def test_the_run_lock_is_part_of_the_whole() -> None:
    """`make demo` and `make test` run on the same versions, and every dependency is among them."""
    whole, run = pins("constraints.txt"), pins("constraints-run.txt")
    assert run.items() <= whole.items()
    assert {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]} <= run.keys()


def test_the_house_is_in_order() -> None:
    """Class names are unique, folders can be overlooked, and few functions and files are long."""
    figures = measure(ROOT / "asyncllm")
    assert figures.names_used_twice == {}
    crowded = {
        folder: count for folder, count in figures.modules.items() if count > (28 if folder == "asyncllm" else 16)
    }
    assert crowded == {}
    assert len(figures.long_functions) <= 5, figures.long_functions
    assert len(figures.long_files) <= 2, figures.long_files
    assert figures.share_of_any < 0.08
