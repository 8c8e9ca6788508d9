"""From a catalog to batches: which tags are read, who shares a pass, how words are masked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from table_fakes import EOS, SOS, tiny

from tagline.experts.tags import Modality, Report, Tag
from tagline.table.config import TagChoice
from tagline.table.data import TableDataset, Tokenizer, collate, pad_frames
from tagline.table.frame_cache import FramesInMemory
from tagline.table.objective import IGNORE_INDEX, mask_words
from tagline.table.rows import Row, frame_key, rows, split_validation, tag_text, texts_of
from tagline.tagging.catalog.records import Caption, Look, Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.ml.sampler import EpochBatchSampler


def tag(text: str, modality: str, score: float, start: float = 0.0) -> Tag:
    return Tag(text, Modality(modality), score, start, start + 1, "test")


TAGS = [
    tag("beach", "scene", 0.9),
    tag("dog", "object", 0.5),
    tag("ball", "object", 0.7),
    tag("dog", "object", 0.8, start=5),  # another span of the same thing
    tag("man", "person", 0.6),
    tag("surfing", "motion", 0.95),
    tag("waves", "speech", 0.3),
    tag("EXIT", "screen", 0.9),
    tag("wave", "object", 0.7),
]


def test_tags_become_one_text_in_the_papers_order() -> None:
    assert tag_text(TAGS, TagChoice()) == "dog, ball, wave, man, beach, surfing, waves"
    assert tag_text(TAGS, TagChoice(most=2)) == "dog, ball, man, beach, surfing, waves"
    assert tag_text(TAGS, TagChoice(min_score=0.65)) == "dog, ball, wave, beach, surfing"
    assert tag_text(TAGS, TagChoice(("screen", "speech"))) == "waves, EXIT"
    assert tag_text(TAGS, TagChoice(())) == ""


def test_a_catalog_becomes_rows_by_split(tmp_path: Path) -> None:
    with Catalog.in_memory(tmp_path) as catalog:
        for name, split in (("a", "train"), ("b", ""), ("c", "test"), ("d", None)):
            video = catalog.put_video(name * 64)
            catalog.put_path(video, Place(str(tmp_path / f"{name}.mp4"), 1, 1))
            report = Report(tags=[tag(f"thing {name}", "object", 0.5)])
            catalog.put_look(video, Look("x", Modality.OBJECT, "1", "f", report))
            if split is not None:
                catalog.put_captions(
                    video, [Caption(f"one {name}", split=split), Caption(f"two {name}", split=split)]
                )
        found = rows(catalog, TagChoice(), "train")
        # A caption that says no split was made to learn from.
        assert [Path(row.name).name for row in found] == ["a.mp4", "b.mp4"]
        assert found[0].texts == ("one a", "two a")
        assert found[0].tags == "thing a"
        assert found[0].key == "a" * 64
        assert [row.texts for row in rows(catalog, TagChoice(), "test", "paragraph")] == [("one c two c",)]


def test_a_paragraph_follows_the_clock() -> None:
    captions = [Caption("then", 5, 10), Caption("first", 0, 5), Caption("last")]
    assert texts_of(captions, "paragraph") == ("first then last",)


def test_an_imported_name_is_no_content_hash(tmp_path: Path) -> None:
    path = tmp_path / "video0.mp4"
    path.write_bytes(b"one")
    with Catalog.in_memory(tmp_path) as catalog:
        video = catalog.video(catalog.put_video("msrvtt:video0"))
        assert video is not None
        before = frame_key(video, path)
        path.write_bytes(b"other")
        assert frame_key(video, path) != before


def row(i: int, texts: int = 3) -> Row:
    return Row(f"v{i}.mp4", f"key{i}", tuple(f"text {j} of {i}" for j in range(texts)), "dog, man")


def test_validation_is_carved_from_train_and_stays_where_it_is() -> None:
    whole = [row(i) for i in range(50)]
    train, validation = split_validation(whole, 0.2, 1000)
    assert len(validation) == 10
    assert {r.key for r in train} | {r.key for r in validation} == {r.key for r in whole}
    assert not {r.key for r in train} & {r.key for r in validation}
    assert all(len(r.texts) == 1 for r in validation)
    assert split_validation(whole[::-1], 0.2, 1000)[1][0].texts in [r.texts for r in validation]
    assert {r.key for r in split_validation(whole[:-5], 0.2, 1000)[1]} - {r.key for r in validation} < {
        r.key for r in whole
    }
    assert len(split_validation(whole, 0.5, 7)[1]) == 7
    assert split_validation(whole, 0.2, 1000, seed=1)[1] != validation


# -- words -------------------------------------------------------------------------------------------


def test_the_tokenizer_is_clips() -> None:
    ids = Tokenizer()(["a dog", "", "word " * 50], 8)
    assert ids[0].tolist() == [SOS, 320, 1929, EOS, 0, 0, 0, 0]  # CLIP's own ids
    assert ids[1].tolist() == [SOS, EOS, 0, 0, 0, 0, 0, 0]
    assert ids[2, -1] == EOS
    assert Tokenizer()([], 8).shape == (0, 8)


def test_words_are_masked_as_bert_masks_them() -> None:
    rng = np.random.default_rng(0)
    ids = np.zeros(32, np.int64)
    ids[0], ids[1:26], ids[26] = SOS, rng.integers(1, SOS, 25), EOS
    trials = 4000
    chosen = masked = random = 0
    for _ in range(trials):
        shown, mask, words = mask_words(ids, SOS, rng)
        asked = words != IGNORE_INDEX
        assert np.array_equal(words[asked], ids[asked])
        assert not asked[0]
        assert not asked[26:].any()
        assert not (mask & ~asked).any()
        assert np.array_equal(shown[~asked], ids[~asked])
        assert shown.argmax() == 26  # [EOS] is still the largest id
        chosen += asked.sum()
        masked += mask.sum()
        random += (shown != ids).sum()
    assert chosen / (trials * 25) == pytest.approx(0.15, abs=0.003)
    assert masked / chosen == pytest.approx(0.8, abs=0.01)
    assert random / chosen == pytest.approx(0.1, abs=0.01)


def test_an_empty_text_has_nothing_to_mask() -> None:
    shown, mask, words = mask_words(np.array([SOS, EOS, 0, 0]), SOS, np.random.default_rng(0))
    assert shown.tolist() == [SOS, EOS, 0, 0]
    assert not mask.any()
    assert (words == IGNORE_INDEX).all()


# -- samples -----------------------------------------------------------------------------------------


def test_texts_of_one_video_share_its_frames() -> None:
    videos = [row(0), row(1, texts=2), Row("v2.mp4", "key2", ("alone",), "")]
    frames = FramesInMemory({f"key{i}": np.full((3 - (i == 1), 3, 16, 16), i, np.uint8) for i in range(3)})
    lessons = TableDataset(videos, frames, tiny(), Tokenizer())
    units = EpochBatchSampler([3, 2, 1], 6, 2, seed=0)
    first = next(iter(units))
    b = collate([lessons[unit] for unit in first])
    assert b["frames"].shape == (3, 3, 3, 16, 16)
    assert b["text"].shape == b["shown"].shape == b["words"].shape == (6, 8)
    assert b["video_of_text"].tolist() == [0, 0, 1, 1, 2, 2]
    for i, unit in enumerate(first):
        assert b["names"][i] == f"v{unit.row}.mp4"
        assert (b["frames"][i] == unit.row).all()
        assert b["frame_valid"][i].tolist() == [True, True, unit.row != 1]
        assert bool(b["tagged"][i]) == (unit.row != 2)
        wanted = Tokenizer()([videos[unit.row].texts[t] for t in unit.texts], 8)
        assert torch.equal(b["text"][2 * i : 2 * i + 2], wanted)
    again = collate([lessons[unit] for unit in first])
    assert torch.equal(again["masked"], b["masked"])


def test_a_short_video_is_marked_and_never_black() -> None:
    frames, valid = pad_frames(np.full((2, 3, 4, 4), 9, np.uint8), 5)
    assert frames.shape == (5, 3, 4, 4)
    assert (frames == 9).all()
    assert valid.tolist() == [True, True, False, False, False]
