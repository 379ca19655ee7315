"""Faults: each on the wire, and the requests that meet it."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any

import pytest

from asyncllm.simulator import Fault, Limit, Script, Simulator
from asyncllm.simulator.faults import KINDS, FaultPlan, RequestTraits

from .http import Raw, chat, messages, ollama, request


def statuses(sim: Simulator, number: int, **params: Any) -> list[int]:
    return [chat(sim, **params).status for _ in range(number)]


@pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 504, 529, 599])
def test_status_has_the_body_of_each_provider(simulator: Simulator, code: int) -> None:
    """Any status comes with an error body of the format that was asked in."""
    simulator.faults(Fault("status", code=code))
    answers = [chat(simulator), messages(simulator), ollama(simulator)]
    assert [answer.status for answer in answers] == [code] * 3
    assert {"message", "type", "param", "code"} == set(answers[0].json["error"])
    assert answers[1].json["type"] == "error"
    assert isinstance(answers[2].json["error"], str)


@pytest.mark.parametrize(
    ("reason", "openai", "anthropic"),
    [
        ("context_window", (400, "context_length_exceeded"), (400, "prompt is too long")),
        ("content_policy", (400, "content_policy_violation"), (400, "content filtering")),
        ("quota", (429, "insufficient_quota"), (400, "credit balance")),
    ],
)
def test_reasons_are_in_the_provider_s_words(
    simulator: Simulator, reason: str, openai: tuple[int, str], anthropic: tuple[int, str]
) -> None:
    """A reason gives the status and the words that clients know it by."""
    simulator.faults(Fault("status", reason=reason))
    one, other = chat(simulator), messages(simulator)
    assert (one.status, one.json["error"]["code"]) == openai
    assert other.status == anthropic[0]
    assert anthropic[1] in other.json["error"]["message"]


@pytest.mark.parametrize(
    ("form", "header", "value"),
    [
        ("seconds", "retry-after", "3"),
        ("fraction", "retry-after", "2.500"),
        ("ms", "retry-after-ms", "2500"),
        ("nonsense", "retry-after", "soon"),
    ],
)
def test_retry_after_comes_in_every_form(simulator: Simulator, form: str, header: str, value: str) -> None:
    """A status can carry Retry-After in every form that providers use."""
    simulator.faults(Fault("status", code=503, retry_after=2.5, retry_after_form=form))
    assert chat(simulator).headers[header] == value


def test_retry_after_as_a_date_is_ahead(simulator: Simulator) -> None:
    """As an HTTP date it is as many seconds after the Date of the answer."""
    simulator.faults(Fault("status", code=429, retry_after=100, retry_after_form="date"))
    headers = chat(simulator).headers
    ahead = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    assert 100 <= ahead.total_seconds() <= 101


def test_delay_answers_after_all(simulator: Simulator) -> None:
    """A delayed answer is complete, and not early."""
    simulator.faults(Fault("delay", seconds=0.02))
    assert chat(simulator).status == 200
    (logged,) = simulator.seen.exchanges
    assert logged.ended_s - logged.started_s >= 0.02


def test_reset_before_the_headers(simulator: Simulator) -> None:
    """A reset connection raises ConnectionResetError."""
    simulator.faults(Fault("reset"))
    with Raw(simulator) as raw, pytest.raises(ConnectionResetError):
        raw.read_to_end()


def test_reset_in_a_stream_comes_after_its_chunks(simulator: Simulator) -> None:
    """A stream that is reset has its first chunks."""
    simulator.faults(Fault("reset", after_chunks=2))
    with Raw(simulator, stream=True) as raw:
        raw.read_until(b"data: ")
        with pytest.raises(ConnectionResetError):
            raw.read_to_end()
    simulator.seen.wait(lambda seen: seen.in_flight == 0)
    (logged,) = simulator.seen.exchanges
    assert (logged.outcome, logged.status, logged.fault) == ("faulted", 200, "reset")
    assert logged.bytes_sent > 200


def test_cut_before_the_headers_is_a_clean_close(simulator: Simulator) -> None:
    """A cut connection ends without an answer."""
    simulator.faults(Fault("cut"))
    with pytest.raises(RemoteDisconnected):
        chat(simulator)


@pytest.mark.parametrize("at", ["after_headers", "body"])
def test_cut_body_is_shorter_than_announced(simulator: Simulator, at: Any) -> None:
    """A plain answer that is cut has fewer bytes than its head says."""
    simulator.faults(Fault("cut", at=at))
    with pytest.raises(IncompleteRead):
        chat(simulator)


def test_cut_stream_has_its_chunks_and_no_end(simulator: Simulator) -> None:
    """A cut stream has exactly the chunks before the cut, and neither [DONE] nor the end of its framing."""
    simulator.faults(Fault("cut", after_chunks=3))
    with Raw(simulator, stream=True) as raw:
        data = raw.read_to_end()
    assert data.count(b"data: ") == 3
    assert b"[DONE]" not in data
    assert not data.endswith(b"0\r\n\r\n")


def test_unframed_cut_looks_like_an_end(simulator: Simulator) -> None:
    """Without framing a cut stream is a complete HTTP message, which lacks [DONE] alone."""
    simulator.faults(Fault("cut", after_chunks=3, framed=False))
    answer = chat(simulator, stream=True)
    assert len(answer.events) == 3
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(("at", "chunks"), [("before_headers", None), ("after_headers", None), ("before_headers", 2)])
def test_stall_keeps_the_connection_until_the_client_leaves(simulator: Simulator, at: Any, chunks: int | None) -> None:
    """A stalled answer stays in flight until the client leaves, which is counted and ends the request."""
    simulator.faults(Fault("stall", at=at, after_chunks=chunks))
    with Raw(simulator, stream=True) as raw:
        if at == "after_headers" or chunks:
            raw.read_until(b"\r\n\r\n")
        simulator.seen.wait(lambda seen: seen.in_flight == 1)
    simulator.seen.wait(lambda seen: seen.in_flight == 0 and seen.connections_open == 0)
    assert simulator.seen.connections_aborted == 1
    assert simulator.seen.exchanges[0].outcome == "aborted"


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("html", b"<html>"),
        ("invalid_json", b'{"id"'),
        ("empty", b""),
        ("wrong_shape", b'{"simulated"'),
        ("invalid_utf8", b"\xff\xfe"),
    ],
)
def test_garbage_comes_with_status_200(simulator: Simulator, what: str, body: bytes) -> None:
    """Garbage is a complete HTTP response of status 200 that is not an answer."""
    simulator.faults(Fault("garbage", what=what))
    answer = chat(simulator)
    assert answer.status == 200
    assert body in answer.body
    assert len(answer.body) > 0 or what == "empty"


@pytest.mark.parametrize("what", ["invalid_json", "wrong_shape", "invalid_utf8"])
def test_garbage_in_a_stream_follows_good_events(simulator: Simulator, what: str) -> None:
    """In a stream the garbage is one event after as many good ones as asked for."""
    simulator.faults(Fault("garbage", what=what, after_chunks=2))
    events = [line for line in chat(simulator, stream=True).body.split(b"\n\n") if line]
    assert len(events) == 3
    assert json.loads(events[1].removeprefix(b"data: "))["choices"]
    assert b'"choices":' not in events[2] or what != "wrong_shape"


def test_error_event_ends_a_stream(simulator: Simulator) -> None:
    """An error event comes in the middle of a stream, in each provider's form, and nothing after it."""
    simulator.faults(Fault("error_event", after_chunks=2))
    events = chat(simulator, stream=True).events
    assert len(events) == 3
    assert events[-1]["error"]["type"] == "server_error"
    assert messages(simulator, stream=True).events[-1]["error"]["type"] == "overloaded_error"
    assert "error" in ollama(simulator).lines[-1]


