"""A plain blocking HTTP client, so that the simulator alone is tested."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from asyncllm.simulator import Simulator

QUESTION = [{"role": "user", "content": "What is a simulator?"}]
# Any test that waits longer than this for an answer hangs.
_TIMEOUT_S = 10.0
ANTHROPIC = {"anthropic-version": "2023-06-01"}


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of the events of a stream, decoded; `[DONE]` as text."""
        data = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [one if one == "[DONE]" else json.loads(one) for one in data]

    @property
    def lines(self) -> list[Any]:
        """The lines of a stream of JSON objects, decoded."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def message(self) -> Any:
        return self.json["choices"][0]["message"]

    @property
    def text(self) -> Any:
        return self.message["content"]


def request(
    sim: Simulator, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(sim.root_url).netloc, timeout=_TIMEOUT_S)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def post(sim: Simulator, path: str, body: object, **headers: str) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(sim, "POST", path, json.dumps(body).encode(), {"Content-Type": "application/json", **sent})


def chat(sim: Simulator, text: str = "What is a simulator?", *, key: str | None = None, **params: Any) -> Answer:
    """Send a chat in the OpenAI format."""
    body = {"model": "sim", "messages": [{"role": "user", "content": text}], **params}
    return post(sim, "/v1/chat/completions", body, **({"Authorization": f"Bearer {key}"} if key else {}))


def messages(sim: Simulator, text: str = "What is a simulator?", **params: Any) -> Answer:
    """Send a chat in the Anthropic format."""
    body = {"model": "sim", "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **params}
    return post(sim, "/v1/messages", body, **ANTHROPIC)


def ollama(sim: Simulator, text: str = "What is a simulator?", **params: Any) -> Answer:
    """Send a chat in the Ollama format."""
    return post(sim, "/api/chat", {"model": "sim", "messages": [{"role": "user", "content": text}], **params})


class Raw:
    """A request on a socket, which shows every byte and how the connection ends."""

    def __init__(self, sim: Simulator, **params: Any) -> None:
        address = urlsplit(sim.root_url)
        assert address.hostname is not None
        assert address.port is not None
        self.socket = socket.create_connection((address.hostname, address.port), timeout=_TIMEOUT_S)
        body = json.dumps({"model": "sim", "messages": QUESTION, **params}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def read_until(self, mark: bytes) -> bytes:
        """Read until a mark has been received."""
        data = b""
        while mark not in data:
            piece = self.socket.recv(65_536)
            assert piece, f"closed before {mark!r}: {data!r}"
            data += piece
        return data

    def read_to_end(self) -> bytes:
        """Read until the server closes; a reset raises ConnectionResetError."""
        data = b""
        while piece := self.socket.recv(65_536):
            data += piece
        return data
