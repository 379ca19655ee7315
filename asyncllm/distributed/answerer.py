"""Answers for the rows of Ray datasets, by workers that each run one client."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from ..errors import ConfigError
from ..parameters import CallOptions
from .row_requests import RowPrompt
from .worker_settings import WorkerSettings

if TYPE_CHECKING:
    from ray.data import Dataset

    from .limiter import SharedLimiter
    from .row_stream import RowStream

# Rows that Ray hands over at once. A worker takes several such batches at a time, so that calls overlap over them.
_BATCH_ROWS = 256
# Blocks that a worker works on at once: while the last rows of one are waited for, those of the others are sent.
_BLOCKS_AT_ONCE = 4
# Of a core. A worker waits for the network most of the time, and reading and writing need cores too.
_CPUS = 0.5


class Answerer:
    """Adds the columns of answers to batches of rows; a callable class for `Dataset.map_batches`.

    A worker runs one client on an event loop of its own, in which the rows of all its batches are in flight together. A
    row that fails has its error in the column `error`, and ends nothing. The columns are `answer`, `ok`, `error`,
    `finish_reason`, `model`, `input_tokens`, `output_tokens` and `cost_usd`; one that the rows have already is added as
    `asyncllm_NAME`. Typed answers are structs.

    Args:
        template: The prompt, with `{column}` for the value of a column; `{{` is a brace.
        messages: Instead of a template, the column with the messages: a text, or a list of chat-completions dicts.
        system: Instructions that come first, of a template.
        image: The column with the path or address of a picture, or its bytes, of a template.
        id: The column with the ids of the rows.
        profile: The name of a profile. Each worker loads it on the machine that it runs on.
        config: The path of config.toml on those machines; None for the one that a client finds there by itself.
        options: Fields of the profile, over those of the file. Keys are refused: they would stand in Ray's store.
        response_model: The type of the answers; None for texts.
        max_concurrency: The most that a worker has in flight; by default that of the profile.
        results: A folder of answers, as a path that all machines have or a URL of fsspec's: what is in it is not sent
            again.
        run_id: The name of the run within that folder.
        execution: Identifies the execution of the run; `answer` gives each its own.
        limiter: Shares rates, cooldowns and the budget over workers where the profile has no `limits_url`: what
            `shared_limiter()` returns. None leaves each worker its own.
        **params: Parameters of every request, as for `acompletion`.

    Raises:
        ConfigError: The arguments do not fit together, or a secret is among them.

    Example:
        ```python
        import ray
        from ray.data import ActorPoolStrategy
        from asyncllm.distributed import Answerer

        rows = ray.data.from_items([{"text": "It arrived late."}, {"text": "It works well."}])
        arguments = {"template": "Positive or negative? {text}", "profile": "fast"}
        out = rows.map_batches(Answerer, fn_constructor_kwargs=arguments, compute=ActorPoolStrategy(size=2))
        ```
    """

    def __init__(
        self,
        *,
        template: str | None = None,
        messages: str | None = None,
        system: str | None = None,
        image: str | None = None,
        id: str | None = None,
        profile: str | None = None,
        config: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
        response_model: Any = None,
        max_concurrency: int | None = None,
        results: str | Path | None = None,
        run_id: str | None = None,
        execution: str | None = None,
        limiter: SharedLimiter | None = None,
        **params: Unpack[CallOptions],
    ) -> None:
        self._prompt = RowPrompt(template, messages, system, image, id)
        self._settings = WorkerSettings(
            profile,
            None if config is None else str(config),
            options or {},
            params,
            response_model,
            max_concurrency,
            None if results is None else str(results),
            run_id,
            execution,
            limiter,
        )
        self._stream: RowStream | None = None

    async def __call__(self, batch: Any) -> Any:
        """Return a batch, as an Arrow table, with the columns of its answers.

        Args:
            batch: A batch of Ray Data in any of its formats.
        """
        from .outcome_columns import as_table, rows_of, with_outcomes

        table = as_table(batch)
        if self._stream is None:
            self._prompt.check(table.column_names)
            self._start()
        assert self._stream is not None
        answered = await self._stream.answer(self._prompt.requests(rows_of(table)))
        return with_outcomes(table, answered.results, self._answers)

    def close(self) -> None:
        """End the client of this worker; rows in flight are cancelled. Ray ends workers by ending their processes."""
        if self._stream is not None:
            self._stream.close()

    def _start(self) -> None:
        from .arrow_shapes import StructAnswers
        from .row_stream import RowStream

        model = self._settings.response_model
        self._answers = None if model is None else StructAnswers(model)
        self._stream = RowStream(self._settings, self._answers)


def answer(
    dataset: Dataset,
    *,
    template: str | None = None,
    messages: str | None = None,
    system: str | None = None,
    image: str | None = None,
    id: str | None = None,
    profile: str | None = None,
    config: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    response_model: Any = None,
    workers: int = 1,
    cpus_per_worker: float = _CPUS,
    batch_size: int = _BATCH_ROWS,
    max_concurrency: int | None = None,
    budget_usd: float | None = None,
    results: str | Path | None = None,
    run_id: str | None = None,
    **params: Unpack[CallOptions],
) -> Dataset:
    """Return a lazy dataset with the columns of answers for the rows of another.

    Args:
        dataset: The rows. Blocks are the unit of work: one of a few thousand rows keeps all workers busy to the end,
            which `dataset.repartition(target_num_rows_per_block=2000)` makes of larger ones.
        template: As for `Answerer`, and so for the rest but:
        workers: The number of worker processes.
        cpus_per_worker: The cores that Ray sets aside for each.
        batch_size: The rows that Ray hands to a worker at once.
        budget_usd: What all workers may spend together, all executions of the run with what is sealed of them.

    Rates, cooldowns and the budget hold over all workers: by the profile's `limits_url`, else by an actor.

    Raises:
        ConfigError: The arguments do not fit together, a column is missing, a secret is among them, or Ray is not
            installed.

    Example:
        ```python
        import ray
        from asyncllm.distributed import answer

        rows = ray.data.from_items([{"text": "It arrived late."}, {"text": "It works well."}])
        out = answer(rows, template="Positive or negative? {text}", profile="fast", workers=2)
        print(out.take_all())
        ```
    """
    strategy = worker_pool(workers)
    prompt = RowPrompt(template, messages, system, image, id)
    schema = dataset.schema(fetch_if_missing=False)
    if schema is not None:
        prompt.check(schema.names)
    arguments: dict[str, Any] = {
        "template": template,
        "messages": messages,
        "system": system,
        "image": image,
        "id": id,
        "profile": profile,
        "config": config,
        "options": options,
        "response_model": response_model,
        "max_concurrency": max_concurrency,
        "results": results,
        "run_id": run_id,
        **params,
    }
    Answerer(**arguments)  # raises here what each worker would
    if budget_usd is not None:
        arguments["options"] = {**(options or {}), "budget_usd": left_of_budget(budget_usd, results, run_id)}
    arguments["execution"] = uuid.uuid4().hex if results is not None else None
    from .limiter import shared_limiter

    arguments["limiter"] = shared_limiter()
    rows: Any = dataset  # the types of its methods are incomplete
    answered: Dataset = rows.map_batches(
        Answerer,
        fn_constructor_kwargs=arguments,
        compute=strategy,
        batch_size=batch_size,
        batch_format="pyarrow",
        num_cpus=cpus_per_worker,
    )
    return answered


def worker_pool(workers: int) -> Any:
    """Return the workers as Ray Data has them."""
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, not {workers}.")
    from .packages import ray_module

    return ray_module().data.ActorPoolStrategy(
        size=workers, max_concurrent_calls_per_actor=_BLOCKS_AT_ONCE, max_tasks_in_flight_per_actor=_BLOCKS_AT_ONCE + 1
    )


def left_of_budget(budget_usd: float, results: str | Path | None, run_id: str | None) -> float:
    """Return what earlier executions of a run have left of its budget.

    Raises:
        ConfigError: They have spent it.
    """
    if budget_usd <= 0:
        raise ConfigError(f"the budget must be more than 0 US dollars, not {budget_usd:g}.")
    if results is None or run_id is None:
        return budget_usd
    from .results_folder import ResultsFolder

    spent_usd = ResultsFolder(str(results), run_id).load()
    if spent_usd >= budget_usd:
        raise ConfigError(
            f"earlier executions have spent ${spent_usd:.6g}, and the budget is ${budget_usd:.6g}.",
            hint="Raise the budget.",
        )
    return budget_usd - spent_usd
