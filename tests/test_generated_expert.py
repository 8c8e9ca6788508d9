"""The generated expert: from a library that people tagged, through training, to tags on other videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import fakes
import pytest
import seeing
from click.testing import CliRunner

from tagline.benchmarks.fixtures import random_weights
from tagline.experts.footage import Footage, Work
from tagline.experts.panel import Panel
from tagline.experts.tags import Modality, Report, Tag
from tagline.table.cli import train
from tagline.tagging.catalog.records import Caption, Look, Place
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.generator.config import load_preset, preset_names
from tagline.tagging.generator.data import from_catalog
from tagline.tagging.generator.expert import GeneratedExpert
from tagline.tagging.generator.saving import from_pretrained
from tagline.tagging.ml.config import with_settings
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run
from tagline.tagging.pipeline.walk import content_hash

TINY = {"width": 16, "heads": 2, "title_layers": 1, "hybrid_layers": 1, "prompt_layers": 1,
        "decoder_layers": 1, "prompts": 4, "frames": 4, "bf16": "false", "language": "letters", "batch": 8,
        "epochs": 3, "lr": 0.01, "dropout": 0.0, "evaluations": 1}  # fmt: skip
PLACES = ("paris", "rome", "oslo")


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(random_weights.towers(tmp_path_factory.mktemp("clip"), seeing.SMALL_CLIP))


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty-four videos whose titles name a place, tagged with it by people; the last six are test."""
    fakes.use_fakes(monkeypatch)
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "videos"
    with Catalog.open(folder) as catalog:
        for i in range(24):
            place = PLACES[i % 3]
            path = fakes.write_video(folder / f"v{i}.mp4", title=f"a day in {place}", salt=i)
            video = catalog.put_video(f"{i:064x}", title=f"a day in {place}")
            catalog.put_path(video, Place(str(path), 5, 1))
            tags = [Tag(text, Modality.HUMAN, 1.0, 0, 10, "uploader") for text in (place, "holiday")]
            tags.append(Tag("dog", Modality.OBJECT, 0.9, 0, 1, "x"))
            catalog.put_look(video, Look("uploader", Modality.HUMAN, "1", "f", Report(tags=tags[:2])))
            catalog.put_look(video, Look("x", Modality.OBJECT, "1", "f", Report(tags=tags[2:])))
            if i >= 18:
                catalog.put_captions(video, [Caption("seen never", split="test")])
    return folder


def invoke(library: Path, *more: str) -> tuple[int, str]:
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    answer = CliRunner().invoke(
        train, ["tagger", "--data", str(library), "--device", "cpu", *settings, *more]
    )
    return answer.exit_code, answer.output


def test_without_a_tagger_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path))
    expert = GeneratedExpert()
    assert expert.missing() == "not run: no tagger is trained yet; run `tagline train tagger --data LIBRARY`"
    assert len(expert.fingerprint()) == 64
    with pytest.raises(ValueError, match="no setting 'widht'"):
        GeneratedExpert(widht=3)


def test_trained_on_titles_and_frames_it_tags_other_videos(library: Path, towers: str) -> None:
    # The titles are three, and nothing else differs: they are known by heart long before the end.
    known = ("--set", "epochs=40", "--set", "shuffle=false")
    code, output = invoke(library, "--set", f"towers={towers}", *known)
    assert code == 0, output
    with Catalog.open(library) as catalog:
        embedded = set(catalog.vectors.read("appearance").ids.tolist())
    assert len(embedded) == 18  # those of "test" were not touched
    expert = GeneratedExpert()
    assert expert.missing() is None
    new = fakes.write_video(library / "new.mp4", title="a day in rome")
    untitled = fakes.write_video(library / "untitled.mp4", salt="x")
    seen = {s.path: s for s in Panel([expert]).run([Work(p, ("generated",)) for p in (new, untitled)])}
    report = seen[new].reports["generated"]
    assert isinstance(report, Report), report
    # What a few steps of training make of it is another on each processor; that it is of these words is not.
    assert report.tags
    assert {tag.text for tag in report.tags} <= {*PLACES, "holiday"}
    for tag in report.tags:
        assert (tag.modality, tag.source, tag.start, tag.end) == (Modality.GENERATED, "generated", 0.0, 10.0)
        assert 0.0 <= tag.score <= 1.0
    scores = [tag.score for tag in report.tags]
    assert scores == sorted(scores, reverse=True)
    other = seen[untitled].reports["generated"]
    assert isinstance(other, Report)
    assert any("no title" in note for note in other.notes)
    before = expert.fingerprint()
    assert GeneratedExpert(decoding="greedy").fingerprint() != before
    assert GeneratedExpert(weights=str(library.parent / "weights" / "tagger")).fingerprint() == before


