"""LLM, the blocking client: `AsyncLLM`, one call at a time. Every body is one line; the logic is in `client`."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from ..client import AsyncLLM, Stats
from ..structured import choose_mode
from .jobs import BlockingJob
from .loop_thread import ThreadLoop
from .streams import BlockingItems, BlockingOutcomes, BlockingPartials, BlockingStream

if TYPE_CHECKING:
    # Names for type checkers; nothing is imported.
    from instructor import Instructor  # noqa: TID251
    from typing_extensions import TypeForm

    from ..batch.deferred.job import DeferredJob
    from ..batch.input import Requests
    from ..batch.options import BatchOptions, DeferredOptions, JournalLike
    from ..batch.outcome import Outcome
    from ..completions.completion import Completion
    from ..completions.stream import OnInterrupt
    from ..config import LLMConfig
    from ..config.options import Options
    from ..messages import Messages
    from ..models import ModelInfo, TokenCount
    from ..parameters import CallOptions
    from ..structured import Check, Extraction, OnInvalid

T = TypeVar("T")


class LLM:
    """A blocking client: `AsyncLLM` on a thread of its own, which `with` keeps for its life.

    Without `with`, the thread starts with the first call and `close()` ends it. It works inside a running event loop as
    well, which it blocks like any blocking call.

    Args:
        profile: As for `AsyncLLM`.
        **options: As for `AsyncLLM`.

    Raises:
        ConfigError: The configuration is wrong or incomplete.

    Example:
        ```python
        with LLM("fast") as llm:
            print(llm.completion("Name a colour.").text)
            with llm.stream("Tell me a story.") as stream:
                for chunk in stream:
                    print(chunk.text, end="", flush=True)
        ```
    """

    def __init__(self, profile: str | LLMConfig | None = None, **options: Unpack[Options]) -> None:
        self._async = AsyncLLM(profile, **options)
        self._loop = ThreadLoop(self._async.aclose)

    def with_options(self, **options: Unpack[Options]) -> LLM:
        """Return a view of this client with other options; it shares connections, slots and limits.

        Args:
            **options: As for `AsyncLLM.with_options`.
        """
        view: LLM = object.__new__(type(self))
        view._async, view._loop = self._async.with_options(**options), self._loop
        return view

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and the thread of this client and its views. Closing twice is harmless."""
        self._loop.close()

    @overload
    def completion(
        self, messages: Messages, *, stream: Literal[False] = False, **params: Unpack[CallOptions]
    ) -> Completion: ...

    @overload
    def completion(
        self, messages: Messages, *, stream: Literal[True], **params: Unpack[CallOptions]
    ) -> BlockingStream: ...

    def completion(
        self, messages: Messages, *, stream: bool = False, **params: Unpack[CallOptions]
    ) -> Completion | BlockingStream:
        """Send messages and return the answer, or an open stream; as `AsyncLLM.acompletion`."""
        if stream:
            return self.stream(messages, **params).open()
        return self._loop.run(lambda: self._async.acompletion(messages, **params))

    def stream(
        self, messages: Messages, *, on_interrupt: OnInterrupt = "raise", **params: Unpack[CallOptions]
    ) -> BlockingStream:
        """Send messages and read the answer as it comes; as `AsyncLLM.stream`."""
        return BlockingStream(self._async.stream(messages, on_interrupt=on_interrupt, **params), self._loop)

    @overload
    def extract(
        self,
        response_model: TypeForm[T],
        messages: Messages,
        *,
        check: Check[T] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> T: ...

    @overload
    def extract(
        self,
        response_model: Mapping[str, object],
        messages: Messages,
        *,
        check: Check[Any] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Any: ...

    def extract(
        self,
        response_model: Any,
        messages: Messages,
        *,
        check: Check[Any] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Any:
        """Ask for a value of a type and return it; as `AsyncLLM.extract`."""
        return self._loop.run(
            lambda: self._async.extract(
                response_model, messages, check=check, validation_context=validation_context, **params
            )
        )

    @overload
    def extract_with_completion(
        self,
        response_model: TypeForm[T],
        messages: Messages,
        *,
        check: Check[T] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Extraction[T]: ...

    @overload
    def extract_with_completion(
        self,
        response_model: Mapping[str, object],
        messages: Messages,
        *,
        check: Check[Any] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Extraction[Any]: ...

    def extract_with_completion(
        self,
        response_model: Any,
        messages: Messages,
        *,
        check: Check[Any] | None = None,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> Extraction[Any]:
        """Ask for a value of a type and return it with its answers; as `AsyncLLM.extract_with_completion`."""
        return self._loop.run(
            lambda: self._async.extract_with_completion(
                response_model, messages, check=check, validation_context=validation_context, **params
            )
        )

    @overload
    def stream_partial(
        self,
        response_model: TypeForm[T],
        messages: Messages,
        *,
        min_interval: float = 0.0,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> BlockingPartials[T]: ...

    @overload
    def stream_partial(
        self,
        response_model: Mapping[str, object],
        messages: Messages,
        *,
        min_interval: float = 0.0,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> BlockingPartials[Any]: ...

    def stream_partial(
        self,
        response_model: Any,
        messages: Messages,
        *,
        min_interval: float = 0.0,
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> BlockingPartials[Any]:
        """Ask for a value of a type and yield it as it grows, in `with`; as `AsyncLLM.stream_partial`."""
        stream = self._async.stream_partial(
            response_model, messages, min_interval=min_interval, validation_context=validation_context, **params
        )
        return BlockingPartials(stream, self._loop)

    @overload
    def stream_items(
        self,
        response_model: TypeForm[T],
        messages: Messages,
        *,
        on_invalid: OnInvalid = "raise",
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> BlockingItems[T]: ...

    @overload
    def stream_items(
        self,
        response_model: Mapping[str, object],
        messages: Messages,
        *,
        on_invalid: OnInvalid = "raise",
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> BlockingItems[Any]: ...

    def stream_items(
        self,
        response_model: Any,
        messages: Messages,
        *,
        on_invalid: OnInvalid = "raise",
        validation_context: object = None,
        **params: Unpack[CallOptions],
    ) -> BlockingItems[Any]:
        """Ask for a list and yield each item when it is complete, in `with`; as `AsyncLLM.stream_items`."""
        stream = self._async.stream_items(
            response_model, messages, on_invalid=on_invalid, validation_context=validation_context, **params
        )
        return BlockingItems(stream, self._loop)

    def instructor(self) -> Instructor:
        """Return a blocking client of instructor's own whose requests go through this one."""
        from ..structured.instructor_client import blocking_instructor

        mode = self.config.structured_mode
        return blocking_instructor(
            self.completion, self.stream, choose_mode(self.model_info) if mode == "auto" else mode
        )

    @overload
    def gather(
        self, requests: Requests, *, response_model: TypeForm[T], **options: Unpack[BatchOptions]
    ) -> list[Outcome[T]]: ...

    @overload
    def gather(
        self, requests: Requests, *, response_model: Mapping[str, object] | None = None, **options: Unpack[BatchOptions]
    ) -> list[Outcome[Any]]: ...

    def gather(
        self, requests: Requests, *, response_model: Any = None, **options: Unpack[BatchOptions]
    ) -> list[Outcome[Any]]:
        """Send many requests and return their outcomes in input order; as `AsyncLLM.gather`."""
        return self._loop.run(lambda: self._async.gather(requests, response_model=response_model, **options))

    @overload
    def map(
        self,
        requests: Requests,
        *,
        ordered: bool = False,
        response_model: TypeForm[T],
        **options: Unpack[BatchOptions],
    ) -> BlockingOutcomes[T]: ...

    @overload
    def map(
        self,
        requests: Requests,
        *,
        ordered: bool = False,
        response_model: Mapping[str, object] | None = None,
        **options: Unpack[BatchOptions],
    ) -> BlockingOutcomes[Any]: ...

    def map(
        self,
        requests: Requests,
        *,
        ordered: bool = False,
        response_model: Any = None,
        **options: Unpack[BatchOptions],
    ) -> BlockingOutcomes[Any]:
        """Send many requests and yield their outcomes as they complete; as `AsyncLLM.map`, in `with`."""
        return BlockingOutcomes(
            lambda: self._async.map(requests, ordered=ordered, response_model=response_model, **options), self._loop
        )

    @overload
    def submit(
        self, requests: Requests, *, response_model: TypeForm[T], **options: Unpack[BatchOptions]
    ) -> BlockingJob[T]: ...

    @overload
    def submit(
        self, requests: Requests, *, response_model: Mapping[str, object] | None = None, **options: Unpack[BatchOptions]
    ) -> BlockingJob[Any]: ...

    def submit(
        self, requests: Requests, *, response_model: Any = None, **options: Unpack[BatchOptions]
    ) -> BlockingJob[Any]:
        """Send many requests by the provider's batch API; as `AsyncLLM.submit`."""
        job = self._loop.run(lambda: self._async.submit(requests, response_model=response_model, **options))
        return BlockingJob(job, self._loop)

    @overload
    def deferred(
        self,
        journal: JournalLike,
        *,
        batch: str | None = None,
        response_model: TypeForm[T],
        **options: Unpack[DeferredOptions],
    ) -> BlockingJob[T]: ...

    @overload
    def deferred(
        self,
        journal: JournalLike,
        *,
        batch: str | None = None,
        response_model: Mapping[str, object] | None = None,
        **options: Unpack[DeferredOptions],
    ) -> BlockingJob[Any]: ...

    def deferred(
        self,
        journal: JournalLike,
        *,
        batch: str | None = None,
        response_model: Any = None,
        **options: Unpack[DeferredOptions],
    ) -> BlockingJob[Any]:
        """Return the deferred job that a journal has; as `AsyncLLM.deferred`."""
        job: DeferredJob[Any] = self._async.deferred(journal, batch=batch, response_model=response_model, **options)
        return BlockingJob(job, self._loop)

    def warm_up(self) -> None:
        """Import and connect ahead of the first call, which would otherwise wait for it."""
        self._loop.run(self._async.warm_up)

    def count_tokens(self, messages: Messages) -> TokenCount:
        """Count the tokens of messages; as `AsyncLLM.count_tokens`."""
        return self._loop.run(lambda: self._async.count_tokens(messages))

    def stats(self) -> Stats:
        """Return the totals of this client and its views, and their present state."""
        return self._async.stats()

    @property
    def config(self) -> LLMConfig:
        """The profile."""
        return self._async.config

    @property
    def model_info(self) -> ModelInfo:
        """The properties of the model: its limits, abilities and prices."""
        return self._async.model_info

    def __repr__(self) -> str:
        return f"LLM({self.config!r})"
