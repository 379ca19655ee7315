"""Errors of providers, in every format and over both transports."""

from __future__ import annotations

import pickle
import re
import socket
from typing import Any

import anyio
import pytest

import asyncllm.errors
from asyncllm import (
    AsyncLLM,
    AuthenticationError,
    BadRequestError,
    ContentPolicyError,
    ContextWindowExceededError,
    DeadlineExceededError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
    UnsupportedError,
)
from asyncllm.completions.call_record import Attempt
from asyncllm.pipeline.retry import is_retryable
from asyncllm.simulator import Fault, Latency, Simulator
from asyncllm.transports.base import Call, Connection
from asyncllm.transports.errors import failure, redact
from asyncllm.transports.litellm.errors import CLASSES, translate
from asyncllm.transports.litellm.importing import import_litellm
from tests.support.secrets import SECRET

pytestmark = pytest.mark.anyio

CLASS_OF = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: ProviderError,
    409: ProviderError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
    500: ServerError,
    502: ServerError,
    503: ServerError,
    529: ServerError,
}


@pytest.mark.parametrize("status", CLASS_OF)
async def test_a_status_of_openais_format_has_its_class(llm: AsyncLLM, simulator: Simulator, status: int) -> None:
    """Over both transports a status is reported as it was on the wire, by the class that belongs to it."""
    simulator.faults(Fault("status", code=status, message="the engine coughed"))
    with pytest.raises(ProviderError) as caught:
        await llm.acompletion("hi", num_retries=0)
    error = caught.value
    assert (type(error), error.status_code) == (CLASS_OF[status], status)
    assert "the engine coughed" in error.message
    assert error.request_id == "req_sim1"
    assert (error.model, error.provider, error.profile) == ("openai/gpt-4o-mini", "openai", "default")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 529])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_status_of_anthropics_format_has_its_class(simulator: Simulator, status: int, stream: bool) -> None:
    """litellm's own classes turn 529 into 500 and 413 into 400; what was on the wire is what is reported."""
    simulator.faults(Fault("status", code=status, message="the engine coughed"))
    async with AsyncLLM(
        model="anthropic/claude-sonnet-4-5", base_url=simulator.root_url, api_key=SECRET, num_retries=0
    ) as llm:
        call = llm.stream("hi").collect if stream else lambda: llm.acompletion("hi")
        with pytest.raises(ProviderError) as caught:
            await call()
    assert (type(caught.value), caught.value.status_code) == (CLASS_OF[status], status)
    assert "the engine coughed" in caught.value.message


@pytest.mark.parametrize(
    ("reason", "kind"), [("context_window", ContextWindowExceededError), ("content_policy", ContentPolicyError)]
)
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"])
async def test_a_400_says_what_kind_it_is(simulator: Simulator, reason: str, kind: type, model: str) -> None:
    """A prompt that is too long and one that the policy refuses are told from any other bad request."""
    simulator.faults(Fault("status", reason=reason))
    url = simulator.url if model.startswith("openai") else simulator.root_url
    async with AsyncLLM(model=model, base_url=url, api_key=SECRET) as llm:
        with pytest.raises(BadRequestError) as caught:
            await llm.acompletion("hi")
    assert type(caught.value) is kind
    assert simulator.seen.requests == 1


async def test_an_error_pickles_with_everything_it_says(llm: AsyncLLM, simulator: Simulator) -> None:
    """An error crosses a process boundary with its message, status and attempts."""
    simulator.faults(Fault("status", code=429, retry_after=0.001, retry_after_form="fraction"))
    with pytest.raises(RateLimitError) as caught:
        await llm.acompletion("hi", num_retries=1)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is RateLimitError
    assert str(copy) == str(caught.value)
    assert (copy.status_code, copy.retry_after, copy.request_id) == (429, 0.001, "req_sim2")
    assert [attempt.status_code for attempt in copy.attempts] == [429, 429]


