"""Batches over many machines: the rows of Ray datasets, answered by workers that each run one client.

out = answer(ray.data.read_parquet("s3://in/"), template="Summarise: {text}", profile="fast", workers=8)
out.write_parquet("s3://out/")

Ray moves the rows and restarts workers. `ray`, `pyarrow` and `fsspec` are imported on first use.
"""

from __future__ import annotations

from .answerer import Answerer, answer
from .limiter import SharedLimiter, shared_limiter

__all__ = ["Answerer", "SharedLimiter", "answer", "shared_limiter"]
