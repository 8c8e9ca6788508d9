"""The measurement on real clips: its counting by hand, and the whole of it on made-up clips."""

from __future__ import annotations

from pathlib import Path

import fakes
import numpy as np
import pytest

from tagline.benchmarks.quality import real_clips, tag_sheet, word_errors
from tagline.experts.tags import Modality, Tag
from tagline.retrieval.library import Library


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "", 3),
        ("", "a b", 2),
        ("a b c", "a c", 1),
        ("a b c", "a x c d", 2),
        ("kitten", "kitten kitten", 1),
    ],
)
def test_errors_are_what_one_counts_by_hand(said: str, heard: str, wrong: int) -> None:
    assert word_errors.errors(said.split(), heard.split()) == wrong
    assert word_errors.errors(heard.split(), said.split()) == wrong


def test_words_are_compared_as_whisper_compares_them() -> None:
    pytest.importorskip("whisper")
    assert word_errors.words("Lay red with P9 again.") == word_errors.words("lay red with p nine again")
    assert word_errors.word_error_rate([("bin blue at", "Bin blue, at!"), ("red now", "red")]) == 0.2
    assert word_errors.word_error_rate([]) is None


def test_ranks_become_figures_with_intervals_over_files() -> None:
    found = real_clips.rank_figures(np.array([1.0, 1.0, 2.0, 8.0]), [0, 0, 1, 2])
    assert (found["r1"], found["r5"]) == (0.5, 0.75)
    assert found["mrr"] == pytest.approx((1 + 1 + 0.5 + 0.125) / 4, abs=1e-3)
    assert found["r1_interval"][0] <= 0.5 <= found["r1_interval"][1]


def test_a_sheet_is_judged_and_counted(tmp_path: Path) -> None:
    film = fakes.write_video(tmp_path / "a.mp4")
    tags = [Tag(f"dog {i}", Modality.OBJECT, 0.5, 0.0, 1.0, "things") for i in range(20)]
    chosen = tag_sheet.choose([tag_sheet.SheetTag(str(film), tag) for tag in tags], 15)
    assert len({one.tag.text for one in chosen}) == 15
    tag_sheet.write_sheet(chosen, tmp_path / "sheet")
    assert sorted(path.name for path in (tmp_path / "sheet").glob("*.png")) == [
        "sheet-01.png",
        "sheet-02.png",
    ]
    file = tmp_path / "sheet" / tag_sheet.VERDICTS
    lines = file.read_text(encoding="utf-8").splitlines()
    judged = [line + verdict for line, verdict in zip(lines[1:], "yyyn?" + "y" * 10, strict=True)]
    file.write_text("\n".join([lines[0], *judged]) + "\n", encoding="utf-8")
    found = tag_sheet.read_verdicts(file)
    assert (found["judged"], found["right"]) == (14, pytest.approx(13 / 14))
    assert found["by_modality"]["object"]["judged"] == 14


def test_questions_with_and_without_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films = tmp_path / "films"
    tags = {"dog.mp4": {"tags": {"object": ["dog"]}}, "cat.mp4": {"tags": {"object": ["cat"]}}}
    with fakes.library(films, tags) as catalog:
        (films / "QUESTIONS.tsv").write_text(
            "question\tfile\na dog\tdog.mp4\ncat\tcat.mp4\na volcano\tnone\n", encoding="utf-8"
        )
        captions = tmp_path / "captions.json"
        captions.write_text('{"dog": ["a dog barks", "dogs"], "absent": ["x"]}')
        asked = real_clips.questions(films, captions)
        assert [(one.text, one.file) for one in asked] == [
            ("a dog", "dog.mp4"),
            ("cat", "cat.mp4"),
            ("a volcano", None),
            ("a dog barks", "dog.mp4"),
            ("dogs", "dog.mp4"),
        ]
        values, rows = real_clips.answers(Library.of(catalog), asked)
    assert (values["questions"], values["candidates"]) == (4, 2)
    assert values["words_r1"] >= 0.5
    assert values["answered_none"] in (0, 1)
    assert [row.get("file") for row in rows] == [one.file for one in asked]


def test_what_is_said_is_compared_by_the_names_of_files(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    (films / "CLIPS.tsv").write_text("file\tshows\tsaid\na.mp4\tx\tset blue at b nine\nb.mp4\ty\t\n")
    (films / "c.txt").write_text("good morning")
    videos = {"a.mp4": {"words": "set blue at nine"}, "b.mp4": {}, "c.mp4": {"words": "good morning"}}
    with fakes.library(films, videos) as catalog:
        spoken = real_clips.spoken_in(films, [films])
        assert set(spoken) == {"a.mp4", "c.mp4"}
        heard = real_clips.words_heard(Library.of(catalog), spoken)
    assert heard == {"a.mp4": "set blue at nine", "c.mp4": "good morning"}


def test_a_plain_decode_reads_what_can_be_read(tmp_path: Path) -> None:
    from filming import Film, shoot

    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    assert real_clips.plain_decode(broken) == 0
    assert real_clips.plain_decode(shoot(tmp_path / "fine.mp4", Film(count=10))) == 10
