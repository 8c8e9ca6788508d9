"""From what a person types to the videos that are meant: a path, a name or part of it, an id, a hash."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path, PurePath

from tagline.tagging.catalog.read import CatalogReader
from tagline.tagging.catalog.records import Video
from tagline.tagging.catalog.schema import CHECK, CatalogError
from tagline.tagging.printable import safe

MOST_NAMES = 6  # in a sentence that lists several


class VideoNotFound(CatalogError):
    """No video of the library is called so."""


class AmbiguousVideo(CatalogError):
    """Several videos are called so."""


def find_video(catalog: CatalogReader, named: Video | int | str | os.PathLike[str]) -> Video:
    """The video with this path, id, hash or name, or the only one whose name has this in it.

    Raises VideoNotFound or AmbiguousVideo, whose sentences say what to type instead.
    """
    if isinstance(named, Video):
        return named
    video = catalog.find(named)
    if video is not None:
        return video
    text = os.fspath(named) if not isinstance(named, int) else str(named)
    wanted = text.casefold()
    paths = {path: video_id for video_id, path, gone in catalog.places() if not gone}
    hits = {path: video_id for path, video_id in paths.items() if wanted in PurePath(path).name.casefold()}
    exact = {path: video_id for path, video_id in hits.items() if PurePath(path).stem.casefold() == wanted}
    hits = exact or hits
    if not hits:  # "trips/rome" names a folder, too
        hits = {path: video_id for path, video_id in paths.items() if wanted in path.casefold()}
    if isinstance(named, int) or not hits:
        raise VideoNotFound(
            f"no video here is called '{safe(text, 80)}'; give a part of its name, its path or its id"
        )
    if len(set(hits.values())) > 1:
        raise AmbiguousVideo(
            f"'{safe(text, 80)}' may be {_several(catalog, hits)}; type more of the name, or the id"
        )
    found = catalog.video(next(iter(hits.values())))
    if found is None:  # a path of a video that is not there: the catalog is damaged
        raise VideoNotFound(f"of '{safe(text, 80)}' nothing more than its path is known; {CHECK}")
    return found


def find_videos(catalog: CatalogReader, names: Iterable[Video | int | str | os.PathLike[str]]) -> list[Video]:
    """The videos that are meant, each once; a folder means all in it."""
    found: dict[int, Video] = {}
    for name in names:
        if isinstance(name, (Video, int)) or not Path(name).is_dir():
            video = find_video(catalog, name)
            found[video.id] = video
            continue
        folder = Path(name).resolve()
        inside = [v for v in catalog.videos() if any(Path(p).is_relative_to(folder) for p in v.paths)]
        if not inside:
            raise VideoNotFound(f"no video of this library lies in {safe(name)}")
        found |= {video.id: video for video in inside}
    return list(found.values())


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """The end of a sentence that names the nearest spelling; empty where none is near."""
    near = get_close_matches(text.casefold(), sorted(set(known)), n=1)
    return f"; did you mean '{safe(near[0])}'?" if near else ""


def _several(catalog: CatalogReader, hits: dict[str, int]) -> str:
    root = f"{catalog.root}/"
    ordered = sorted(hits.items())
    names = [
        f"{safe(path.removeprefix(root), 70)} (id {video_id})" for path, video_id in ordered[:MOST_NAMES]
    ]
    if len(ordered) > MOST_NAMES:
        return f"{', '.join(names)} or one of {len(ordered) - MOST_NAMES} more"
    return f"{', '.join(names[:-1])} or {names[-1]}"
