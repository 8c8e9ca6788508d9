"""Sets of videos on disk: what a decoder finds in them, the cache, the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tagline.benchmarks.cli.playhouse import playhouse
from tagline.benchmarks.playhouse.render import video as render
from tagline.benchmarks.playhouse.truth import sets
from tagline.benchmarks.playhouse.world.scenario import scenario


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> sets.RenderedSet:
    return sets.render_set("tiny", tmp_path_factory.mktemp("tiny"), jobs=2)


def test_videos_decode_to_what_was_drawn_and_said(tiny: sets.RenderedSet) -> None:
    import av

    truths = tiny.truths()
    assert len(tiny.specs) == 8
    for spec in tiny.specs:
        world = scenario(spec.seed)
        with av.open(str(tiny.path(spec))) as container:
            assert container.metadata["title"] == truths[spec.seed].title
            video = container.streams.video[0]
            assert video.codec.name == "h264"
            assert bool(container.streams.audio) == world.sound
            if world.sound:
                assert container.streams.audio[0].codec_context.name == "aac"
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video)]
        assert len(pictures) == round(world.duration * world.fps)
        assert pictures[0].shape == (world.height, world.width, 3)
    world = scenario(tiny.specs[0].seed)
    drawn, _ = render.frames(tiny.specs[0].seed)
    with av.open(str(tiny.path(tiny.specs[0]))) as container:
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.abs(drawn.astype(int) - decoded).mean() < 14


def test_the_same_seed_decodes_to_the_same_content(tiny: sets.RenderedSet, tmp_path: Path) -> None:
    spec = tiny.specs[-1]
    again = render.render_video(spec, tmp_path, tiny.truths()[spec.seed].title)
    assert render.digest(again) == render.digest(tiny.path(spec))
    other = tiny.path(tiny.specs[0])
    assert render.digest(other)["pictures"] != render.digest(again)["pictures"]


def test_what_is_there_is_kept_and_what_is_missing_is_made(tiny: sets.RenderedSet) -> None:
    gone, kept = tiny.path(tiny.specs[0]), tiny.path(tiny.specs[1])
    stamp = kept.stat().st_mtime_ns
    gone.unlink()
    calls: list[tuple[int, int]] = []
    sets.render_set("tiny", tiny.folder, jobs=1, progress=lambda *call: calls.append(call))
    assert gone.exists()
    assert kept.stat().st_mtime_ns == stamp
    assert calls == [(7, 8), (8, 8)]
    assert not list(tiny.folder.glob("*.part"))


def test_a_folder_of_something_else_is_refused(tiny: sets.RenderedSet, tmp_path: Path) -> None:
    with pytest.raises(sets.OtherSet, match="choose another folder"):
        sets.render_set("tiny", tiny.folder, seed=3)
    (tmp_path / sets.TRUTH).write_text("[]")
    with pytest.raises(sets.OtherSet, match="not a playhouse's truth"):
        sets.render_set("tiny", tmp_path)


def test_commands(tiny: sets.RenderedSet, tmp_path: Path) -> None:
    made = CliRunner().invoke(playhouse, ["render", "tiny", str(tiny.folder)])
    assert made.exit_code == 0, made.output
    assert "8 videos" in made.output
    refused = CliRunner().invoke(playhouse, ["render", "demo", str(tiny.folder)])
    assert refused.exit_code == 1
    assert "choose another folder" in refused.output
    shown = CliRunner().invoke(playhouse, ["card", "tiny", "--json", "--out", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    parts = json.loads(shown.output)
    assert parts["set"]["videos"] == 8
    assert parts["set"]["captions"] == 160
    assert {Path(path).name for path in parts["files"]} == {"sheet.png", "tags.png"}
    assert all(Path(path).stat().st_size > 5000 for path in parts["files"])
    plain = CliRunner().invoke(playhouse, ["card", "tiny"])
    assert "USER TAGS" in plain.output
