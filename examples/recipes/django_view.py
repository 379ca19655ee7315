"""A Django view that streams an answer as server-sent events, in one file.

uvicorn --app-dir examples/recipes django_view:application
curl -N "http://127.0.0.1:8000/story?q=Tell+me+a+story"
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncllm import AsyncLLM, AsyncLLMError, CompletionStream, web

if not settings.configured:  # a project has its own settings
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"], MIDDLEWARE=[])
    django.setup()

llm = AsyncLLM(max_concurrency=200, max_queue=400, deadline=60)


async def story(request: HttpRequest) -> HttpResponseBase:
    """Stream the answer to a question; an error before the first chunk has a status of its own."""
    try:
        stream = await llm.acompletion(request.GET.get("q", "Tell me a story."), stream=True)
    except AsyncLLMError as error:
        problem = web.problem_of(error)
        return JsonResponse(problem.to_dict(), status=problem.status)
    return StreamingHttpResponse(events(stream), content_type="text/event-stream")


async def events(stream: CompletionStream) -> AsyncIterator[bytes]:
    """Give each chunk as an event; Django cancels this when the reader leaves."""
    async with stream:
        async for chunk in stream:
            yield f"data: {json.dumps(chunk.text)}\n\n".encode()


urlpatterns = [path("story", story)]

# Django has no lifespan of its own; around it, Starlette opens the client and closes it.
application = Starlette(lifespan=web.lifespan(llm), routes=[Mount("/", get_asgi_application())])
