"""The packages of the extra `ray` that have no types or incomplete ones, each imported here alone."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..errors import not_installed

try:
    import fsspec  # pyright: ignore[reportMissingTypeStubs]
    import pyarrow  # pyright: ignore[reportMissingTypeStubs]
    import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]
except ImportError:
    raise not_installed("batches over many machines need", "ray") from None


def ray_module() -> Any:
    """Return Ray, with `ray.data` imported.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import ray
        import ray.data  # pyright: ignore[reportUnusedImport]  # an attribute of it
    except ImportError:
        raise not_installed("batches over many machines need", "ray") from None
    return ray


arrow: ModuleType = pyarrow
parquet: ModuleType = pyarrow.parquet
storages: ModuleType = fsspec
