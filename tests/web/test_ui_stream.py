"""The UI message stream, as Vercel's AI SDK reads it. Needs node and the SDK, see CONTRIBUTING.md."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncllm import AsyncLLM, web
from asyncllm.config.options import Options
from asyncllm.simulator import Fault, Simulator
from tests.web.conftest import scripted, served

ROOT = Path(__file__).parents[2]
SDK = ROOT / ".cache" / "ai-sdk"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (SDK / "node_modules" / "ai").is_dir(),
    reason="there is no node, or no AI SDK here: .ci/install-ai-sdk installs the latter",
)


def read(options: Options, made: Callable[[AsyncLLM], Response]) -> dict[str, Any]:
    """Return what the SDK reads from a response: the message, the parts' types, the errors."""
    llm = AsyncLLM(**options)

    async def chat(_request: Request) -> Response:
        return made(llm)

    app = Starlette(routes=[Route("/chat", chat, methods=["POST"])], lifespan=web.lifespan(llm))
    web.add_error_handlers(app)
    assert NODE is not None
    with served(app) as url:
        command = [NODE, str(Path(__file__).with_name("read_ui_stream.mjs")), str(SDK), f"{url}/chat"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_text_with_reasoning_is_a_message(options: Options) -> None:
    """The parts are those that the SDK expects, in its order, and the metadata has usage and cost."""
    body = scripted(reasoning="Let me think about it.", text="An answer of several chunks, in all.")
    seen = read(options, lambda llm: web.stream_response(llm.stream("hi", extra_body=body), "ui"))
    assert seen["errors"] == []
    parts = {part["type"]: (part["text"], part["state"]) for part in seen["message"]["parts"] if "text" in part}
    assert parts["reasoning"] == ("Let me think about it.", "done")
    assert parts["text"] == ("An answer of several chunks, in all.", "done")
    assert list(dict.fromkeys(seen["seen"])) == [
        "start",
        "start-step",
        "reasoning-start",
        "reasoning-delta",
        "reasoning-end",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
    ]
    assert seen["message"]["metadata"]["usage"]["basis"] == "known"
    assert seen["message"]["metadata"]["cost_usd"] > 0


def test_tool_calls_are_parts(options: Options) -> None:
    """The input of each tool is there when it is complete."""
    calls = [{"name": "get_weather", "arguments": {"city": city}} for city in ("Paris", "Lima")]
    body = scripted(tool_calls=calls, chunk_chars=5)
    seen = read(options, lambda llm: web.stream_response(llm.stream("hi", extra_body=body), "ui"))
    assert seen["errors"] == []
    tools = [part for part in seen["message"]["parts"] if part["type"] == "tool-get_weather"]
    assert [part["input"] for part in tools] == [{"city": "Paris"}, {"city": "Lima"}]
    assert {part["state"] for part in tools} == {"input-available"}


class Invoice(BaseModel):
    """What typed streams ask for."""

    number: str
    total: float


def test_a_growing_value_is_one_data_part(options: Options) -> None:
    """Each snapshot replaces the one before; items are parts of their own."""
    value = {"number": "R-2025-0417", "total": 12.5}
    body = scripted(text=json.dumps(value), chunk_chars=4, events_per_write=1)
    seen = read(options, lambda llm: web.stream_response(llm.stream_partial(Invoice, "hi", extra_body=body), "ui"))
    assert seen["errors"] == []
    assert seen["seen"].count("data-partial") > 2
    assert [part["data"] for part in seen["message"]["parts"] if part["type"] == "data-partial"] == [value]
    body = scripted(text=json.dumps({"value": [value, value]}))
    seen = read(options, lambda llm: web.stream_response(llm.stream_items(Invoice, "hi", extra_body=body), "ui"))
    assert [part["data"] for part in seen["message"]["parts"] if part["type"] == "data-item"] == [value, value]


def test_an_interruption_is_an_error_of_the_chat(options: Options, simulator: Simulator) -> None:
    """`useChat` gets the sentence for users, and keeps what has come."""
    simulator.faults(Fault("cut", after_chunks=2))
    seen = read(options, lambda llm: web.stream_response(llm.stream("hi"), "ui"))
    assert seen["errors"] == ["The answer was interrupted."]
    assert any(part["type"] == "text" and part["text"] for part in seen["message"]["parts"])


def test_an_error_before_the_first_chunk_is_one_too(options: Options, simulator: Simulator) -> None:
    """The SDK shows the body of a response that failed."""
    simulator.faults(Fault("status", code=500))
    seen = read({**options, "num_retries": 0}, lambda llm: web.stream_response(llm.stream("hi"), "ui"))
    (error,) = seen["errors"]
    assert json.loads(error)["detail"] == "The model could not answer."
