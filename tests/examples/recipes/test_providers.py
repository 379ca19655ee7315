"""Recipes for providers: local servers, Azure, Bedrock, Vertex AI and the LiteLLM proxy."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any

import pytest

from asyncllm import UnsupportedError
from asyncllm.simulator import Simulator

from .conftest import Run


@pytest.mark.parametrize("server", ["vllm", "ollama", "llama.cpp", "lm-studio"])
def test_a_local_server_answers(
    run: Run, simulator: Simulator, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    """Each is asked at its own path, without a key of a provider."""
    url = simulator.root_url if server == "ollama" else simulator.url
    assert run("local_models", server, "any-model", "Name a colour.", url) == 0
    assert "Simulated" in capsys.readouterr().out
    assert simulator.seen.paths[0] == ("/api/chat" if server == "ollama" else "/v1/chat/completions")
    assert simulator.seen.bodies[0]["model"] == "any-model"
    assert set(simulator.seen.keys) <= {"none", None, ""}


def test_a_deployment_of_azure(
    run: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, secret_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its path names the deployment and the version, and the answer has a price."""
    monkeypatch.setenv("AZURE_API_KEY", secret_key)
    assert run("azure_deployment", simulator.root_url, "ours") == 0
    assert simulator.seen.paths[-1] == "/openai/deployments/ours/chat/completions?api-version=2024-10-21"
    assert "$0.0000" in capsys.readouterr().err


def test_a_proxy_of_litellm(
    run: Run, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, secret_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gets its own key, its own name of the model, and the tags."""
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", secret_key)
    assert run("litellm_proxy", simulator.url, "team-model") == 0
    body = simulator.seen.bodies[-1]
    assert (body["model"], body["metadata"]) == ("team-model", {"tags": ["recipe"]})
    assert "Simulated" in capsys.readouterr().out


class Converse(BaseHTTPRequestHandler):
    """Bedrock's API, as far as one answer needs it."""

    paths: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.paths.append(self.path)  # type: ignore[attr-defined]
        answer = {
            "output": {"message": {"role": "assistant", "content": [{"text": "Blue."}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def bedrock() -> Iterator[ThreadingHTTPServer]:
    """A server that speaks Bedrock's Converse API, which the simulator does not."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Converse) as server:
        server.paths = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.skipif(find_spec("boto3") is None, reason="the recipe for Bedrock needs boto3: pip install boto3")
def test_a_model_of_bedrock(
    run: Run, bedrock: Any, monkeypatch: pytest.MonkeyPatch, secret_key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Credentials come from the environment, and the answer by way of litellm."""
    for name in ("MODEL", "BASE_URL", "API_KEY"):
        monkeypatch.delenv(f"LLM_{name}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret_key)
    monkeypatch.setenv("AWS_BEDROCK_RUNTIME_ENDPOINT", f"http://127.0.0.1:{bedrock.server_address[1]}")
    assert run("bedrock_model") == 0
    said = capsys.readouterr()
    assert said.out.endswith("Blue.\n")  # litellm logs where the root logger is at DEBUG, as in these tests
    assert said.err.endswith("7 tokens over litellm\n")
    assert bedrock.paths == ["/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"]


def test_vertex_ai_names_the_package_that_it_needs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader meets who has not installed it."""
    if find_spec("google") is not None and find_spec("google.auth") is not None:
        pytest.skip("google-auth is installed here, and a call would leave the machine")
    for name in ("VERTEXAI_PROJECT", "VERTEXAI_LOCATION"):
        monkeypatch.setenv(name, "")  # the recipe sets them, and the test takes them back
    with pytest.raises(UnsupportedError, match="pip install google-auth"):
        run("vertex_model", "our-project")
