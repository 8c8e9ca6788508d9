"""The video that somebody names: by its path, id or hash, or by a part of its name."""

from __future__ import annotations

from pathlib import PurePath

from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.printable import safe

MAX_NAMES = 6  # in a sentence that lists several


class NoSuchVideo(CatalogError):
    """No video of this library is called so."""


class SeveralVideos(CatalogError):
    """More than one video may be meant."""


def find_video(catalog: CatalogReader, named: str) -> Video:
    """The video with this path, id, hash or name, or the only one whose name has this in it."""
    video = catalog.find(named)
    if video is not None:
        return video
    wanted = named.casefold()
    paths = {path: video_id for video_id, path, gone in catalog.places() if not gone}
    hits = {path: video_id for path, video_id in paths.items() if wanted in PurePath(path).name.casefold()}
    exact = {path: video_id for path, video_id in hits.items() if PurePath(path).stem.casefold() == wanted}
    hits = exact or hits
    if not hits:  # "trips/rome" names a folder, too
        hits = {path: video_id for path, video_id in paths.items() if wanted in path.casefold()}
    if len(set(hits.values())) == 1:
        found = catalog.video(next(iter(hits.values())))
        assert found is not None
        return found
    if not hits:
        raise NoSuchVideo(
            f"no video here is called '{safe(named, 80)}'; give a part of its name, its path or its id"
        )
    raise SeveralVideos(
        f"'{safe(named, 80)}' may be {_several(catalog, hits)}; type more of the name, or the id"
    )


def _several(catalog: CatalogReader, hits: dict[str, int]) -> str:
    root = f"{catalog.root}/"
    ordered = sorted(hits.items())
    names = [f"{safe(path.removeprefix(root), 70)} (id {video_id})" for path, video_id in ordered[:MAX_NAMES]]
    if len(ordered) > MAX_NAMES:
        return f"{', '.join(names)} or one of {len(ordered) - MAX_NAMES} more"
    return f"{', '.join(names[:-1])} or {names[-1]}"
