"""A chat endpoint in FastAPI: the answer as server-sent events, stopped when the reader leaves.

uvicorn --app-dir examples/recipes fastapi_sse:app
curl -N http://127.0.0.1:8000/chat --json '{"user": "ada", "question": "Tell me a story."}'
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, Response
from pydantic import BaseModel, Field

from asyncllm import AsyncLLM, web

llm = AsyncLLM(max_concurrency=200, max_queue=400, tenant_max_concurrency=4, tenant_max_queue=8)
app = FastAPI(lifespan=web.lifespan(llm))
web.add_error_handlers(app)
Deadline = Annotated[float, Depends(web.request_deadline(longest=60))]


class Ask(BaseModel):
    """A question, and the user who asks it."""

    user: str
    question: str = Field(max_length=20_000)


@app.post("/chat")
async def chat(ask: Ask, deadline: Deadline) -> Response:
    """Stream the answer to a question."""
    return web.stream_response(llm.stream(ask.question, tenant=ask.user, deadline=deadline), protocol="events")
