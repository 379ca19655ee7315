"""Recipes, run with the simulator as the provider of every model that they name."""

from __future__ import annotations

import importlib.util
import io
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncllm.simulator import Simulator

RECIPES = Path(__file__).parents[3] / "examples" / "recipes"

Run = Callable[..., int]
Load = Callable[[str], dict[str, Any]]


@pytest.fixture(autouse=True)
def readers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str
) -> Simulator:
    """An empty working directory, and an environment that leads to the simulator."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLM_MODEL", "openai/gpt-4o-mini")
    monkeypatch.setenv("LLM_BASE_URL", simulator.url)
    monkeypatch.setenv("LLM_API_KEY", secret_key)
    monkeypatch.setenv("LLM_RETRY_MIN_WAIT", "0.001")
    monkeypatch.setenv("LLM_RETRY_MAX_WAIT", "0.002")
    return simulator


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a recipe as the main module, with arguments and stdin, and return its exit code."""

    def run(name: str, *arguments: str, stdin: str = "") -> int:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            runpy.run_path(str(RECIPES / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a recipe as a module, and return its names."""

    def load(name: str) -> dict[str, Any]:
        spec = importlib.util.spec_from_file_location(f"recipes_{name}", RECIPES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return vars(module)

    return load
