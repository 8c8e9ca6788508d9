"""Videos, tags and hits as JSON. Every text is safe to show, and no path leaves the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import Any

from tagline.experts.tags import HUMAN_SOURCE, Modality, Tag
from tagline.retrieval.query.hits import Evidence
from tagline.retrieval.web.api.overview import VideoEntry
from tagline.retrieval.web.api.state import id_of
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.cli.timeline import lanes
from tagline.tagging.formats.transcript import caption_lines
from tagline.tagging.printable import safe
from tagline.tagging.vocabulary import clean

MAX_TITLE = 300
TOP_TAGS = 6  # tags that stand for a video in a list

# What browsers play by themselves; anything else, and what they fail at, gets a preview.
PLAYABLE = {
    ".mp4": ({"h264", "av1", "vp9", "aac"}, "video/mp4"),
    ".m4v": ({"h264"}, "video/mp4"),
    ".mov": ({"h264"}, "video/mp4"),
    ".webm": ({"vp8", "vp9", "av1", "opus", "vorbis"}, "video/webm"),
    # Sound alone, which the same player plays.
    ".mp3": ({"mp3"}, "audio/mpeg"),
    ".m4a": ({"aac"}, "audio/mp4"),
    ".wav": ({"pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le"}, "audio/wav"),
    ".flac": ({"flac"}, "audio/flac"),
    **dict.fromkeys((".ogg", ".oga", ".opus"), ({"opus", "vorbis", "flac"}, "audio/ogg")),
    ".aac": ({"aac"}, "audio/aac"),
    ".weba": ({"opus", "vorbis"}, "audio/webm"),
}


def media_type(name: str) -> str:
    """The type under which a file is sent; never one that a browser would read as a page."""
    return PLAYABLE.get(PurePath(name).suffix.lower(), (None, "application/octet-stream"))[1]


def _suffix(video: Video) -> str:
    return PurePath(video.paths[0]).suffix.lower() if video.paths else ""


def name_of(video: Video) -> str:
    """The file's name as it may be shown; for videos of a data set, what the set calls them."""
    return safe(PurePath(video.paths[0]).name if video.paths else video.hash, 160)


def video_head(video: Video) -> dict[str, Any]:
    """What a list shows of a video."""
    facts = video.facts
    return {
        "id": id_of(video),
        "name": name_of(video),
        "title": safe(clean(video.title, MAX_TITLE)) if video.title else None,
        "created": safe(video.created, 40) if video.created else None,
        "duration": facts.duration if facts else None,
        "width": facts.width if facts else None,
        "height": facts.height if facts else None,
        "there": bool(video.paths),
        "direct": facts is not None and facts.codec in PLAYABLE.get(_suffix(video), ((), ""))[0],
    }


def evidence_payload(evidence: Iterable[Evidence]) -> list[dict[str, Any]]:
    return [
        {
            "text": safe(clean(one.text, MAX_TITLE)),
            "kind": str(one.kind),
            "start": one.start,
            "end": one.end,
            "score": round(one.score, 4),
        }
        for one in evidence
    ]


def top_tags(entry: VideoEntry | None) -> list[dict[str, Any]]:
    """The tags that say most of a video: the surest of each modality in turn."""
    if entry is None:
        return []
    by_modality: dict[Modality, list[Any]] = {}
    for (modality, text), best in entry.tags.items():
        by_modality.setdefault(modality, []).append((text, best))
    chosen: list[dict[str, Any]] = []
    for rank in range(TOP_TAGS):
        for modality in Modality:
            if rank < len(by_modality.get(modality, ())) and len(chosen) < TOP_TAGS:
                text, best = by_modality[modality][rank]
                chosen.append(
                    {
                        "text": safe(text),
                        "modality": modality.value,
                        "score": round(best.score, 4),
                        "start": best.start,
                        "end": best.end,
                    }
                )
    return chosen


