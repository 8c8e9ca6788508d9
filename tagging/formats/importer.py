"""From files to the catalog: which video a file is about, and what its tags then count as.

- A tag that went out from a catalog as an expert's comes back as that expert's, if this catalog has not heard
  that expert on that video itself. The next `tagline tag` with the real expert replaces it.
- Whatever else somebody has written, and a tag of ours that somebody has changed, is a person's word: it is
  added, and outlives every re-run.
- A keyword of ours that somebody has taken out of an XMP or NFO file is a rejection.
- What a person has decided here outranks what a file says. Nothing else is ever taken away.

Reading the same file again changes nothing.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagline.experts.tags import HUMAN_SOURCE, Modality, Report, Tag
from tagline.tagging.catalog.records import Look, Video
from tagline.tagging.catalog.verdicts import VerdictRow
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.formats import READ_AS, SIDECAR_ENDINGS, Format, files
from tagline.tagging.formats.files import FileRefused
from tagline.tagging.formats.safexml import MOST_BYTES
from tagline.tagging.formats.sheet import BadFile, ImportedVideo
from tagline.tagging.printable import safe
from tagline.tagging.vocabulary import clean, normal

IMPORTED_VERSION = "imported"  # version and fingerprint of such a look: a real run always finds it stale
SAME_TIME = 0.001  # seconds by which two times may differ and still be the same


@dataclass(slots=True)
class ImportResult:
    """What one file brought."""

    path: Path
    videos: int = 0
    tags: int = 0  # of experts, new here
    added: int = 0  # as a person's word
    rejected: int = 0  # because somebody took the keyword out
    known: int = 0  # were here already
    overruled: int = 0  # a person has decided otherwise here
    reason: str | None = None  # a sentence, where something of it could not be used

    @property
    def changed(self) -> bool:
        return bool(self.tags or self.added or self.rejected)


def import_files(catalog: Catalog, paths: Sequence[Path]) -> Iterator[ImportResult]:
    """Read every file, and every sidecar in every folder; one that fails costs itself."""
    for path in _all_files(paths):
        taken = ImportResult(path)
        try:
            form = format_of(path)
            for found in read(path, form):
                video = video_of(catalog, found, path if form.beside else None)
                if video is None:
                    whose = safe(found.path) if found.path else "the video that it is about"
                    taken.reason = (
                        f"{safe(path)}: {whose} is not in this library; run `tagline tag` on it first"
                    )
                    continue
                taken.videos += 1
                apply_tags(catalog, video, found, taken)
        except FileRefused as refused:
            taken.reason = str(refused)
        except BadFile as error:
            taken.reason = f"{safe(path)} {error}"
        yield taken


def _all_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir() or path.is_symlink():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if Path(name).suffix.lower() in SIDECAR_ENDINGS and not name.startswith("."):
                    yield Path(folder, name)


def format_of(path: Path) -> Format:
    """The format of a file, by its ending."""
    form = READ_AS.get(path.suffix.lower())
    if form is None:
        raise FileRefused(
            f"{safe(path)} ends in none of {', '.join(READ_AS)}, so it is not known how to read it"
        )
    return form


def read(path: Path, form: Format) -> list[ImportedVideo]:
    """What a file says about videos."""
    module = form.load()
    old = files.open_old(path, MOST_BYTES if form.beside else module.MOST_BYTES)
    if old is None:
        raise FileRefused(f"{safe(path)} is not there")
    with old.handle as handle:
        found = module.read(handle.read()) if form.beside else module.read(handle)
    return [found] if isinstance(found, ImportedVideo) else list(found)


def video_of(catalog: Catalog, found: ImportedVideo, sidecar: Path | None) -> Video | None:
    """The video that a file speaks of: by content, by the path in it, by the sidecar's own name."""
    if found.video is not None and (known := catalog.id_of_hash(found.video)) is not None:
        return catalog.video(known)
    if found.path:
        video = catalog.find(found.path)
        if video is not None and any(Path(path).name == Path(found.path).name for path in video.paths):
            return video
    if sidecar is None:
        return None
    owner = sidecar.with_suffix("")  # holiday.mp4.xmp
    if (place := catalog.place(owner)) is not None:
        return catalog.video(place[0])
    stem = (
        owner.with_suffix("").name if owner.suffix == ".tags" else owner.name
    )  # holiday.xmp, holiday.tags.vtt
    try:
        beside = [path for path in sidecar.parent.iterdir() if path.stem == stem]
    except OSError:
        return None
    places = {place[0] for path in beside if (place := catalog.place(path)) is not None}
    return catalog.video(places.pop()) if len(places) == 1 else None


