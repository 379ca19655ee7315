"""The error for a missing optional package."""

from __future__ import annotations

from .errors import ConfigError


def not_installed(what: str, extra: str, instead: str = "") -> ConfigError:
    """Return the error for an optional package that is not installed.

    Args:
        what: The subject and its verb, such as "Parquet files need".
        extra: The extra that installs it.
        instead: An alternative, appended to the hint.
    """
    return ConfigError(
        f"{what} a package that is not installed.", hint=f'Install it: pip install "asyncllm[{extra}]"{instead}.'
    )
