"""What an optional package that is missing says."""

from __future__ import annotations

from .errors import ConfigError


def not_installed(what: str, extra: str, instead: str = "") -> ConfigError:
    """Make the error of a package that is not installed.

    Args:
        what: What needs it.
        extra: The extra that brings it.
        instead: What can be done without it.
    """
    return ConfigError(
        f"{what} a package that is not installed.", hint=f'Install it: pip install "asyncllm[{extra}]"{instead}.'
    )
