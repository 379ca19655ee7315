"""The packages of the extra `ray` that have no types, each imported here alone."""

from __future__ import annotations

from types import ModuleType

from ..errors import not_installed

try:
    import fsspec  # pyright: ignore[reportMissingTypeStubs]
    import pyarrow  # pyright: ignore[reportMissingTypeStubs]
    import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]
except ImportError:
    raise not_installed("batches over many machines need", "ray") from None

arrow: ModuleType = pyarrow
parquet: ModuleType = pyarrow.parquet
storages: ModuleType = fsspec
