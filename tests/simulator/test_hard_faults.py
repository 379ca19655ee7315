"""Faults of connections, lengths and encodings, and errors in other providers' words: each on the wire."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from asyncllm.simulator import Fault, Script, Simulator
from asyncllm.simulator.formats.error_bodies import STYLES

from .http import QUESTION, Answer, Raw, chat, messages, post, request

CHAT = json.dumps({"model": "sim", "messages": QUESTION}).encode()


@contextmanager
def kept(sim: Simulator) -> Iterator[http.client.HTTPConnection]:
    """Hold one connection for several requests."""
    connection = http.client.HTTPConnection(urlsplit(sim.root_url).netloc, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def send_chat(connection: http.client.HTTPConnection) -> int:
    connection.request("POST", "/v1/chat/completions", CHAT)
    response = connection.getresponse()
    response.read()
    return response.status


def address(sim: Simulator) -> tuple[str, int]:
    parts = urlsplit(sim.root_url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def test_refused_connections_come_back(simulator: Simulator) -> None:
    """While connections are refused, open ones are closed; afterwards the same port answers."""
    with kept(simulator) as connection:
        assert send_chat(connection) == 200
        simulator.faults(Fault("refuse"))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address(simulator), timeout=10)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            send_chat(connection)
    assert simulator.seen.connections_open == 0
    simulator.faults()
    assert chat(simulator).status == 200


def test_a_simulator_can_refuse_from_the_start() -> None:
    """A simulator that starts with `refuse` accepts no connection."""
    with Simulator(faults=[Fault("refuse")]) as sim:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address(sim), timeout=10)
        assert sim.seen.requests == 0


def test_refusing_ends_what_is_being_answered(simulator: Simulator) -> None:
    """`refuse` breaks off the answers under way."""
    simulator.faults(Fault("stall", at="after_headers"))
    with Raw(simulator) as raw:
        raw.read_until(b"\r\n\r\n")
        simulator.faults(Fault("refuse"))
        simulator.seen.wait(lambda seen: seen.in_flight == 0)
        with suppress(ConnectionResetError):
            raw.read_to_end()
    assert simulator.seen.exchanges[0].outcome != "answered"


@pytest.mark.parametrize("option", [{"times": 1}, {"rate": 0.5}, {"path": "*"}, {"code": 500}])
def test_refusing_is_for_every_connection(option: dict[str, Any]) -> None:
    """A connection is refused before its request, so no trait of a request can choose it."""
    with pytest.raises(ValueError, match="must be given alone"):
        Fault("refuse", **option)


def test_refusing_is_not_for_one_request(simulator: Simulator) -> None:
    """Neither a script nor a request can ask for it."""
    with pytest.raises(ValueError, match="for connections"):
        Script([Fault("refuse")])
    refused = chat(simulator, simulator={"fault": {"kind": "refuse"}})
    assert refused.status == 400
    assert "for connections" in refused.json["error"]["message"]


def test_a_kept_connection_is_closed_under_the_next_request(simulator: Simulator) -> None:
    """The first request of a connection is answered, the second never."""
    simulator.faults(Fault("close_kept"))
    with kept(simulator) as connection:
        assert send_chat(connection) == 200
        with pytest.raises(http.client.RemoteDisconnected):
            send_chat(connection)
    assert chat(simulator).status == 200


def test_a_body_is_shorter_than_announced(simulator: Simulator) -> None:
    """All of the answer is sent, and the connection stays open for the announced rest."""
    simulator.faults(Fault("wrong_length", size_bytes=7))
    with Raw(simulator) as raw:
        head, _, start = raw.read_until(b"}]").partition(b"\r\n\r\n")
        announced = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        body = start
        while len(body) < announced - 7:
            body += raw.socket.recv(65_536)
        assert json.loads(body)["choices"]
        assert simulator.seen.in_flight == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_body_is_longer_than_announced(simulator: Simulator, stream: bool) -> None:
    """What the head announces is cut off from the answer."""
    simulator.faults(Fault("wrong_length", size_bytes=-5))
    answer = chat(simulator, stream=stream)
    assert len(answer.body) == int(answer.headers["content-length"])
    assert answer.body.endswith(b"data: [DO") if stream else b'"choices"' in answer.body
    simulator.faults()
    whole = chat(simulator, stream=stream)
    assert len(answer.body) == len(whole.body) - 5


@pytest.mark.parametrize("stream", [False, True])
def test_gzip_is_cut_short(simulator: Simulator, stream: bool) -> None:
    """The first half of the compressed answer is a message of its own, and does not unpack to the end."""
    simulator.faults(Fault("truncated_gzip"))
    answer = chat(simulator, stream=stream)
    assert answer.headers["content-encoding"] == "gzip"
    with pytest.raises(EOFError):
        gzip.decompress(answer.body)
    start = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(answer.body)
    assert start.startswith(b"data: {" if stream else b'{"id"')


@pytest.mark.parametrize("stream", [False, True])
def test_a_body_is_as_large_as_asked_for(simulator: Simulator, stream: bool) -> None:
    """One answer, or one event, of the given size, and of a thousandth of it when compressed."""
    simulator.faults(Fault("huge_body", size_bytes=1_000_000))
    answer = chat(simulator, stream=stream)
    decoded = json.loads(answer.body.removeprefix(b"data: "))
    assert decoded["choices"][0]["message"]["content"] == "x" * 1_000_000
    simulator.faults(Fault("huge_body", size_bytes=1_000_000, gzipped=True))
    packed = chat(simulator, stream=stream)
    assert len(packed.body) < 10_000
    assert gzip.decompress(packed.body) == answer.body


def test_a_header_is_as_large_as_asked_for(simulator: Simulator) -> None:
    """The answer is a good one, behind a header of the given size."""
    simulator.faults(Fault("huge_header", size_bytes=30_000))
    answer = chat(simulator)
    assert answer.headers["x-simulated"] == "x" * 30_000
    assert answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_an_endless_answer_goes_on(simulator: Simulator, stream: bool) -> None:
    """It is still being sent after megabytes, and ends when the client leaves."""
    simulator.faults(Fault("endless"))
    with Raw(simulator, stream=stream) as raw:
        received = 0
        while received < 3_000_000:
            received += len(raw.socket.recv(65_536))
    simulator.seen.wait(lambda seen: seen.in_flight == 0)
    assert simulator.seen.exchanges[0].outcome == "aborted"


def test_an_event_comes_more_than_once(simulator: Simulator) -> None:
    """One event is repeated, and nothing else of the stream changes."""
    whole = chat(simulator, stream=True).events
    simulator.faults(Fault("repeat", count=2, after_chunks=1))
    assert chat(simulator, stream=True).events == [*whole[:1], whole[1], whole[1], *whole[1:]]
    assert chat(simulator).status == 200


@pytest.mark.parametrize("to", ["same", "other", "loop"])
def test_redirects_lead_to_their_target(simulator: Simulator, to: Any) -> None:
    """A redirect leads to the answer on the same host or under another name of it, or back to its own address."""
    simulator.faults(Fault("redirect", to=to))
    answer = chat(simulator)
    assert answer.status == 307
    location = urlsplit(answer.headers["location"])
    assert location.hostname == ("localhost" if to == "other" else "127.0.0.1")
    assert location.port == address(simulator)[1]
    followed = request(simulator, "POST", f"{location.path}?{location.query}", CHAT)
    assert followed.status == (307 if to == "loop" else 200)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("code", [401, 429, 500])
def test_a_status_comes_in_any_style(simulator: Simulator, style: str, code: int) -> None:
    """An error can be in any provider's words, as behind a proxy, in every format of requests."""
    simulator.faults(Fault("status", code=code, style=style, message="the engine coughed"))
    answers = [chat(simulator), messages(simulator)]
    assert [answer.status for answer in answers] == [code, code]
    assert all("the engine coughed" in json.dumps(answer.json) for answer in answers)


