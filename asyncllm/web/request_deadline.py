"""The deadline of a call from the header of a request."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.requests import Request

from .problems import BadHeaderError

_SECONDS = re.compile(r"(\d{1,8}(?:\.\d{1,9})?)(ms|s|m)?", re.ASCII)
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: at most eight digits, and a unit.
_GRPC = re.compile(r"(\d{1,8})([HMSmun])", re.ASCII)
_UNIT_S = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0}
_GRPC_UNIT_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def request_deadline(longest: float) -> Callable[[Request], float]:
    """Return a function that reads how many seconds the client of a request waits for its answer.

    It is a dependency for FastAPI, and works on any request: `deadline=read(request)`. The header is
    `X-Request-Timeout` (`30`, `1.5s`, `500ms`, `2m`) or gRPC's `grpc-timeout`; one that cannot be read is answered
    with 400: as problem details, with `add_error_handlers`.

    Args:
        longest: Seconds: the deadline without a header, and the most that a header may ask for.
    """

    def deadline(request: Request) -> float:
        seconds = _asked_for(request)
        return longest if seconds is None else min(seconds, longest)

    return deadline


def _asked_for(request: Request) -> float | None:
    for name, pattern, units in (("x-request-timeout", _SECONDS, _UNIT_S), ("grpc-timeout", _GRPC, _GRPC_UNIT_S)):
        value = request.headers.get(name)
        if value is None:
            continue
        read = pattern.fullmatch(value.strip())
        seconds = 0.0 if read is None else float(read[1]) * units[read[2] or ""]
        if seconds <= 0.0:
            raise BadHeaderError(f"The header {name} must be a positive time, such as 30 or 500ms.")
        return seconds
    return None
