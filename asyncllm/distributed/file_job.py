"""A job over files: read, answered and written by Ray, with its progress."""

from __future__ import annotations

import logging
import os
import pickle
import threading
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..batch.files import AnswerSchema, FileInput, Layout
from ..batch.prompts import OpenAIRows, Prompt
from ..errors import ConfigError
from .answerer import worker_pool
from .file_rows import FileAnswerer, PartSummary, read_rows, write_part
from .limiter import shared_limiter
from .packages import ray_module
from .progress_board import ProgressBoard, Totals
from .worker_settings import WorkerSettings

# Rows of a block: the unit of work, and of the output.
_BLOCK_ROWS = 2000
_BATCH_ROWS = 256
# A task hands its rows on when they take this much, so that answering begins while a file is read.
_BLOCK_BYTES = 8 * 1024 * 1024
# Of Ray on this machine: blocks in flight take little.
_STORE_BYTES = 256 * 1024 * 1024
_REPORT_S = 1.0
# Of the command and of the Ray that it starts, where the user has not set them: no figures of its use are sent home,
# and stderr is the command's own.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
}
# Cores that Ray counts besides those of the workers, for tasks that read and write.
_TASK_CPUS = 2


@dataclass(frozen=True, slots=True)
class FileJob:
    """A job over files.

    Attributes:
        requests: Builds the request of a row.
        answers: The type of the answers; None for texts.
        parts: The folder that the parts are written to; of this execution alone.
        columns: The columns of the input that are kept; None for all.
        workers: The number of worker processes.
    """

    files: Sequence[FileInput]
    requests: Prompt | OpenAIRows
    settings: WorkerSettings
    answers: AnswerSchema | None
    layout: Layout
    parts: Path
    columns: Sequence[str] | None
    workers: int

    def run(self, show: Callable[[Totals], object]) -> Iterator[PartSummary]:
        """Run the job in the Ray that is connected, and yield the parts as they are written.

        Args:
            show: Called about once a second with the progress of all workers, on another thread.

        Raises:
            AsyncLLMError: The error that ended it.
        """
        ray = ray_module()
        board = ray.remote(num_cpus=0)(ProgressBoard).remote()
        ended = threading.Event()

        def poll() -> None:
            while not ended.wait(_REPORT_S):
                show(ray.get(board.totals.remote()))

        poller = threading.Thread(target=poll, name="asyncllm-progress", daemon=True)
        poller.start()
        try:
            for batch in self._parts(board).iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
                yield from map(pickle.loads, batch["summary"])
        except Exception as error:
            failure: Exception | None = ray.get(board.failure.remote())
            raise (failure or error) from None
        finally:
            ended.set()
            poller.join()

    def _parts(self, board: Any) -> Any:
        ray = ray_module()
        context = ray.data.DataContext.get_current()
        context.target_max_block_size = _BLOCK_BYTES
        context.enable_progress_bars = False
        settings = replace(self.settings, execution=uuid.uuid4().hex, limiter=shared_limiter())
        numbers = ray.data.from_items([{"file": n} for n in range(len(self.files))])
        rows = numbers.map_batches(read_rows, batch_size=1, fn_kwargs={"files": self.files})
        answered = rows.repartition(target_num_rows_per_block=_BLOCK_ROWS).map_batches(
            FileAnswerer,
            fn_constructor_args=(self.requests, settings, self.answers, board, self.files),
            compute=worker_pool(self.workers),
            batch_size=_BATCH_ROWS,
            num_cpus=1,
        )
        written = {"folder": str(self.parts), "layout": self.layout, "columns": self.columns}
        return answered.map_batches(write_part, batch_size=None, fn_kwargs=written)


@contextmanager
def ray_connected(address: str | None, workers: int) -> Generator[None]:
    """Connect to a Ray, or start one on this machine; its processes inherit the environment, and with it the keys.

    Args:
        address: The address of a cluster; None starts a Ray that ends with the block.
        workers: The number of worker processes that it will have.

    Raises:
        ConfigError: There is none at that address, or Ray is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    ray = ray_module()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        if address is None:
            own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES, "num_cpus": workers + _TASK_CPUS}
            ray.init("local", **own, **quiet)
        else:
            ray.init(address, **quiet)
    except ConnectionError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ConfigError(f"there is no Ray at {address!r}: {reason}.", hint="`ray status` shows one.") from None
    try:
        yield
    finally:
        ray.shutdown()
