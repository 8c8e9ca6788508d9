"""From a tagged library to one that is searched by meaning: embed, index, tune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tagline.retrieval.index.base import Level

if TYPE_CHECKING:
    from tagline.retrieval.embed.encode import EmbedResult
    from tagline.retrieval.embed.search_model import VideoEmbedder
    from tagline.retrieval.index.update import IndexUpdate
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.pipeline.progress import Progress


@dataclass(frozen=True, slots=True)
class IndexResult:
    """What making a library searchable has done."""

    embedded: EmbedResult
    indexes: tuple[IndexUpdate, ...]  # of videos, then of spans
    tuned: bool  # whether search was fitted to the library anew

    @property
    def empty(self) -> bool:
        """Whether there is nothing to search."""
        return not self.indexes[0].rows


def index_library(
    catalog: Catalog,
    *,
    model: str | None = None,
    weights: str | None = None,
    retry: bool = False,
    rebuild: bool = False,
    milvus: str | None = None,
    device: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IndexResult:
    """Embed what is new or stale, bring the indexes up to date, and fit search to the library.

    Holds the catalog against other writers. Raises WeightsMissing, BadConfig, SettingsError or BadIndex.
    """
    from tagline.retrieval.embed.encode import embed, sample_queries
    from tagline.retrieval.index.update import update, update_in_milvus
    from tagline.retrieval.query.params import stored
    from tagline.retrieval.tune.tune import tune
    from tagline.tagging.catalog.approvals import approve
    from tagline.tagging.catalog.lock import only_writer
    from tagline.tagging.pipeline.progress import Progress

    if model is not None and weights is not None:
        raise ValueError("give either a model or weights")
    with only_writer(catalog):
        if model is not None and not Path(model).expanduser().is_dir():
            approve(model)  # whoever names a model of the hub here has approved it
        chosen = _load_model(catalog, model, weights, device)
        tell = progress or (lambda state: None)
        tell(Progress(0))
        outcome = embed(catalog, chosen, tell, retry=retry)
        queries = chosen.texts(sample_queries(catalog))
        fingerprint = outcome.choice.fingerprint
        updates = [update(catalog, level, fingerprint, queries=queries, rebuild=rebuild) for level in Level]
        if milvus is not None and updates[0].rows:
            updates = [update_in_milvus(catalog, level, fingerprint, milvus) for level in Level]
        changed = any(one.built or one.added or one.removed for one in updates)
        # A run that was stopped between indexing and tuning is made up for, too.
        tuned = bool(updates[0].rows) and (changed or stored(catalog, fingerprint) is None)
        if tuned:
            tune(catalog)
    return IndexResult(outcome, tuple(updates), tuned)


def _load_model(
    catalog: Catalog, folder: str | None, collection: str | None, device: str | None
) -> VideoEmbedder:
    """The model that is asked for, on the device that the library's settings name."""
    from tagline.experts.devices import choose_device
    from tagline.retrieval.embed import embedders
    from tagline.retrieval.embed.encode import model_to_use
    from tagline.retrieval.embed.search_model import CLASSES
    from tagline.tagging.pipeline.settings import load_settings

    kind, name = model_to_use(catalog, folder, collection)
    wish = device or load_settings(None, catalog.root).device
    # Classes are told without torch, which is what knows of devices.
    return embedders.load(kind, name, "cpu" if kind == CLASSES else choose_device(wish))
