"""Files with sound alone: read, heard, shown and searched; what needs pictures says that there are none."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import tone, write_coded

from tagline.experts.attacks import hostile
from tagline.experts.decode.decoder import Decoder
from tagline.experts.footage import SOUND_RATE, PerSecond, Sampling, Sound, Uniform, Unreadable, Work
from tagline.experts.panel import NO_PICTURES, Panel
from tagline.experts.tags import Modality, Report, Tag
from tagline.tagging.pipeline.walk import ENDINGS, Walk


def write_wav(path: Path, seconds: float = 2.0) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes((tone(seconds) * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.mp3", "libmp3lame", 16000),
        ("a.m4a", "aac", 44100),
        ("a.flac", "flac", 16000),
        ("a.opus", "libopus", 48000),
        ("a.ogg", "libopus", 48000),
        ("a.mp4", "aac", 44100),
        ("a.mkv", "libopus", 48000),
        ("a.wav", "pcm_s24le", 16000),
        ("a.wma", "wmav2", 44100),
        ("a.mka", "libopus", 48000),
        ("a.aif", "pcm_s16be", 16000),
        ("a.aiff", "pcm_s16be", 16000),
        ("a.aac", "aac", 44100),
    ],
)
def test_every_kind_is_heard_and_lasts_as_long_for_those_who_only_look(tmp_path, name, codec, rate):
    path = write_coded(tmp_path / name, codec, rate)
    assert path.suffix in ENDINGS
    with Decoder(1) as decoder:
        footage = decoder.read(path, [Sound(), Uniform(3)])
        assert decoder.read(path, [Uniform(3)]).facts == footage.facts
        assert len(decoder.preview(path, 0.0, 2.0)) > 2_000  # for browsers that cannot play the file itself
    assert not footage.facts.has_pictures
    assert footage.facts.has_sound
    assert footage.facts.duration == pytest.approx(2.0, abs=0.15)
    assert footage.sound is not None
    assert len(footage.sound) / SOUND_RATE == pytest.approx(2.0, abs=0.15)
    assert 0.1 < np.abs(footage.sound).max() < 0.8
    assert footage.sound_start == pytest.approx(0.0, abs=0.1)
    assert footage.view(Uniform(3)).frames.shape[0] == 0
    assert footage.coverage.complete


def test_a_cover_is_no_picture(tmp_path):
    path = hostile.cover_only(tmp_path / "a.mkv")
    with Decoder(1) as decoder:
        footage = decoder.read(path, [PerSecond()])
    assert not footage.facts.has_pictures
    assert footage.sound is None
    assert footage.coverage.sound == "not asked"
    assert footage.facts.duration == pytest.approx(0.5, abs=0.15)


def test_a_song_with_a_cover_is_sound_alone(tmp_path):
    from io import BytesIO

    from PIL import Image

    picture = BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "JPEG")
    frame = b"\0image/jpeg\0\x03\0" + picture.getvalue()
    frame = b"APIC" + len(frame).to_bytes(4, "big") + b"\0\0" + frame
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    song = write_coded(tmp_path / "plain.mp3", "libmp3lame", 16000).read_bytes()
    song = song[10 + int.from_bytes(song[6:10], "big") :]  # without the tag that the muxer wrote, a short one
    (tmp_path / "song.mp3").write_bytes(b"ID3\x03\0\0" + size + frame + song)
    with Decoder(1) as decoder:
        footage = decoder.read(tmp_path / "song.mp3", [Sound(), PerSecond()])
    assert not footage.facts.has_pictures
    assert not len(footage.view(PerSecond()).times)
    assert footage.facts.duration == pytest.approx(2.0, abs=0.15)


def test_it_is_known_by_its_content_where_its_name_is_wrong(tmp_path):
    song = write_coded(tmp_path / "a.mp3", "libmp3lame", 16000).rename(tmp_path / "a.mp4")
    with Decoder(1) as decoder:
        footage = decoder.read(song, [Sound()])
    assert (footage.facts.has_pictures, footage.facts.codec) == (False, "mp3")
    assert footage.facts.duration == pytest.approx(2.0, abs=0.15)


def test_what_is_no_sound_either_is_said(tmp_path):
    path = write_wav(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:44])
    with Decoder(1) as decoder:
        for samplings in ([Sound()], [PerSecond()]):
            with pytest.raises(Unreadable, match="none of its sound could be decoded"):
                decoder.read(path, samplings)


class Ear:
    name, modality, version = "ear", Modality.SOUND, "1"
    needs: tuple[Sampling, ...] = (Sound(),)

    def missing(self) -> str | None:
        return None

    def fingerprint(self) -> str:
        return "0" * 64

    def load(self, device: str) -> None:
        pass

    def __call__(self, batch: Any) -> list[Report]:
        return [
            Report(tags=[Tag("tone", self.modality, 0.9, 0.0, len(f.sound) / SOUND_RATE, self.name)])
            for f in batch
        ]


class Eye(Ear):
    name, modality = "eye", Modality.OBJECT
    needs = (Uniform(2),)

    def load(self, device: str) -> None:
        raise AssertionError("loaded though there is nothing to see")


class Both(Eye):
    name = "both"
    needs = (Uniform(2), Sound())


def test_experts_of_pictures_are_not_asked_and_say_so(tmp_path):
    panel = Panel([Eye(), Ear(), Both()], jobs=1)
    (seen,) = panel.run([Work(write_wav(tmp_path / "a.wav"), ("eye", "ear", "both"))])
    assert seen.unreadable is None
    assert seen.reports["both"] == Report(notes=[f"{NO_PICTURES}, and it needs them beside the sound"])
    assert seen.reports["eye"] == Report(notes=[NO_PICTURES])
    assert [tag.text for tag in seen.reports["ear"].tags] == ["tone"]  # type: ignore[union-attr]


def test_the_walk_finds_files_of_sound(tmp_path):
    for name in ("a.mp3", "b.WAV", "c.flac", "d.m4a", "e.ogg", "f.opus", "g.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [Path(place.path).name for place in Walk([tmp_path])] == sorted(
        ["a.mp3", "b.WAV", "c.flac", "d.m4a", "e.ogg", "f.opus"]
    )


def test_tagged_shown_and_searched(tmp_path, monkeypatch):
    import tagline
    from tagline.retrieval.web.api.payloads import video_head
    from tagline.tagging.pipeline.coverage import coverage_gaps
    from tagline.tagging.pipeline.settings import Settings

    monkeypatch.setattr(Settings, "panel", lambda self, *a, **k: ([Eye(), Ear()], {}))
    write_wav(tmp_path / "a.wav")
    library = tagline.open(tmp_path)
    done = library.tag()
    assert not done.failures
    (hit,) = library.search("tone")
    assert hit.video.paths[0].endswith("a.wav")
    (video,) = library.videos()
    gaps = coverage_gaps(library.catalog, video)
    assert ("eye", NO_PICTURES) in [(gap.expert, gap.reason) for gap in gaps]
    assert video_head(video)["direct"]
    assert video.facts is not None
    assert not video.facts.has_pictures
    assert not library.tag().plan.jobs  # nothing is looked at a second time
