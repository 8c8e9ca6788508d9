"""docs/python.md: its lines work, one block after the other, on a library of stand-ins."""

from __future__ import annotations

import re
from pathlib import Path

import fakes
import pytest
from embedding import use_fake_embedder

from tagline.tagging.catalog.records import Caption

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_block_is_ten_lines_or_so() -> None:
    lines = [line for line in blocks()[0].splitlines() if line.strip()]
    assert 6 <= len(lines) <= 10


def test_the_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TAGLINE_LIBRARY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    use_fake_embedder(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr("tagline.tagging.library._device", lambda *_: "cpu")
    monkeypatch.setattr("tagline.experts.devices.choose_device", lambda wish: "cpu")
    monkeypatch.chdir(tmp_path)
    videos = tmp_path / "Videos"
    fakes.write_video(
        videos / "holiday.mp4", tags={"object": ["dog", "cat"], "scene": ["beach"]}, duration=99
    )
    fakes.write_video(videos / "rome.mp4", tags={"object": ["ice cream"]}, words="somebody speaks of food")
    names: dict[str, object] = {}
    first, *rest = blocks()
    exec(compile(first, str(PAGE), "exec"), names)
    shown = capsys.readouterr().out
    assert str(videos / "holiday.mp4") in shown
    assert "dog object 0.0 99" in shown
    library = names["library"]
    video = library.find("holiday")  # type: ignore[attr-defined]
    library.catalog.put_captions(video.id, [Caption("a dog on the beach")])  # type: ignore[attr-defined]
    for block in rest:
        exec(compile(block, str(PAGE), "exec"), names)
    shown = capsys.readouterr().out
    assert "nothing answers" in shown
    assert "search " in shown
    assert (tmp_path / "exports").is_dir()
    tags = {tag.text for tag in library.show("holiday").tags}  # type: ignore[attr-defined]
    assert "cat" not in tags
    assert "Anna" not in tags, "the last word was taken back"
