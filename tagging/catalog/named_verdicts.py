"""What a person decides, with videos and tags named as people name them. A slip of the pen is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tagline.experts.tags import Modality
from tagline.tagging.catalog.lookup import did_you_mean, find_video
from tagline.tagging.catalog.records import Verdict, Video
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.printable import clock, safe, video_name
from tagline.tagging.vocabulary import normal

Named = Video | int | str | os.PathLike[str]


class TagNotFound(CatalogError):
    """No such tag is there to be judged. The message names the nearest spelling."""


class BadSpan(ValueError):
    """A stretch of a video that it does not have."""


class NamedVerdicts:
    """Reached as `Library.verdicts`. Each method returns the verdicts that it wrote.

    modality: only as this kind of tag ("object", "speech", ...); without one, as any.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def accept(self, video: Named, tag: str, modality: str | None = None) -> list[Verdict]:
        """A tag is right: it stays, with score 1, whatever later runs find. Raises TagNotFound."""
        found = find_video(self.catalog, video)
        self._check_has_tag(found, tag, modality)
        return self.catalog.decide.accept(found.id, tag, _modality(modality))

    def reject(self, video: Named, tag: str, modality: str | None = None) -> list[Verdict]:
        """A tag is wrong for this video, now and after every later run. Raises TagNotFound."""
        found = find_video(self.catalog, video)
        self._check_has_tag(found, tag, modality)
        return self.catalog.decide.reject(found.id, tag, _modality(modality))

    def add(
        self,
        video: Named,
        tag: str,
        modality: str | None = None,
        *,
        start: float | None = None,
        end: float | None = None,
    ) -> list[Verdict]:
        """Something is in the video, in all of it or from start to end (seconds). Raises BadSpan."""
        found = find_video(self.catalog, video)
        return self.catalog.decide.add(
            found.id, tag, Modality(modality or Modality.HUMAN), span_within(found, start, end)
        )

    def rename(self, old: str, new: str, modality: str | None = None) -> list[Verdict]:
        """Call a tag otherwise in the whole library. Raises TagNotFound."""
        self.videos_with([old], modality)
        return self.catalog.decide.rename(old, new, _modality(modality))

    def merge(self, tags: Sequence[str], into: str, modality: str | None = None) -> list[Verdict]:
        """Make several tags one in the whole library. Raises TagNotFound."""
        self.videos_with(tags, modality)
        return self.catalog.decide.merge(tags, into, _modality(modality))

    def alias(self, other: str, tag: str, modality: str | None = None) -> list[Verdict]:
        """`other` is another word for `tag`, wherever it turns up."""
        return self.catalog.decide.alias(other, tag, _modality(modality))

    def undo(self) -> list[Verdict]:
        """Take back what was decided last; nothing if nobody has decided anything."""
        return self.catalog.decide.undo()

    def videos_with(self, tags: Sequence[str], modality: str | None = None) -> int:
        """How many videos have one of these tags. Raises TagNotFound where none has."""
        there: set[str] = set()
        videos = 0
        for _, all_tags in self.catalog.all_tags():
            some = [tag for tag in all_tags if modality is None or tag.modality == modality]
            there.update(tag.text for tag in some)
            forms = {normal(tag.text, tag.modality) for tag in some}
            videos += any(normal(self.catalog.canonical(text)) in forms for text in tags)
        if not videos:
            named = " or ".join(f"'{safe(text, 60)}'" for text in tags)
            raise TagNotFound(
                f"no video has the tag {named}{did_you_mean(tags[0], there)}; `tagline tags list` lists all"
            )
        return videos

    def _check_has_tag(self, video: Video, text: str, modality: str | None) -> None:
        there = [tag for tag in self.catalog.tags(video.id) if modality is None or tag.modality == modality]
        for tag in there:
            wanted = self.catalog.canonical(text, tag.modality)
            if normal(tag.text, tag.modality) == normal(wanted, tag.modality):
                return
        raise TagNotFound(
            f"{video_name(video.paths, video.id)} has no {f'{modality} ' if modality else ''}tag "
            f"'{safe(text, 60)}'{did_you_mean(text, (tag.text for tag in there))}; "
            f"`tagline show {video.id}` shows all"
        )


def span_within(video: Video, start: float | None, end: float | None) -> tuple[float, float] | None:
    """From start to end, as far as the video goes; None for all of it. Raises BadSpan."""
    if start is None and end is None:
        return None
    length = video.duration
    first = start or 0.0
    last = end if end is not None else max(length or first, first)
    if first > last:
        raise BadSpan(f"the start {clock(first)} is after the end {clock(last)}")
    if length is not None and first > length:
        name = video_name(video.paths, video.id)
        raise BadSpan(f"{name} ends at {clock(length)}, before {clock(first)}")
    return first, last if length is None else min(last, max(length, first))


def _modality(named: str | None) -> Modality | None:
    return Modality(named) if named else None
