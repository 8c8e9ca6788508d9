"""What `tagline tag` does once the files are read: experts that look into the catalog, and tag fusion."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePath
from statistics import mean
from typing import TYPE_CHECKING, Any

from tagline.experts import extras
from tagline.experts.weights import registry
from tagline.tagging.fusion.fuse import META, FusedTag, FusionModel, TagFusion
from tagline.tagging.neighbours.expert import (
    NAME,
    CatalogExpert,
    NeighboursExpert,
    NeighboursSettings,
    update_catalog,
)
from tagline.tagging.neighbours.snapshot import LibrarySnapshot, read_snapshot
from tagline.tagging.neighbours.views import ViewEncoder
from tagline.tagging.pipeline.progress import ExpertTotals
from tagline.tagging.pipeline.settings import SettingsError
from tagline.tagging.ranker.expert import RankedExpert

if TYPE_CHECKING:
    from tagline.tagging.catalog.records import Video
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.pipeline.settings import Settings


@dataclass(slots=True)
class PostProcessResult:
    """How the second look at a library ended."""

    shares: dict[str, ExpertTotals]
    model: FusionModel
    videos: int = 0  # that have a list
    tags: float = 0.0  # tags a video in it
    stated_precision: float = 0.0  # the precision that the lists claim: the mean score of their tags
    reachable: bool = True  # whether the precision that was asked for can be promised
    notes: list[str] = field(default_factory=list)  # on experts that could not look

    def lines(self) -> Iterator[str]:
        """For people."""
        yield from self.notes
        if not self.model.weights.labelled:
            yield (
                "fused tags: scores are as the experts count them, because too few tags were judged to know "
                "how often each is right; accept and reject some with `tagline tags`"
            )
        elif not self.reachable:
            yield "fused tags: no tag here is sure enough for that precision; only what people said is in it"
        else:
            yield (
                f"fused tags: {self.tags:.1f} tags a video, of which {100 * self.stated_precision:.0f} % "
                f"should be right (from {self.model.videos} judged videos); "
                "`tagline show VIDEO --fused` shows why"
            )

    def as_data(self) -> dict[str, Any]:
        return {
            "judged_videos": self.model.videos,
            "judged_tags": self.model.weights.labelled,
            "tags_a_video": round(self.tags, 2),
            "stated_precision": round(self.stated_precision, 4),
            "reachable": self.reachable,
        }


def post_process(
    catalog: Catalog,
    chosen: Settings,
    *,
    collection: str | None = None,
    precision: float | None = None,
) -> PostProcessResult:
    """Let the experts that read the catalog look at all of it, fit the one list, and keep what was fitted."""
    library = read_snapshot(catalog)
    viewer = open_view_encoder(library, collection)
    experts: list[CatalogExpert] = [NeighboursExpert(_settings(chosen.experts.get(NAME, {})))]
    shares, notes = {}, []
    try:
        if (ranked := RankedExpert.installed()) is not None:
            experts.append(ranked)
    except extras.ExtraMissing as error:
        notes.append(f"{error}; its tags are as they were")
    for expert in experts:
        begun = time.perf_counter()
        videos, tags = update_catalog(catalog, library, viewer, expert)
        shares[expert.name] = ExpertTotals(videos, tags, 0, time.perf_counter() - begun)
    merger = TagFusion(catalog, library, viewer)
    fitted = merger.learn()
    catalog.set_meta(META, fitted.to_json())
    lists = [merger.fused_tags(video_id, precision) for video_id in library.ids]
    scores = [tag.score for own in lists for tag in own]
    return PostProcessResult(
        shares,
        fitted,
        sum(bool(own) for own in lists),
        mean(map(len, lists)) if lists else 0.0,
        mean(scores) if scores else 0.0,
        fitted.threshold_for(precision) <= 1.0,
        notes,
    )


def fused_tags(
    catalog: Catalog, video: Video, precision: float | None = None
) -> tuple[list[FusedTag], dict[str, str]]:
    """Each tag of a video once, the surest first; and the names of the library's videos by their hashes."""
    library = read_snapshot(catalog)
    found = TagFusion(catalog, library, open_view_encoder(library)).fused_tags(video.id, precision)
    pairs = zip(library.tagged_videos, library.examples, strict=True)
    return found, {known.key: PurePath(one.name).name for known, one in pairs}


def open_view_encoder(library: LibrarySnapshot, collection: str | None = None) -> ViewEncoder:
    """The models by which videos of this library are compared; what is not here is done without."""
    from tagline.tagging.ml.config import BadConfig

    whose = collection or registry.PUBLIC
    try:
        return ViewEncoder.open("auto", _towers(library, whose), collection=whose)
    except (BadConfig, registry.WeightsMissing):
        return ViewEncoder.open("letters", None, collection=whose)


def _towers(library: LibrarySnapshot, collection: str) -> str | None:
    """The towers whose texts compare with the library's frame vectors; None where that is not known."""
    if extras.first_missing(["torch"]):
        return None
    source, fingerprint = library.frames_by
    name = registry.for_expert("appearance", collection)
    if source == "appearance" and registry.find(name).sha256 == fingerprint:
        return name
    if source == "scene":
        from tagline.experts.scene import SceneExpert

        if SceneExpert(collection=collection).fingerprint() == fingerprint:
            return registry.for_expert("scene", collection, role="zero-shot")
    return None


def _settings(options: Mapping[str, Any]) -> NeighboursSettings:
    known = [field.name for field in fields(NeighboursSettings)]
    for key in options:
        if key not in known:
            raise SettingsError(f"the expert {NAME} has no setting {key!r}; it has {', '.join(known)}")
    return NeighboursSettings(**options)