def test_titles_alone_need_no_towers(library: Path) -> None:
    code, output = invoke(library, "--set", "use_frames=false")
    assert code == 0, output
    out = library / ".tagline" / "models" / "tagger-small"
    assert (out / "losses.png").exists()
    trained = from_pretrained(out / "model")
    assert "dog" not in trained.model.tags  # an expert said it, no person
    assert set(trained.model.tags) == {*PLACES, "holiday"}
    assert GeneratedExpert().missing() is None
    code, output = invoke(library, "--set", "use_frames=false")
    assert code == 1
    assert "finished" in output


def test_other_towers_than_those_it_learned_with_are_refused(
    library: Path, towers: str, tmp_path: Path
) -> None:
    code, output = invoke(library, "--set", f"towers={towers}", "--set", "epochs=1")
    assert code == 0, output
    other = str(random_weights.towers(tmp_path / "other", seeing.SMALL_CLIP, seed=5))
    panel = Panel([GeneratedExpert(towers=other)])
    list(panel.run([Work(library / "v0.mp4", ("generated",))]))
    assert "other towers" in panel.broken["generated"]


def test_mistakes_end_in_a_sentence(library: Path, tmp_path: Path) -> None:
    assert invoke(library, "--set", "widht=3")[0] == 2
    assert invoke(library, "--preset", "huge")[0] == 2
    code, output = invoke(tmp_path / "nowhere")
    assert code == 1
    assert "tagline tag FOLDER" in output
    with Catalog.open(tmp_path / "bare") as catalog, pytest.raises(ValueError, match="no tags that people"):
        from_catalog(catalog, load_preset("small"))


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_configurations(name: str) -> None:
    config = load_preset(name)
    assert config.model.prompted
    assert with_settings(config, ["prompts=7", "order=rare first"]).model.order == "rare first"


def test_the_paper_preset_is_the_paper() -> None:
    model = load_preset("paper").model
    assert (model.prompts, model.decoder_layers, model.hybrid_layers, model.prompt_layers) == (30, 12, 6, 6)
    assert (model.title_layers, model.width, model.frames, model.pad_weight) == (6, 768, 60, 0.3)
    assert (load_preset("paper").train.lr, load_preset("paper").train.weight_decay) == (2e-4, 0.002)


def test_in_a_library_the_title_is_the_catalogs_as_in_training(library: Path) -> None:
    class Listener(fakes.FakeExpert):
        titles: ClassVar[dict[str, str | None]] = {}

        def __call__(self, batch: Sequence[Footage]) -> list[Report]:
            for footage in batch:
                self.titles[Path(footage.path).name] = footage.facts.title
            return super().__call__(batch)

    named = fakes.write_video(library / "clip0042.mp4", title="untitled project", salt="named")
    fakes.write_video(library / "clip0043.mp4", title="its own", salt="unnamed")
    with Catalog.open(library) as catalog:
        catalog.put_video(content_hash(str(named)), title="a day in rome")  # as a data set calls it
        run(plan(catalog, [library], [Listener()]), Panel([Listener()]))
        assert {video.title for video in catalog.videos()} >= {"a day in rome", "its own"}
    assert Listener.titles["clip0042.mp4"] == "a day in rome"
    assert Listener.titles["clip0043.mp4"] == "its own"