def test_styles_differ_in_their_shape(simulator: Simulator) -> None:
    """Each provider has its own shape of error bodies."""

    def error_of(style: str, code: int = 400) -> Any:
        simulator.faults(Fault("status", code=code, style=style))
        return chat(simulator).json

    assert error_of("azure")["error"]["code"] == "400"
    assert error_of("anthropic")["type"] == "error"
    assert error_of("gemini", 429)["error"]["details"][1]["retryDelay"].endswith("s")
    assert error_of("mistral", 401) == {"detail": "Unauthorized (simulated)"}
    assert error_of("mistral", 422)["message"]["detail"][0]["loc"] == ["body", "messages"]
    assert error_of("vllm")["object"] == "error"
    assert error_of("openrouter", 502)["error"]["metadata"]["raw"].startswith("The provider behind it")


def test_an_error_event_comes_in_any_style(simulator: Simulator) -> None:
    """OpenRouter sends its error with a choice that ends, and Gemini in a list."""
    simulator.faults(Fault("error_event", code=502, style="openrouter"))
    last = chat(simulator, stream=True).events[-1]
    assert (last["error"]["code"], last["choices"][0]["finish_reason"]) == (502, "error")
    simulator.faults(Fault("error_event", code=503, style="gemini"))
    assert chat(simulator, stream=True).events[-1][0]["error"]["status"] == "UNAVAILABLE"


def test_garbage_can_have_a_status_and_a_text(simulator: Simulator) -> None:
    """A proxy's page has an error status, and any text can replace an answer."""
    simulator.faults(Fault("garbage", code=502))
    page = chat(simulator, stream=True)
    assert (page.status, page.headers["content-type"]) == (502, "text/html")
    simulator.faults(Fault("garbage", text='{"choices": 7}', after_chunks=1))
    assert chat(simulator).json == {"choices": 7}
    assert chat(simulator, stream=True).events[1] == {"choices": 7}


def test_a_path_that_does_not_exist_can_have_a_fault(simulator: Simulator) -> None:
    """The errors of a format that is not served can be played on its paths."""

    def generate() -> Answer:
        return post(simulator, "/model/some-model/converse", {"messages": []})

    assert generate().status == 404
    simulator.faults(Fault("status", code=503, style="gemini", path="*/converse"))
    assert (generate().status, generate().json["error"]["status"]) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(("form", "value"), [("negative", "-2"), ("past", "GMT")])
def test_retry_after_can_be_nonsense(simulator: Simulator, form: str, value: str) -> None:
    """Retry-After can be a negative number, and a date in the past."""
    simulator.faults(Fault("status", code=429, retry_after=2, retry_after_form=form))
    assert chat(simulator).headers["retry-after"].endswith(value)
