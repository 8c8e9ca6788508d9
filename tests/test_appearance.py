"""The towers: the vectors are open_clip's own, loaded once a process, from a folder, a name or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import open_clip
import pytest
import seeing
import torch
from PIL import Image

from tagline.benchmarks.fixtures import random_weights
from tagline.experts import clip
from tagline.experts.footage import PerSecond, View, Work
from tagline.experts.panel import Panel
from tagline.experts.scene import SceneExpert
from tagline.experts.tags import Report
from tagline.experts.weights import registry


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights.towers(tmp_path_factory.mktemp("clip"), seeing.SMALL_CLIP)


@pytest.fixture
def towers(folder: Path) -> clip.ClipEncoder:
    return clip.clip_encoder(str(folder))


def test_frames_and_texts_have_the_vectors_that_open_clip_gives_them(
    towers: clip.ClipEncoder, folder: Path
) -> None:
    model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}", pretrained_text=False)
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    frames = seeing.frames(4, (90, 160))
    with torch.no_grad():
        pictures = torch.stack([prepare(Image.fromarray(frame)) for frame in frames])
        theirs = model.encode_image(pictures, normalize=True).numpy()
        words = model.encode_text(tokenize(["a dog", "two men"]), normalize=True).numpy()
    np.testing.assert_allclose(towers.encode_frames(frames), theirs, atol=2e-3)
    np.testing.assert_allclose(towers.encode_texts(["a dog", "two men"]), words, atol=1e-5)


def test_texts_of_any_length_in_any_order_have_the_vectors_of_the_long_way(
    towers: clip.ClipEncoder,
) -> None:
    texts = ["a dog", "", "a very long text about two dogs that run and run and run until the end", "cat"] * 3
    tokens = towers.tokenize(texts)
    with torch.no_grad():
        theirs = towers.model.encode_text(tokens, normalize=True).numpy()
        np.testing.assert_allclose(towers.encode_texts(texts), theirs, atol=1e-5)
        short = clip.encode_text(towers.model, tokens)
        long = towers.model.encode_text(tokens)
    torch.testing.assert_close(short, long, atol=1e-5, rtol=1e-4)


def test_vectors_have_length_one_and_do_not_depend_on_company(towers: clip.ClipEncoder) -> None:
    videos = [seeing.frames(n, shape, n) for n, shape in ((5, (90, 160)), (0, (9, 9)), (9, (70, 50)))]
    together = towers.encode_videos(videos)
    assert [len(vectors) for vectors in together] == [5, 0, 9]
    for frames, vectors in zip(videos, together, strict=True):
        if len(frames):
            alone = np.concatenate([towers.encode_frames(frame[None]) for frame in frames])
            np.testing.assert_allclose(vectors, alone, atol=1e-5)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert towers.encode_texts([]).shape == (0, 0)


def test_towers_are_loaded_once_for_everybody(folder: Path, tmp_path: Path) -> None:
    first = clip.clip_encoder(str(folder))
    assert clip.clip_encoder(str(folder / ".." / folder.name)) is first
    copied = tmp_path / "elsewhere"
    copied.mkdir()
    for file in folder.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    assert clip.clip_encoder(str(copied)) is first  # the same weights are the same towers
    assert first.fingerprint == registry.find(str(folder)).sha256
    clip.unload_all()
    assert clip.clip_encoder(str(folder)) is not first


def test_a_named_architecture_takes_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "small", json.loads(json.dumps(seeing.SMALL_CLIP)))
    by_file = clip.clip_encoder(str(folder / "open_clip_model.safetensors"), architecture="small")
    by_folder = clip.clip_encoder(str(folder))
    frames = seeing.frames(2, (64, 64))
    np.testing.assert_allclose(by_file.encode_frames(frames), by_folder.encode_frames(frames), atol=1e-5)


def test_half_precision_and_settings_survive_the_folder(tmp_path: Path) -> None:
    model = clip.build_clip(seeing.SMALL_CLIP)
    wants = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}
    saved = clip.save_clip(model, tmp_path, seeing.SMALL_CLIP, preprocess_cfg=wants, half=True)
    again, _, preparation = clip.load_clip(saved)
    assert (preparation.mean, preparation.scale, preparation.size) == ((0.1, 0.2, 0.3), None, (64, 64))
    assert again.visual.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(again.visual.conv1.weight, model.visual.conv1.weight, atol=1e-3, rtol=1e-3)


def test_a_tokenizer_of_ones_own_is_used_and_the_end_is_kept(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "a", "dog", "runs", "[START]", "[END]"]
    own = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[PAD]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    own.post_processor = processors.TemplateProcessing(
        single="[START] $A [END]", special_tokens=[("[START]", 4), ("[END]", 5)]
    )
    own.save(str(tmp_path / "own.json"))
    config: dict[str, Any] = json.loads(json.dumps(seeing.SMALL_CLIP))
    config["text_cfg"] |= {"vocab_size": len(words), "context_length": 5}
    model = clip.build_clip(config)
    saved = clip.save_clip(model, tmp_path / "clip", config, tokenizer=tmp_path / "own.json")
    _, tokenize, _ = clip.load_clip(saved)
    assert tokenize(["a dog", "a dog runs a dog"]).tolist() == [[4, 1, 2, 5, 0], [4, 1, 2, 3, 5]]
    texts = clip.clip_encoder(str(saved)).encode_texts(["a dog", "runs"])
    assert texts.shape == (2, 32)


def test_a_pickle_is_refused_and_absence_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({}, tmp_path / "clip.pt")
    with pytest.raises(registry.WeightsRefused, match="--allow-pickle"):
        clip.clip_encoder(str(tmp_path / "clip.pt"), architecture="ViT-B-32")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path))
    with pytest.raises(registry.WeightsMissing, match="tagline models pull appearance"):
        clip.clip_encoder()


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames went through a visual tower, call by call."""
    counts: list[int] = []
    real = clip.ClipEncoder._encode_pictures

    def counted(self: clip.ClipEncoder, fitted: torch.Tensor) -> clip.Vectors:
        counts.append(len(fitted))
        return real(self, fitted)

    monkeypatch.setattr(clip.ClipEncoder, "_encode_pictures", counted)
    return counts


