"""HTTP headers: names in one case, rate limits, and the id of a request."""

from __future__ import annotations

from collections.abc import Mapping


def lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def with_headers(headers: Mapping[str, str], others: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return headers with others over them, ignoring the case of their names."""
    if not others:
        return headers
    replaced = {name.lower() for name in others}
    return {**{name: value for name, value in headers.items() if name.lower() not in replaced}, **others}


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of a request from its response headers."""
    for name in ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"):
        if name in headers:
            return headers[name]
    return None


def rate_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the rate-limit headers, lower case."""
    return {name: value for name, value in headers.items() if "ratelimit" in name}
