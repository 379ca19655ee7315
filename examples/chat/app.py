"""A chat in the browser: streams with a stop button, images, a form that fills in as it streams, usage and cost.

uvicorn --app-dir examples/chat app:app, or `make web`, then http://127.0.0.1:8000. The environment variable MODEL names
another model than the simulator's.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from asyncllm import AsyncLLM, web

llm = AsyncLLM(
    model=os.environ.get("MODEL", "simulated/demo"),
    max_concurrency=int(os.environ.get("MAX_CONCURRENCY", "100")),
    max_queue=int(os.environ.get("MAX_QUEUE", "200")),
    tenant_max_concurrency=4,
    idle_timeout=30,
)
app = FastAPI(lifespan=web.lifespan(llm))
web.add_error_handlers(app)
Deadline = Annotated[float, Depends(web.request_deadline(longest=120))]


def user(request: Request) -> str:
    """Return whom a request is from; an application with accounts has a better name."""
    return request.client.host if request.client else "unknown"


User = Annotated[str, Depends(user)]


class Chat(BaseModel):
    """A conversation, of which the last message is to be answered."""

    messages: list[dict[str, Any]] = Field(min_length=1, max_length=200)


class Text(BaseModel):
    """A text to read an invoice from."""

    text: str = Field(max_length=20_000)


class Invoice(BaseModel):
    """What the form shows."""

    number: str
    seller: str
    total: float
    currency: str
    due: date


@app.post("/chat")
async def chat(ask: Chat, user: User, deadline: Deadline) -> Response:
    """Stream the answer to a conversation."""
    return web.stream_response(llm.stream(ask.messages, tenant=user, deadline=deadline))


@app.post("/invoice")
async def invoice(ask: Text, user: User, deadline: Deadline) -> Response:
    """Stream the fields of an invoice as they are read."""
    prompt = f"Read this invoice:\n\n{ask.text}"
    return web.stream_response(llm.stream_partial(Invoice, prompt, tenant=user, deadline=deadline))


app.mount("/", StaticFiles(directory=Path(__file__).parent / "page", html=True))
