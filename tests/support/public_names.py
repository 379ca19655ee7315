"""The public names of the package and of the modules that users import from."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import Any

from asyncllm import AsyncLLMError

PUBLIC_MODULES = [
    "asyncllm",
    "asyncllm.web",
    "asyncllm.testing",
    "asyncllm.telemetry",
    "asyncllm.simulator",
    "asyncllm.distributed",
    "asyncllm.frames",
]


def resolved(name: str) -> Any:
    """Return what a dotted name stands for."""
    parts = name.split(".")
    found: Any = import_module(parts[0])
    for number, part in enumerate(parts[1:], start=1):
        # Where a function has the name of its module, the entry goes on from the module.
        inside = getattr(found, part, None) or getattr(sys.modules.get(".".join(parts[:number])), part, None)
        found = inside or import_module(".".join(parts[: number + 1]))
    return found


def public_names() -> dict[str, Any]:
    """Return the public names, each by the first module that has it; modules among them are left out."""
    names: dict[str, Any] = {}
    for module in PUBLIC_MODULES:
        for name in import_module(module).__all__:
            found = resolved(f"{module}.{name}")
            if not inspect.ismodule(found) and not any(found is other for other in names.values()):
                names[f"{module}.{name}"] = found
    return names


def is_error(found: object) -> bool:
    """Return whether it is a class of error of a call."""
    return inspect.isclass(found) and issubclass(found, AsyncLLMError)
