"""Installs the tests' network guard in every Python process that a test starts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# Under its own name, so that a test process started by another one, as by xdist, finds the guard that it already has.
_NAME = "tests.support.loopback"

_spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).parents[1] / "loopback.py")
assert _spec is not None
assert _spec.loader is not None
_loopback = importlib.util.module_from_spec(_spec)
sys.modules[_NAME] = _loopback
_spec.loader.exec_module(_loopback)
_loopback.install()
