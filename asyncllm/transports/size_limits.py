"""Limits on what is read of an answer, so that a broken endpoint cannot fill the memory."""

from __future__ import annotations

MAX_ANSWER_BYTES = 64 * 1024 * 1024  # larger than any whole answer of a language model, with images
MAX_EVENT_BYTES = 16 * 1024 * 1024  # an event may carry an image or a sound
# 128,000 tokens make some 40 MB of events, and five times as much with their log probabilities.
MAX_STREAM_BYTES = 256 * 1024 * 1024
MAX_ERROR_BYTES = 256 * 1024  # of an error's body: the reason stands at its start
# Over litellm, which searches it for secrets with patterns that take seconds for 200 KB of brackets.
MAX_LITELLM_ERROR_BYTES = 16 * 1024


def answer_too_large() -> str:
    """Return the message for a whole answer that is too large."""
    return f"the answer is larger than {MAX_ANSWER_BYTES:,} bytes."


def stream_too_long() -> str:
    """Return the message for a stream that is too long."""
    return f"the stream does not end: it is longer than {MAX_STREAM_BYTES:,} bytes."


def event_too_long() -> str:
    """Return the message for an event that is too long."""
    return f"the stream is broken: an event is longer than {MAX_EVENT_BYTES:,} bytes."