def test_missing_done_is_the_only_thing_missing(simulator: Simulator) -> None:
    """Everything but the mark of the end is sent, in each format."""
    whole = [len(chat(simulator, stream=True).events), len(ollama(simulator).lines)]
    simulator.faults(Fault("missing_done"))
    assert [len(chat(simulator, stream=True).events), len(ollama(simulator).lines)] == [one - 1 for one in whole]
    assert messages(simulator, stream=True).events[-1]["type"] == "message_delta"


def test_drip_sends_everything_byte_by_byte(simulator: Simulator) -> None:
    """A dripping answer is complete."""
    plain = chat(simulator, simulator={"text": "hi"}).text
    simulator.faults(Fault("drip"))
    assert chat(simulator, simulator={"text": "hi"}).text == plain
    assert chat(simulator, stream=True, simulator={"text": "hi"}).events[-1] == "[DONE]"


def test_answer_replaces_the_text_or_the_arguments(simulator: Simulator) -> None:
    """A scripted answer replaces the text, or the arguments of a tool that had to be called."""
    simulator.faults(Fault("answer", text="not what you want"))
    assert chat(simulator).text == "not what you want"
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    (call,) = chat(simulator, tools=[tool], tool_choice="required").message["tool_calls"]
    assert call["function"] == {"name": "f", "arguments": "not what you want"}