async def test_an_interrupted_stream_pickles_with_its_part(llm: AsyncLLM, simulator: Simulator) -> None:
    """The partial Completion of an interruption survives pickling, with its usage and cost."""
    simulator.latency(Latency(tokens_per_s=400))
    simulator.faults(Fault("cut", after_chunks=3))
    with pytest.raises(StreamInterruptedError) as caught:
        await llm.stream("hi").collect()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert caught.value.partial is not None
    assert copy.partial.text == caught.value.partial.text != ""
    assert copy.partial.cost_usd == caught.value.partial.cost_usd


def test_every_error_class_pickles() -> None:
    """No error of the tree needs arguments that pickling does not know."""
    for name in dir(asyncllm.errors):
        kind = getattr(asyncllm.errors, name)
        if isinstance(kind, type) and issubclass(kind, asyncllm.errors.AsyncLLMError):
            copy = pickle.loads(pickle.dumps(kind("what happened", hint="What to do.")))
            assert (type(copy), str(copy)) == (kind, "what happened What to do.")


def test_timeouts_are_builtin_timeouts() -> None:
    """`except TimeoutError` catches both kinds of running out of time."""
    assert issubclass(asyncllm.errors.ProviderTimeoutError, TimeoutError)
    assert issubclass(DeadlineExceededError, TimeoutError)


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_nothing_foreign_hangs_on_to_an_error(llm: AsyncLLM, simulator: Simulator, status: int) -> None:
    """No cause or context of an error is of another library: theirs hold the request, with the key in its headers."""
    simulator.faults(Fault("status", code=status, message=f"the key {SECRET} is no good"))
    with pytest.raises(ProviderError) as caught:
        await llm.acompletion("hi", num_retries=0)
    link: BaseException | None = caught.value
    while link is not None:
        assert type(link).__module__.startswith(("asyncllm.", "builtins"))
        assert SECRET not in f"{link!r} {link} {vars(link)}"
        link = link.__cause__ or link.__context__


async def test_a_provider_that_echoes_the_key_is_not_repeated(llm: AsyncLLM, simulator: Simulator) -> None:
    """A key that the provider's message quotes is taken out of ours."""
    simulator.faults(Fault("status", code=401, message=f"Incorrect API key provided: {SECRET}."))
    with pytest.raises(AuthenticationError, match=r"Incorrect API key provided: \*\*\*\."):
        await llm.acompletion("hi")


def test_a_short_key_is_not_taken_for_every_word() -> None:
    """A key such as `any`, given to a server that asks for none, does not make holes in its messages."""
    assert redact("too many of them", ("any", "none", "")) == "too many of them"


async def test_a_wrong_key_says_where_to_look(llm: AsyncLLM, simulator: Simulator) -> None:
    """The hint of a 401 names a remedy."""
    simulator.faults(Fault("status", code=401))
    with pytest.raises(AuthenticationError, match="Check the key of this profile"):
        await llm.acompletion("hi")


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "went wrong", "code": "c"}}',
        '{"error": "went wrong"}',
        '{"message": "went wrong"}',
        '{"detail": "went wrong"}',
        '[{"error": {"message": "went wrong", "status": "X"}}]',
        "<html><body>went wrong</body></html>",
        "went wrong",
        b"went wrong",
    ],
)
def test_a_message_is_found_in_every_style_of_body(body: str | bytes) -> None:
    """OpenAI's, Ollama's, FastAPI's and Gemini's bodies, a proxy's page and plain text all give their message."""
    assert failure(500, body).message == "went wrong (HTTP 500)"


@pytest.mark.parametrize("body", ["", "{", "null", "3", '"text"', "[]", "[1]", '{"error": null}', "\ufffd", b"\xff"])
def test_any_body_makes_an_error(body: str | bytes) -> None:
    """Whatever a proxy on the way sends with an error status, it becomes an error and not a crash."""
    error = failure(502, body)
    assert (type(error), error.status_code) == (ServerError, 502)
    assert "HTTP 502" in error.message


def test_a_long_message_is_shortened() -> None:
    """A provider that appends whole pages does not fill the log with them."""
    assert len(failure(500, "x" * 10_000).message) < 600