def video_payload(catalog: Catalog, video: Video) -> dict[str, Any]:
    """Everything that the page shows of one video."""
    tags = catalog.tags(video.id)
    facts = video.facts
    kind = media_type(video.paths[0] if video.paths else "")
    return {
        **video_head(video),
        "fps": round(float(facts.fps), 3) if facts and facts.fps else None,
        "codec": safe(facts.codec, 40) if facts else None,
        "colour": safe(facts.colour, 40) if facts else None,
        "has_sound": facts.has_sound if facts else None,
        "size": video.size,
        "type": kind,
        "lanes": _lanes(catalog, video, tags),
        "rejected": _rejected(catalog, video, tags),
        "transcript": _transcript(catalog, video),
        "experts": [
            {
                "expert": safe(run.expert, 60),
                "modalities": [modality.value for modality in run.modalities],
                "at": run.at,
            }
            for run in catalog.runs(video.id)
        ],
    }


def accepted(catalog: Catalog, video: Video) -> set[tuple[Modality, str]]:
    """The tags that a person has vouched for."""
    verdicts = [v for v in catalog.verdicts.of(video.id) if v.kind == "accept"]
    return {(v.modality, catalog.canonical(v.text, v.modality)) for v in verdicts if v.modality is not None}


def _lanes(catalog: Catalog, video: Video, tags: Sequence[Tag]) -> list[dict[str, Any]]:
    """One lane for each modality, one row for each text."""
    return [
        {
            "modality": modality.value,
            "rows": [
                {
                    "text": safe(lane.text),
                    "score": round(lane.score, 4),
                    "by": "person" if lane.by_person else "expert",
                    "sources": sorted({safe(tag.source, 60) for tag in lane.spans} - {HUMAN_SOURCE}),
                    "spans": [
                        {"start": t.start, "end": t.end, "score": round(t.score, 4), "best": t.best}
                        for t in lane.spans
                    ],
                }
                for lane in rows
            ],
        }
        for modality, rows in lanes(tags, accepted(catalog, video)).items()
    ]


def _rejected(catalog: Catalog, video: Video, tags: Sequence[Tag]) -> list[dict[str, Any]]:
    """What experts say and a person has said is wrong."""
    holds = {(tag.modality, tag.text) for tag in tags}
    every_tag = {(tag.modality, tag.text) for tag in catalog.tags(video.id, judged=False)}
    return [{"modality": m.value, "text": safe(t)} for m, t in sorted(every_tag - holds)]


def _transcript(catalog: Catalog, video: Video) -> list[dict[str, Any]]:
    """What is said, in lines that are read at one glance."""
    return [
        {
            "start": group[0].start,
            "end": max(word.end for word in group),
            "words": [{"text": safe(clean(w.text)), "start": w.start, "end": w.end} for w in group],
        }
        for group in caption_lines(catalog.words(video.id))
    ]


def tag_evidence(catalog: Catalog, video: Video, modality: Modality, text: str) -> dict[str, Any]:
    """What lies behind one tag: by which expert and in which frames it was found, and the verdicts on it."""
    spans = [t for t in catalog.tags(video.id) if t.modality == modality and safe(t.text) == text]
    raw = [t for t in catalog.tags(video.id, raw=True) if t.modality == modality]
    tag_texts = {t.source: safe(t.text) for t in raw if safe(catalog.canonical(t.text, modality)) == text}
    sources = {tag.source for tag in spans} | set(tag_texts)
    runs = [run for run in catalog.runs(video.id) if run.expert in sources]
    seen: list[dict[str, Any]] = [
        {"time": s.time, "score": round(s.score, 4), "box": list(s.box) if s.box else None}
        for expert, s in catalog.sightings(video.id)
        if expert in sources and safe(catalog.canonical(s.text, modality)) == text
    ]
    return {
        "text": text,
        "modality": modality.value,
        "experts": [
            {
                "expert": safe(run.expert, 60),
                "text": tag_texts.get(run.expert),
                "version": safe(run.version, 40),
                "fingerprint": run.fingerprint[:12],
                "weights": [safe(one, 80) for one in run.weights][:20],
                "at": run.at,
                "notes": [safe(note, 300) for note in (*run.coverage.notes, *run.notes)][:20],
            }
            for run in runs
        ],
        "sightings": sorted(seen, key=lambda one: one["time"])[:300],
        "verdicts": [
            {"kind": v.kind, "at": v.at}
            for v in catalog.verdicts.of(video.id)
            if v.modality in (None, modality) and safe(catalog.canonical(v.text, modality)) == text
        ],
    }
