"""Starlette and FastAPI: the life of a client, errors as problem details, answers as streamed responses.

    app = FastAPI(lifespan=web.lifespan(llm))
    web.add_error_handlers(app)
    return web.stream_response(llm.stream(messages), protocol="openai")

The rest of the package imports nothing of it.
"""

from __future__ import annotations

from ..errors import not_installed

try:
    import starlette as _starlette  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ImportError:
    raise not_installed("asyncllm.web needs", "web") from None

from .chat_messages import ChatMessages
from .lifespan import lifespan
from .problems import ProblemDetails, add_error_handlers, problem_of
from .request_deadline import request_deadline
from .streaming import StreamProtocol, stream_response

__all__ = [
    "ChatMessages",
    "ProblemDetails",
    "StreamProtocol",
    "add_error_handlers",
    "lifespan",
    "problem_of",
    "request_deadline",
    "stream_response",
]
