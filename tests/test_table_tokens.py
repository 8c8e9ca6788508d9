"""Tokenizers of towers that are not CLIP's own, and frames that a frozen tower saw before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from table_fakes import model, pictures
from tokenizers import Tokenizer as Words

from tagline.benchmarks.playhouse.train.towers import train_tokenizer as learn
from tagline.table.saving import from_pretrained, save_pretrained
from tagline.table.tokenizer import Tokenizer
from tagline.tagging.ml.config import BadConfig

TEXTS = ["a dog runs on the beach", "two dogs", "a girl is jumping"] * 3


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return learn(TEXTS, tmp_path / "clip" / "tokenizer.json")


def test_a_tokenizer_of_its_own_has_the_shape_of_clips(own: Path) -> None:
    tokens = Tokenizer(own)
    ids = tokens(["a dog runs", "", "a dog runs on the beach, two dogs, a girl is jumping"], 8)
    ends = ids.argmax(1).tolist()
    assert ids.shape == (3, 8)
    assert ids[:, 0].tolist() == [tokens.words] * 3  # [SOS]
    assert ends == [int((ids[0] > 0).sum()) - 1, 1, 7]  # what is too long ends early, with [EOS]
    assert ids[0, ends[0] + 1 :].tolist() == [0] * (7 - ends[0])
    inner = ids[0, 1 : ends[0]]
    assert int(inner.max()) < tokens.words
    assert Words.from_file(str(own)).decode(inner.tolist()).strip() == "a dog runs"
    assert tokens([], 8).shape == (0, 8)


def test_it_is_found_beside_weights_and_goes_with_the_model(own: Path, tmp_path: Path) -> None:
    assert Tokenizer.beside(own.parent / "open_clip_model.safetensors").vocabulary == own
    assert not Tokenizer.beside(None).own
    assert not Tokenizer.beside(tmp_path / "elsewhere" / "w.safetensors").own
    mark = save_pretrained(model(), tmp_path / "m", Tokenizer(own))
    saved = from_pretrained(tmp_path / "m")
    assert saved.fingerprint == mark
    assert torch.equal(saved.tokenizer(TEXTS, 8), Tokenizer(own)(TEXTS, 8))


def test_one_without_marks_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Tokens
    from tokenizers import models

    bare = tmp_path / "tokenizer.json"
    Tokens(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(bare))
    with pytest.raises(BadConfig, match="where a text starts"):
        Tokenizer(bare)
    bare.write_text("{}")
    with pytest.raises(BadConfig, match="is no tokenizer"):
        Tokenizer(bare)


def test_frames_that_were_seen_before_make_the_same_video() -> None:
    m, frames = model().eval(), pictures(2)
    tags = torch.tensor([[1, 5, 49407, 0, 0, 0]] * 2)
    with torch.no_grad():
        assert torch.equal(
            m.encode_videos(frames, None, tags).vectors,
            m.encode_videos(m.encode_frames(frames), None, tags).vectors,
        )
