"""asyncllm: an async-first SDK for language models.

The public names are loaded on first use: importing the package imports none of litellm, instructor, openai, aiohttp.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors as errors
    from . import frames as frames
    from . import testing as testing
    from .batch.engine import OutcomeStream as OutcomeStream
    from .batch.journal.entry import JournalEntry as JournalEntry
    from .batch.journal.journal import Journal as Journal
    from .batch.journal.journal import JournalSummary as JournalSummary
    from .batch.outcome import Outcome as Outcome
    from .batch.progress import Progress as Progress
    from .client import AsyncLLM as AsyncLLM
    from .client import Stats as Stats
    from .completions.call_record import Attempt as Attempt
    from .completions.call_record import CallRecord as CallRecord
    from .completions.chunk import Chunk as Chunk
    from .completions.completion import Completion as Completion
    from .completions.completion import ExtractionAttempt as ExtractionAttempt
    from .completions.stream import CompletionStream as CompletionStream
    from .completions.usage import Usage as Usage
    from .config import LLMConfig as LLMConfig
    from .config import load_config as load_config
    from .config import load_profiles as load_profiles
    from .content import File as File
    from .content import Image as Image
    from .content import Text as Text
    from .content import ToolCall as ToolCall
    from .errors import AsyncLLMError as AsyncLLMError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import BadRequestError as BadRequestError
    from .errors import BudgetExceededError as BudgetExceededError
    from .errors import ConfigError as ConfigError
    from .errors import ContentPolicyError as ContentPolicyError
    from .errors import ContextWindowExceededError as ContextWindowExceededError
    from .errors import DeadlineExceededError as DeadlineExceededError
    from .errors import ExtractionError as ExtractionError
    from .errors import IncompleteOutputError as IncompleteOutputError
    from .errors import JournalError as JournalError
    from .errors import MalformedResponseError as MalformedResponseError
    from .errors import NotCachedError as NotCachedError
    from .errors import NotFoundError as NotFoundError
    from .errors import OverloadedError as OverloadedError
    from .errors import PermissionDeniedError as PermissionDeniedError
    from .errors import ProviderConnectionError as ProviderConnectionError
    from .errors import ProviderError as ProviderError
    from .errors import ProviderTimeoutError as ProviderTimeoutError
    from .errors import QuotaExceededError as QuotaExceededError
    from .errors import RateLimitError as RateLimitError
    from .errors import RecordingError as RecordingError
    from .errors import RefusalError as RefusalError
    from .errors import RequestTooLargeError as RequestTooLargeError
    from .errors import ServerError as ServerError
    from .errors import StalledError as StalledError
    from .errors import StreamInterruptedError as StreamInterruptedError
    from .errors import UnsupportedError as UnsupportedError
    from .messages import Message as Message
    from .messages import Request as Request
    from .models import ModelInfo as ModelInfo
    from .models import Prices as Prices
    from .oneoff import acompletion as acompletion
    from .oneoff import aextract as aextract
    from .oneoff import agather as agather
    from .oneoff import completion as completion
    from .oneoff import extract as extract
    from .oneoff import gather as gather
    from .structured import Extraction as Extraction
    from .structured import ItemStream as ItemStream
    from .structured import PartialStream as PartialStream
    from .structured import Reask as Reask
    from .structured import SkippedItem as SkippedItem
    from .sync.client import LLM as LLM

__version__ = "0.1.0"

# The module of each public name; a test compares it with the imports above.
_MODULES = {
    "batch.engine": "OutcomeStream",
    "batch.journal.entry": "JournalEntry",
    "batch.journal.journal": "Journal JournalSummary",
    "batch.outcome": "Outcome",
    "batch.progress": "Progress",
    "client": "AsyncLLM Stats",
    "completions.call_record": "Attempt CallRecord",
    "completions.chunk": "Chunk",
    "completions.completion": "Completion ExtractionAttempt",
    "completions.stream": "CompletionStream",
    "completions.usage": "Usage",
    "config": "LLMConfig load_config load_profiles",
    "content": "File Image Text ToolCall",
    "errors": "AsyncLLMError AuthenticationError BadRequestError BudgetExceededError ConfigError ContentPolicyError "
    "ContextWindowExceededError DeadlineExceededError ExtractionError IncompleteOutputError JournalError "
    "MalformedResponseError NotCachedError NotFoundError OverloadedError PermissionDeniedError ProviderConnectionError "
    "ProviderError ProviderTimeoutError QuotaExceededError RateLimitError RecordingError "
    "RefusalError "
    "RequestTooLargeError ServerError StalledError StreamInterruptedError UnsupportedError",
    "messages": "Message Request",
    "models": "ModelInfo Prices",
    "oneoff": "acompletion aextract agather completion extract gather",
    "structured": "Extraction ItemStream PartialStream Reask SkippedItem",
    "sync.client": "LLM",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

_SUBMODULES = ("errors", "frames", "testing")

__all__ = [*_SUBMODULES, *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]  # checkers read the imports above


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
