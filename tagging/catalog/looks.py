"""How many of a library's videos each expert has looked at, failed at, or found unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tagline.tagging.catalog.database import CatalogDatabase

_HERE = "video_id IN (SELECT video_id FROM path WHERE gone = 0)"


@dataclass(frozen=True, slots=True)
class LookCounts:
    """Of the videos whose files were there when last looked for."""

    videos: int
    unreadable: int
    looked: Mapping[str, int]  # expert: videos that it looked at
    sample: Mapping[str, int]  # expert: one of them, by its id
    failed: Mapping[str, int]  # expert: videos at which it failed and that it never saw
    embedded: int  # videos that can be searched by their pictures


def look_counts(catalog: CatalogDatabase) -> LookCounts:
    """Counted in SQLite: 10,000 videos take a few hundredths of a second."""
    (videos,) = catalog.query_one("SELECT count(DISTINCT video_id) FROM path WHERE gone = 0")
    (unreadable,) = catalog.query_one(f"SELECT count(*) FROM failure WHERE expert = '' AND {_HERE}")
    (embedded,) = catalog.query_one(f"SELECT count(DISTINCT video_id) FROM embedded WHERE {_HERE}")
    looked = catalog.query(f"SELECT expert, count(*), max(video_id) FROM run WHERE {_HERE} GROUP BY expert")
    failed = catalog.query(
        f"SELECT expert, count(*) FROM failure WHERE expert <> '' AND {_HERE} AND NOT EXISTS (SELECT 1 FROM"
        " run WHERE run.video_id = failure.video_id AND run.expert = failure.expert) GROUP BY expert"
    )
    return LookCounts(
        videos,
        unreadable,
        {expert: count for expert, count, _ in looked},
        {expert: video for expert, _, video in looked},
        dict(failed),
        embedded,
    )
