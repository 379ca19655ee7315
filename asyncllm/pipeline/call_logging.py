"""The entry of a call in the log of calls."""

from __future__ import annotations

from ..call_log import LoggedCall
from ..completions.call_record import CallRecord
from ..completions.completion import Completion
from ..completions.stream import ending
from ..errors import AsyncLLMError
from ..messages import Request


def logged_call(
    record: CallRecord,
    request: Request,
    completion: Completion | None,
    error: BaseException | None,
    *,
    with_texts: bool,
) -> LoggedCall:
    """Return the entry of a call that has ended.

    Args:
        record: Its record.
        request: Its request.
        completion: Its answer, or what came of it.
        error: What it ended with; None when it was answered.
        with_texts: Whether the prompt and the answer are in it.
    """
    params = {name: value for name, value in request.params.items() if name != "extra_headers"}
    call = LoggedCall(
        record.started_at,
        record.profile,
        record.model,
        record.provider,
        record.transport,
        _status(completion, error),
        record.elapsed_s,
        record.first_token_s,
        len(record.attempts),
        record.request_id,
        error=None if error is None else ending(error),
        message=error.message if isinstance(error, AsyncLLMError) else None,
        saved_usd=record.saved_usd,
        tenant=request.tenant,
        params=params or None,
        messages=request.messages if with_texts else None,
    )
    if completion is not None:
        usage = completion.usage
        call.input_tokens, call.output_tokens = usage.input_tokens, usage.output_tokens
        call.cached_tokens, call.reasoning_tokens = usage.cached_tokens, usage.reasoning_tokens
        call.cost_usd, call.finish_reason = completion.cost_usd, completion.finish_reason
        call.answer = completion.message.to_dict() if with_texts else None
    return call


def _status(completion: Completion | None, error: BaseException | None) -> str:
    if error is None:
        return "answered"
    if not isinstance(error, AsyncLLMError):
        return "cancelled"
    return "failed" if completion is None else "interrupted"
