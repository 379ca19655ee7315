"""The built site, once for a whole run of the tests and all of its workers; and the directory of a reader."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncllm import telemetry

if TYPE_CHECKING:
    from asyncllm.simulator import Simulator

ROOT = Path(__file__).parents[2]

# The profiles that a page may use without showing a configuration of its own.
CONFIG = """
[llm]
model = "simulated/demo"

[llm.fast]

[llm.backup]
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built strictly: a warning is an error."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "site"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "llms.txt").exists():  # written last
            build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
            environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
            built = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture
def readers_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator, secret_key: str
) -> Iterator[Path]:
    """A working directory as a reader has it; the simulator stands behind the providers that pages name."""
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for provider, endpoint in {"OPENAI": simulator.url, "ANTHROPIC": simulator.root_url}.items():
        monkeypatch.setenv(f"{provider}_API_KEY", secret_key)
        monkeypatch.setenv(f"{provider}_API_BASE", endpoint)
        monkeypatch.setenv(f"{provider}_BASE_URL", endpoint)
    yield tmp_path
    telemetry.uninstrument()  # which a page may have switched on for its process
