"""A virtual environment of its own for every peer, so that each runs on the releases it asks for."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "bench"
_PINS = Path(__file__).resolve().parent / "peers"
# What decides how fast a peer is, beside itself.
_TELLING = (
    "aiohttp",
    "anthropic",
    "anyio",
    "google-genai",
    "httpx",
    "httpx2",
    "instructor",
    "langchain-core",
    "langchain-openai",
    "litellm",
    "openai",
    "pydantic",
    "pydantic-ai-slim",
    "pydantic-core",
    "trio",
    "uvloop",
)
# Variables that peers read.
_OF_PEERS = ("LLM_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "LITELLM_", "LANGCHAIN_", "LANGSMITH_")
_VERSIONS = """
import importlib.metadata as m, json, sys
print(json.dumps({d.name.lower().replace("_", "-"): d.version for d in m.distributions() if d.name}))
"""


def python_of(environment: str | None) -> str:
    """Return the interpreter of an environment; None is the one that asyncllm itself is installed in."""
    return sys.executable if environment is None else str(CACHE / environment / "bin" / "python")


def install(environment: str) -> None:
    """Make an environment from its pins; one that was made from the same pins is used again.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why on stderr.
    """
    pins = _PINS / f"{environment}.txt"
    home = CACHE / environment
    stamp = home / "installed"
    wanted = f"{hashlib.sha256(pins.read_bytes()).hexdigest()} {sys.version}"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing {environment} into {home.relative_to(ROOT)}", file=sys.stderr, flush=True)
    venv.create(home, clear=True, with_pip=True)
    # Twice quiet: warnings of the machine's pip configuration are none of ours; errors stay.
    quiet = ("--quiet", "--quiet", "--no-input", "--disable-pip-version-check")
    command = (python_of(environment), "-m", "pip", *quiet, "install", "--progress-bar", "off", "--requirement", pins)
    subprocess.run(command, check=True, env=clean_env())
    stamp.write_text(wanted)


def versions(environment: str | None) -> dict[str, str]:
    """Return the releases in an environment that bear on the figures."""
    command = (python_of(environment), "-c", _VERSIONS)
    found = json.loads(subprocess.run(command, check=True, capture_output=True, env=clean_env()).stdout)
    return {name: found[name] for name in _TELLING if name in found}


def clean_env(**more: str) -> dict[str, str]:
    """Return the environment of a process that is measured: nothing of the developer's that changes what it does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        # Without its byte code a package is compiled at every start.
        if name not in ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "ASYNCLLM_CONFIG")
        and not name.upper().startswith(_OF_PEERS)
        and not name.upper().endswith("_PROXY")
    }
    return {**kept, **more}
