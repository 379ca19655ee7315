"""The forms of Retry-After."""

from __future__ import annotations

import math
from email.utils import formatdate
from time import time

RETRY_AFTER_FORMS = ("seconds", "fraction", "date", "ms", "none", "nonsense", "negative", "past")


def retry_after_headers(seconds: float, form: str) -> list[tuple[bytes, bytes]]:
    """Return the headers for a wait, in one of `RETRY_AFTER_FORMS`."""
    if form == "none" or math.isinf(seconds):
        return []
    name, value = {
        "seconds": ("retry-after", str(math.ceil(seconds))),
        "fraction": ("retry-after", f"{seconds:.3f}"),
        "date": ("retry-after", formatdate(math.ceil(time() + seconds), usegmt=True)),
        "ms": ("retry-after-ms", str(math.ceil(seconds * 1000))),
        "nonsense": ("retry-after", "soon"),
        "negative": ("retry-after", f"-{math.ceil(seconds)}"),
        "past": ("retry-after", formatdate(time() - seconds, usegmt=True)),
    }[form]
    return [(name.encode(), value.encode())]