async def test_an_endpoint_where_nobody_listens_is_named_in_words(options: dict[str, Any]) -> None:
    """The message of a refused connection is the system's, without objects, numbers or the marks of a library."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with AsyncLLM(**dict(options, base_url=f"https://127.0.0.1:{port}/v1"), num_retries=0) as llm:
        with pytest.raises(ProviderConnectionError) as caught:
            await llm.acompletion("hi")
    assert re.fullmatch(
        rf"the provider could not be reached: (Cannot connect to host 127.0.0.1:{port} )?\[?Connection refused\]?\.",
        caught.value.message,
    )


def litellm_errors() -> dict[str, Any]:
    litellm = import_litellm()
    return {
        name: kind
        for name, kind in vars(litellm.exceptions).items()
        if isinstance(kind, type)
        and issubclass(kind, Exception)
        and kind.__module__ == "litellm.exceptions"
        and not name.startswith("_")
    }


def test_every_class_of_litellm_is_mapped() -> None:
    """A new litellm that brings another class of error must be given one of ours before it is used."""
    assert litellm_errors().keys() == CLASSES.keys()


def call_with(key: str | None = SECRET) -> Call:
    return Call(Connection("openai", key), "openai/gpt-4o-mini", [{"role": "user", "content": "hi"}], {}, 10.0)


def test_a_bug_of_litellm_is_no_connection_error() -> None:
    """litellm reports its own bugs as connection errors; without a transport's error behind them they are final."""
    litellm = import_litellm()
    bug = litellm.APIConnectionError("No module named 'mcp'", llm_provider="openai", model="gpt-4o-mini")
    bug.__context__ = ModuleNotFoundError("No module named 'mcp'")
    error = translate(bug, call_with())
    assert type(error) is UnsupportedError
    assert error.hint == "Install it: pip install mcp"
    bug = litellm.APIConnectionError("'NoneType' object is not iterable", llm_provider="openai", model="gpt-4o-mini")
    bug.__context__ = TypeError("'NoneType' object is not iterable")
    error = translate(bug, call_with())
    assert type(error) is ProviderError
    assert "'NoneType' object is not iterable" in error.message
    assert not is_retryable(error)


def test_a_refused_parameter_is_unsupported() -> None:
    """With `drop_params = false`, a parameter that the model does not know is the caller's to take out."""
    litellm = import_litellm()
    refusal = litellm.UnsupportedParamsError("gpt-9 does not take top_k", llm_provider="openai", model="gpt-9")
    assert type(translate(refusal, call_with())) is UnsupportedError


async def test_a_parameter_the_model_refuses_is_dropped_or_refused(simulator: Simulator) -> None:
    """`drop_params` decides whether a parameter that the model does not know is left out or an error."""
    model = {"model": "anthropic/claude-sonnet-4-5", "base_url": simulator.root_url, "api_key": SECRET}
    async with AsyncLLM(**model) as llm:  # type: ignore[arg-type]
        await llm.acompletion("hi", frequency_penalty=1.0)
        with pytest.raises(UnsupportedError, match="frequency_penalty"):
            await llm.acompletion("hi", frequency_penalty=1.0, drop_params=False)
    assert simulator.seen.requests == 1
    assert "frequency_penalty" not in simulator.seen.bodies[0]


async def test_a_deadline_error_tells_the_last_error_and_the_attempts(llm: AsyncLLM, simulator: Simulator) -> None:
    """Who ran out of time is told what happened in it."""
    simulator.faults(Fault("status", code=503))
    with pytest.raises(DeadlineExceededError) as caught, anyio.fail_after(20):
        await llm.with_options(retry_min_wait=5.0, retry_max_wait=5.0).acompletion("hi", deadline=2.0)
    assert isinstance(caught.value.last_error, ServerError)
    assert [attempt.status_code for attempt in caught.value.attempts] == [503]
    assert pickle.loads(pickle.dumps(caught.value)).attempts == caught.value.attempts


def test_attempts_are_plain_data() -> None:
    """Two attempts with the same numbers are equal, so that records can be compared and stored."""
    assert Attempt("p", "m", error="ServerError") == Attempt("p", "m", error="ServerError")
