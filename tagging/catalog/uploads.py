"""What came with a video from its uploader or from a data set: its own name there, its tags, its category.

A data set says such things of a video before any expert looks, and the library's owner did not say them: so
they are kept as the report of an expert called "uploader", of the sense "human", and not as verdicts. That
keeps the order of who is believed: a person's rejection, renaming or addition overrules an uploader's tag as
it overrules any expert's, `undo` never reaches into an import, and importing again replaces what the
uploader said and nothing else.

`tagline train tagger` learns from these tags, as they hold after the owner's verdicts, and goes by the split
that the data set gave the video. TABLE reads none of them: its modalities end before "human".
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

from tagline.experts.tags import HUMAN_SOURCE, Modality, Report, Tag
from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.catalog.records import Look, canonical_json
from tagline.tagging.catalog.write import Catalog

UPLOADER = "uploader"
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Upload:
    """One video as its data set knows it."""

    dataset: str
    key: str  # what the data set calls it: "video9770"
    split: str = ""  # "train", "val", "test"; "": the data set uses it for nothing, or says nothing
    tags: tuple[str, ...] = ()
    title: str | None = None
    category: str | None = None


def put_upload(catalog: Catalog, video_id: int, upload: Upload, duration: float | None = None) -> bool:
    """Keep what came with a video, in place of what an earlier import said. False: it was there already.

    duration: seconds, where the catalog does not know it yet; user tags are about the whole video.
    """
    video = catalog.video(video_id)
    end = (video.duration if video else None) or duration or 0.0
    facts = {key: value for key, value in asdict(upload).items() if key != "tags" and value is not None}
    payload = canonical_json([facts, upload.tags, end])
    fingerprint = hashlib.sha256(payload.encode()).hexdigest()
    if catalog.done(video_id).get(UPLOADER) == (VERSION, fingerprint):
        return False
    tags = [Tag(text, Modality.HUMAN, 1.0, 0.0, end, UPLOADER) for text in dict.fromkeys(upload.tags)]
    catalog.put_look(
        video_id, Look(UPLOADER, Modality.HUMAN, VERSION, fingerprint, Report(tags=tags, facts=facts))
    )
    return True


def upload_of(catalog: Catalog, video_id: int) -> Upload | None:
    """What came with a video; its tags in normal form and as they hold, those that a person added too."""
    facts = next((run.facts for run in catalog.runs(video_id) if run.expert == UPLOADER), None)
    if facts is None:
        return None
    held = (tag.text for tag in catalog.tags(video_id) if tag.modality == Modality.HUMAN)
    return Upload(
        dataset=str(facts.get("dataset", "")),
        key=str(facts.get("key", "")),
        split=str(facts.get("split", "")),
        tags=tuple(dict.fromkeys(held)),
        title=facts.get("title"),
        category=facts.get("category"),
    )


def has_labels(catalog: CatalogReader) -> bool:
    """Whether anybody has said anything of any video: its uploader, or the library's owner."""
    row = catalog.query_one(
        "SELECT EXISTS(SELECT 1 FROM run WHERE expert = ?)"
        " OR EXISTS(SELECT 1 FROM verdict WHERE kind IN ('accept', 'reject', 'add'))",
        (UPLOADER,),
    )
    return bool(row[0])


PEOPLE = frozenset({HUMAN_SOURCE, UPLOADER})  # what these say is the truth that the others are measured by
