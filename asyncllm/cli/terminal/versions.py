"""The versions that `asyncllm --version` shows, as a report of a problem needs them."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from ... import __version__

# What decides how a call goes; a version of another library has not mattered yet.
_LIBRARIES = ("litellm", "aiohttp", "anyio", "pydantic", "instructor", "uvloop")


def describe_versions() -> str:
    """Return the version of asyncllm, and below it those of Python and of the libraries that matter."""
    system = f"{platform.system()} {platform.machine()}"
    lines = [f"{platform.python_implementation()} {platform.python_version()}, {system}"]
    lines += [f"{name} {_installed(name)}" for name in _LIBRARIES]
    return "\n".join([f"asyncllm {__version__}", *(f"  {line}" for line in lines)])


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