def test_answer_replaces_what_a_token_limit_had_composed(simulator: Simulator) -> None:
    """A scripted answer also replaces one that was composed for a token limit."""
    simulator.limits(Limit(kind="tokens", per_minute=1_000_000))
    simulator.faults(Fault("answer", text="short"))
    assert chat(simulator).text == "short"


def test_script_is_played_in_order_and_then_over(simulator: Simulator) -> None:
    """A script plays one fault for each request, lets one pass for None, and is then over."""
    simulator.faults(Script([Fault("status", code=500), None, Fault("status", code=503)]))
    assert statuses(simulator, 5) == [500, 200, 503, 200, 200]
    assert simulator.seen.faults_played == 2


def test_script_can_repeat(simulator: Simulator) -> None:
    """A repeating script begins again."""
    simulator.faults(Script([Fault("status"), None], repeat=True))
    assert statuses(simulator, 4) == [500, 200, 500, 200]


def test_times_bounds_a_fault(simulator: Simulator) -> None:
    """After its times a fault is over."""
    simulator.faults(Fault("status", times=2))
    assert statuses(simulator, 3) == [500, 500, 200]


def test_rate_is_drawn_from_the_seed() -> None:
    """The same seed gives the same faults, another seed others, and about the share that was asked for."""

    def drawn(seed: int) -> list[bool]:
        plan = FaultPlan([Fault("status", rate=0.3)], seed)
        return [plan.pick(RequestTraits("/", "m", "k", False, "")) is not None for _ in range(1000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 250 < sum(drawn(1)) < 350


@pytest.mark.parametrize(
    ("only", "meets", "passes"),
    [
        ({"model": "bad-*"}, {"model": "bad-one"}, {"model": "good"}),
        ({"stream": True}, {"stream": True}, {"stream": False}),
        ({"contains": "Gift für"}, {"text": "Gift für alle"}, {"text": "Wasser"}),
        ({"key": "k1"}, {"key": "k1"}, {"key": "k2"}),
    ],
)
def test_only_matching_requests_meet_it(
    simulator: Simulator, only: dict[str, Any], meets: dict[str, Any], passes: dict[str, Any]
) -> None:
    """A fault can be for some requests only."""
    simulator.faults(Fault("status", **only))
    assert chat(simulator, **meets).status == 500
    assert chat(simulator, **passes).status == 200


def test_a_path_is_needed_for_other_requests(simulator: Simulator) -> None:
    """Lists of models meet a fault that names their path, and use up no other."""
    simulator.faults(Fault("status", times=1))
    assert request(simulator, "GET", "/v1/models").status == 200
    assert chat(simulator).status == 500
    simulator.faults(Fault("status", path="*/models"))
    assert request(simulator, "GET", "/v1/models").status == 500


def test_request_can_ask_for_its_own_fault(simulator: Simulator) -> None:
    """The body field asks for a fault of this one request; one that does not exist is a 400 with an explanation."""
    assert chat(simulator, simulator={"fault": {"kind": "status", "code": 418}}).status == 418
    assert chat(simulator).status == 200
    refused = chat(simulator, simulator={"fault": {"kind": "explode"}})
    assert refused.status == 400
    assert "reset" in refused.json["error"]["message"]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "x"},
        {"kind": "stall", "at": "x"},
        {"kind": "garbage", "what": "x"},
        {"kind": "cut", "rate": 2},
        {"kind": "status", "style": "x"},
        {"kind": "redirect", "to": "x"},
    ],
)
def test_unknown_values_are_refused(options: dict[str, Any]) -> None:
    """An unknown value is a ValueError that names the known ones."""
    with pytest.raises(ValueError, match="must be"):
        Fault(**options)


def test_every_kind_is_played() -> None:
    """Each kind is played to a plain and a streamed request without an error of the simulator's own."""
    # All but those that never end by themselves, and the one that admits no request.
    for kind in KINDS.keys() - {"stall", "endless", "wrong_length", "refuse"}:
        with Simulator(faults=[Fault(kind, size_bytes=1000)]) as sim:
            with Raw(sim, simulator={"text": "hi"}):
                sim.seen.wait(lambda seen: seen.requests == 1 and seen.in_flight == 0)
            with Raw(sim, stream=True, simulator={"text": "hi"}):
                sim.seen.wait(lambda seen: seen.requests == 2 and seen.in_flight == 0)
            assert [(one.fault, one.outcome) for one in sim.seen.exchanges] == [(kind, "faulted")] * 2