def apply_tags(catalog: Catalog, video: Video, found: ImportedVideo, taken: ImportResult) -> None:
    """Lay what a file says over what the catalog knows, in one transaction."""
    with catalog.transaction():
        rows = _import_expert_tags(catalog, video, found.tags, taken)
        heard = CurrentTags(catalog, video)
        for tag in found.tags:
            if tag.source == HUMAN_SOURCE and heard.is_new(
                tag.text, tag.modality, taken, (tag.start, tag.end)
            ):
                rows.append(("add", video.id, tag.modality, clean(tag.text), None, tag.start, tag.end))
        for text, modality in found.keywords:
            if heard.is_new(text, modality, taken, None):
                rows.append(("add", video.id, modality, clean(text), None, None, None))
        taken.added += sum(row[0] == "add" for row in rows)
        still = {normal(text) for text, _ in found.keywords}  # spelt otherwise is not taken out
        for text in found.removed:
            if normal(text) not in still and heard.can_reject(text, taken):
                rows.append(("reject", video.id, None, clean(text), None, None, None))
                taken.rejected += 1
        if rows:
            catalog.verdicts.write(rows)


def _import_expert_tags(
    catalog: Catalog, video: Video, tags: Sequence[Tag], taken: ImportResult
) -> list[VerdictRow]:
    """Store what experts said elsewhere. Returns the renames by which it keeps the names it had there."""
    names: list[VerdictRow] = []
    by_expert: dict[str, list[Tag]] = defaultdict(list)
    for tag in tags:
        if tag.source != HUMAN_SOURCE and clean(tag.text):
            by_expert[clean(tag.source)].append(tag)
    done = catalog.done(video.id)
    for expert, said in by_expert.items():
        modality, *also = dict.fromkeys(tag.modality for tag in said)
        if expert in done and done[expert][0] != IMPORTED_VERSION:
            taken.known += len(said)
            continue
        before = [tag for tag in catalog.tags(video.id, raw=True) if tag.source == expert]
        catalog.put_look(
            video.id,
            Look(expert, modality, IMPORTED_VERSION, IMPORTED_VERSION, Report(tags=said), also=tuple(also)),
        )
        after = [tag for tag in catalog.tags(video.id, raw=True) if tag.source == expert]
        if after == before:
            taken.known += len(after)
        else:
            taken.tags += len(after)
        # Experts' tags are stored in normal form: "Copacabana" can only be what somebody has called it.
        for text in dict.fromkeys(clean(tag.text) for tag in said if tag.modality == modality):
            form = normal(text, modality)
            if text != form and catalog.canonical(text, modality) == form:
                names.append(("rename", None, modality, form, text, None, None))
    return names


class CurrentTags:
    """What holds for one video now, and what people have decided about it."""

    def __init__(self, catalog: Catalog, video: Video) -> None:
        self.catalog = catalog
        self.tags = catalog.tags(video.id)
        self.verdict_kinds: dict[tuple[Modality | None, str], str] = {}
        for verdict in catalog.verdicts.of(video.id):
            self.verdict_kinds[verdict.modality, self._form(verdict.text, verdict.modality)] = verdict.kind

    def _form(self, text: str, modality: Modality | None) -> str:
        return normal(self.catalog.canonical(text, modality), modality)

    def is_new(
        self, text: str, modality: Modality, taken: ImportResult, span: tuple[float, float] | None
    ) -> bool:
        """Whether a person's word is new here. A word without a span is known wherever its text is."""
        form = self._form(text, modality)
        if not form:
            return False
        verdict = self.verdict_kinds.get((modality, form)) or self.verdict_kinds.get((None, form))
        if verdict == "reject":
            taken.overruled += 1
            return False
        for tag in self.tags:
            same = form in (self._form(tag.text, tag.modality), self._form(tag.text, modality))
            if span is None:
                known = same
            else:
                known = same and tag.modality == modality
                known = known and tag.start <= span[0] + SAME_TIME and span[1] <= tag.end + SAME_TIME
            if known:
                taken.known += 1
                return False
        return True

    def can_reject(self, text: str, taken: ImportResult) -> bool:
        """Whether a keyword that somebody took out elsewhere is still a tag here that nobody vouched for."""
        forms = {
            (tag.modality, self._form(tag.text, tag.modality)) for tag in self.tags if clean(tag.text) == text
        }
        if not forms:
            return False
        if any(self.verdict_kinds.get(key) in ("accept", "add") for key in forms):
            taken.overruled += 1
            return False
        return True