def test_a_frame_is_encoded_once_however_many_experts_ask(
    towers: clip.ClipEncoder, tmp_path_factory: pytest.TempPathFactory, encoded: list[int]
) -> None:
    few, many, small = PerSecond(1.0, 3), PerSecond(1.0, 6), PerSecond(1.0, 3, 64)
    frames = seeing.frames(6, (90, 160))
    film = seeing.footage([])
    film.views = {
        few: View(frames[::2], np.arange(0.0, 6.0, 2.0)),
        many: View(frames, np.arange(6.0)),
        small: View(seeing.frames(3, (64, 96)), np.arange(0.0, 6.0, 2.0)),
    }
    first = towers.embed_views([film], few)[0]
    assert sum(encoded) == 3
    second = towers.embed_views([film], many)[0]
    assert sum(encoded) == 6, "of the longer view only what is new"
    np.testing.assert_array_equal(second[::2], first)
    np.testing.assert_allclose(second, towers.encode_frames(frames), atol=1e-6)
    encoded.clear()
    towers.embed_views([film, film], many)
    assert sum(encoded) == 0
    towers.embed_views([film], small)
    assert sum(encoded) == 3, "pictures of another size are other pictures"
    other = clip.clip_encoder(
        str(random_weights.towers(tmp_path_factory.mktemp("other"), seeing.SMALL_CLIP, seed=3))
    )
    different = other.embed_views([film], few)[0]
    assert sum(encoded) == 6, "and other weights make other vectors"
    assert not np.allclose(different, first)
    film.close()
    assert film.embeddings == {}


def test_a_view_without_frames_has_no_vectors(towers: clip.ClipEncoder) -> None:
    sampling = PerSecond()
    film = seeing.footage([])
    film.views = {sampling: View(seeing.frames(0, (9, 9)), np.zeros(0))}
    assert len(towers.embed_views([film], sampling)[0]) == 0


class Second(SceneExpert):
    """Another expert that asks the same towers, for more frames."""

    name = "second"


def test_the_panel_has_each_frame_encoded_once_for_two_experts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoded: list[int]
) -> None:
    fakes.use_fakes(monkeypatch)
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path))
    same = {"clip": str(folder), "precision": "float32"}
    experts = [SceneExpert(**same), Second(**same, rate=0.5)]
    paths = [fakes.write_video(tmp_path / f"{n}.mp4", salt=n) for n in range(3)]
    frames = 0
    for seen in Panel(experts).run(Work(path, ("scene", "second")) for path in paths):
        assert seen.footage is not None
        assert {name for name, report in seen.reports.items() if isinstance(report, Report)} == {
            "scene",
            "second",
        }
        frames += len(seen.footage.view(experts[1].sampling).times)
    assert frames
    assert sum(encoded) == frames
