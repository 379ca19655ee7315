"""Images and files: media types, detection, data URLs."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from asyncllm import File, Image

# The first bytes of a file of each format.
HEADERS = {
    "image/png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "image/gif": b"GIF89a\x01\x00\x01\x00",
    "image/webp": b"RIFF\x1a\x00\x00\x00WEBPVP8 ",
}
OTHER_CONTENT = {
    "empty": b"",
    "text": b"hello",
    "PDF": b"%PDF-1.7",
    "BMP": b"BM\x00\x00\x00\x00",
    "TIFF": b"II*\x00",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "WAV": b"RIFF\x1a\x00\x00\x00WAVEfmt ",
    "WEBP without RIFF": b"XXXX\x1a\x00\x00\x00WEBP",
    "PNG without its line ends": b"\x89PNG\n\n\x1a\n",
    "half a JPEG marker": b"\xff\xd8",
    "GIF of another version": b"GIF88a",
    "PNG after a blank": b" \x89PNG\r\n\x1a\n",
}


def data_url(media_type: str, content: bytes) -> str:
    """Return the `data:` URL of a content."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize("media_type", HEADERS)
def test_the_type_of_an_image_is_detected(media_type: str, tmp_path: Path) -> None:
    """PNG, JPEG, GIF and WebP are recognised by their first bytes, not by the file name."""
    content = HEADERS[media_type]
    path = tmp_path / "image.bin"
    path.write_bytes(content)
    assert Image.from_bytes(content).url == data_url(media_type, content)
    assert Image.from_path(path) == Image.from_path(str(path)) == Image.from_bytes(content)


def test_both_versions_of_gif_are_detected() -> None:
    """GIF87a is a GIF too."""
    assert Image.from_bytes(b"GIF87a\x01").url.startswith("data:image/gif;base64,")


@pytest.mark.parametrize("kind", OTHER_CONTENT)
def test_other_bytes_are_refused(kind: str, tmp_path: Path) -> None:
    """Other content is an error with the remedy; of a file, with its path."""
    content = OTHER_CONTENT[kind]
    path = tmp_path / "chart.png"
    path.write_bytes(content)
    expected = "not a PNG, JPEG, GIF or WebP image; convert it, or pass media_type="
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Image.from_bytes(content)
    assert str(caught.value) == expected
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Image.from_path(path)
    assert str(caught.value) == f"{path}: {expected}"
    assert caught.value.__cause__ is None


def test_a_given_type_is_not_detected(tmp_path: Path) -> None:
    """With a media type, any content is accepted under that type."""
    path = tmp_path / "scan.tiff"
    path.write_bytes(OTHER_CONTENT["TIFF"])
    expected = data_url("image/tiff", OTHER_CONTENT["TIFF"])
    assert Image.from_bytes(OTHER_CONTENT["TIFF"], "image/tiff").url == expected
    assert Image.from_path(path, "image/tiff").url == expected
    assert Image.from_bytes(HEADERS["image/png"], "image/x-own").url == data_url("image/x-own", HEADERS["image/png"])


def test_options_of_an_image_are_kept(tmp_path: Path) -> None:
    """Detail and cache mark are those given, from every source."""
    options: Any = {"detail": "high", "cache_control": {"type": "ephemeral"}}
    path = tmp_path / "a.png"
    path.write_bytes(HEADERS["image/png"])
    for image in (
        Image.from_url("https://example.com/a.png", **options),
        Image.from_bytes(HEADERS["image/png"], **options),
        Image.from_path(path, **options),
    ):
        assert (image.detail, image.cache_control) == ("high", {"type": "ephemeral"})


def test_a_url_is_not_fetched() -> None:
    """A URL is passed on as it is; a request would fail this test."""
    assert Image.from_url("https://example.com/a.png") == Image("https://example.com/a.png")


def test_a_missing_image_is_an_os_error(tmp_path: Path) -> None:
    """A file that cannot be read raises the system's error."""
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        Image.from_path(tmp_path / "none.png")


def test_the_type_of_a_file_follows_from_its_name(tmp_path: Path) -> None:
    """The extension decides; a given type wins over it."""
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF-1.7")
    expected = File(data=data_url("application/pdf", b"%PDF-1.7"), filename="report.pdf")
    assert File.from_path(path) == File.from_path(str(path)) == expected
    assert File.from_path(path, "text/plain").data == data_url("text/plain", b"%PDF-1.7")


def test_a_file_without_a_known_type_is_refused(tmp_path: Path) -> None:
    """A name without a known extension needs a type, and the error says so."""
    path = tmp_path / "report.unknown-type"
    path.write_bytes(b"x")
    with pytest.raises(
        ValueError, match=r"report\.unknown-type: the file name has no known media type; pass media_type="
    ):
        File.from_path(path)
    assert File.from_path(path, "text/plain").filename == "report.unknown-type"


def test_a_file_from_bytes_has_its_type_and_name() -> None:
    """Content, type and name are sent; the name is optional."""
    file = File.from_bytes(b"a,b", "text/csv", filename="a.csv")
    assert file == File(data=data_url("text/csv", b"a,b"), filename="a.csv")
    assert File.from_bytes(b"a,b", "text/csv").filename is None


def test_a_file_by_id_has_no_content() -> None:
    """The id of an upload is all that is sent."""
    assert File.from_id("file-1").to_dict() == {"type": "file", "file": {"file_id": "file-1"}}
