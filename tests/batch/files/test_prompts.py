"""Prompts of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncllm import ConfigError
from asyncllm.batch.prompt_template import RowProblem, Template
from asyncllm.batch.prompts import OpenAIRows, Prompt, is_openai_row

PNG = b"\x89PNG\r\n\x1a\n0000"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{a.b}", "deep"),
        ("{c.d}", "dotted"),
        ("{list.1}", "ü"),
        ("{list}", '[1, "ü"]'),
        ("{n}|{t}", "|true"),
        ("{{a}} {a}", '{a} {"b": "deep"}'),
    ],
)
def test_fields_of_a_template(template: str, text: str) -> None:
    """`{a.b}` reaches into an object and `{a.0}` into a list, null is empty, and what is no text is JSON."""
    row = {"a": {"b": "deep"}, "c.d": "dotted", "n": None, "t": True, "list": [1, "ü"]}
    assert Template(template).render(row) == text


@pytest.mark.parametrize("template", ["{list.2}", "{list.x}", "{a.b.c}", "{missing}"])
def test_a_field_that_a_row_lacks_is_named(template: str) -> None:
    """The problem says which, for the line it is about."""
    with pytest.raises(RowProblem, match=template.strip("{}")):
        Template(template).render({"a": {"b": "deep"}, "list": [1, 2]})


@pytest.mark.parametrize("template", ["", "no field", "{", "{a", "{a!r}", "{a:>3}", "{}"])
def test_what_is_no_template_is_refused(template: str) -> None:
    """Braces that hold no field's name are a mistake, and so is a prompt that is the same for all."""
    with pytest.raises(ConfigError):
        Template(template)


def test_a_picture_by_its_path_address_or_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is looked for in the working directory, then beside the input; an empty one is no picture."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    prompt = Prompt(Template("{t}"), image_field="p", directory=tmp_path / "beside")
    for picture in ("a.png", "b.png", PNG):
        content = prompt.request({"t": "x", "p": picture}).messages[0]["content"]
        assert content[1]["image_url"]["url"].startswith("data:image/png;base64,")
    web = prompt.request({"t": "x", "p": "https://example.org/a.png"}).messages[0]["content"]
    assert web[1]["image_url"]["url"] == "https://example.org/a.png"
    assert prompt.request({"t": "x", "p": None}).messages[0]["content"] == "x"


@pytest.mark.parametrize(
    ("picture", "says"), [("nowhere.png", "cannot be read"), ("text.txt", "no picture"), (5, "path")]
)
def test_a_picture_that_is_none_is_a_problem_of_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Any, says: str
) -> None:
    """Nothing is sent for the row; the others are none the worse."""
    (tmp_path / "text.txt").write_text("no picture")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RowProblem, match=says):
        Prompt(Template("{t}"), image_field="p").request({"t": "x", "p": picture})


def openai_row(**body: Any) -> dict[str, Any]:
    """Return a row of a batch file of OpenAI's."""
    messages = [{"role": "user", "content": "Hi"}]
    whole = {"model": "gpt-5-mini", "messages": messages, **body}
    return {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": whole}


def test_a_row_of_openais_batch_files_is_a_request() -> None:
    """Its id, messages, model and parameters are taken as they are; how an answer travels is ours to say."""
    row = openai_row(temperature=0.2, stream=True, response_format={"type": "json_object"})
    assert is_openai_row(row)
    request = OpenAIRows().request(row, data="mine")
    assert (request.id, request.data) == ("r-1", "mine")
    assert request.messages == ({"role": "user", "content": "Hi"},)
    assert request.params == {
        "model": "gpt-5-mini",
        "temperature": 0.2,
        "response_format": {"type": "json_object"},
    }
    assert "model" not in OpenAIRows("openai/gpt-4o").request(row).params


@pytest.mark.parametrize(
    "row",
    [
        openai_row() | {"url": "/v1/embeddings"},
        openai_row() | {"method": "GET"},
        openai_row(messages=[]),
        openai_row(messages=5),
        openai_row(response_model="x"),
        {"text": "another row"},
    ],
)
def test_a_row_that_is_no_chat_request_is_a_problem(row: dict[str, Any]) -> None:
    """Other endpoints, no messages, or names that are the library's own."""
    with pytest.raises(RowProblem):
        OpenAIRows().request(row)
