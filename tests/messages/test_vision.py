"""Images for models with and without vision."""

from __future__ import annotations

from typing import Any

import pytest

from asyncllm import AsyncLLM, Image, Message, UnsupportedError
from asyncllm.messages import has_images
from asyncllm.simulator import Simulator

URL = "https://example.com/a.png"
PART = {"type": "image_url", "image_url": {"url": URL}}
WITHOUT_VISION = "openai/o3-mini"  # litellm's map lists it without vision

FORMS: dict[str, Any] = {
    "message": Message.user("What is this?", Image(URL)),
    "dict": {"role": "user", "content": [{"type": "text", "text": "What is this?"}, PART]},
    "in an earlier turn": [Message.user(Image(URL)), Message("assistant", "A cat."), "Really?"],
}


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS)
async def test_disable_vision_refuses_images(llm: AsyncLLM, simulator: Simulator, form: str) -> None:
    """With `disable_vision` a request with an image is refused before anything is sent; texts are not."""
    without_images = llm.with_options(disable_vision=True)
    with pytest.raises(UnsupportedError, match="disable_vision"):
        await without_images.acompletion(FORMS[form])
    with pytest.raises(UnsupportedError, match="disable_vision"):
        async with without_images.stream(FORMS[form]):
            pass
    assert simulator.seen.requests == 0
    await without_images.acompletion("What is this?")
    assert simulator.seen.requests == 1


@pytest.mark.anyio
@pytest.mark.parametrize("form", FORMS)
async def test_a_model_without_vision_refuses_images(options: dict[str, Any], simulator: Simulator, form: str) -> None:
    """A model that litellm's map lists without vision is not sent an image; texts are sent."""
    async with AsyncLLM(**dict(options, model=WITHOUT_VISION)) as llm:
        with pytest.raises(UnsupportedError, match=f"{WITHOUT_VISION} does not "):
            await llm.acompletion(FORMS[form])
        assert simulator.seen.requests == 0
        await llm.acompletion("What is this?")
        assert simulator.seen.requests == 1


@pytest.mark.anyio
async def test_images_are_sent_to_a_model_with_vision(llm: AsyncLLM, simulator: Simulator) -> None:
    """Text and image arrive as they were given, in order."""
    image = Image.from_bytes(b"\x89PNG\r\n\x1a\n", detail="low")
    await llm.acompletion(Message.user("What is this?", image))
    (body,) = simulator.seen.bodies
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
            ],
        }
    ]


@pytest.mark.anyio
async def test_a_model_of_unknown_abilities_gets_images(options: dict[str, Any], simulator: Simulator) -> None:
    """Only a model that is known to have no vision is refused an image."""
    async with AsyncLLM(**dict(options, model="openai/our-own-model")) as llm:
        assert llm.model_info.vision is None
        await llm.acompletion(FORMS["message"])
    assert simulator.seen.requests == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("image_url", False),
        (None, False),
        ([], False),
        (["image_url"], False),
        ([{"type": "text", "text": "image_url"}], False),
        ([{"type": "file", "file": {"file_id": "f"}}], False),
        ([PART], True),
        ([{"type": "text", "text": "a"}, {"type": "image", "source": {}}], True),
        ((PART,), True),
    ],
)
def test_images_are_found_among_parts(content: object, expected: bool) -> None:
    """Image parts count in any form that providers know; a text about images does not."""
    assert has_images([{"role": "user", "content": content}]) is expected
    assert has_images([{"role": "user"}, {"role": "user", "content": content}]) is expected
