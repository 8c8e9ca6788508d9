"""The expert "generated": tags that a tagger trained on this library's own tags writes for a video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tagline.experts import extras
from tagline.experts.footage import Footage, PerSecond, Sampling
from tagline.experts.tags import Modality, Report, Tag
from tagline.experts.vision.frames import no_frames_note
from tagline.experts.weights import check, registry
from tagline.tagging.generator.config import INSTALLED

if TYPE_CHECKING:
    from tagline.experts.clip import ClipEncoder
    from tagline.tagging.generator.data import TaggerCollator
    from tagline.tagging.generator.saving import SavedTagger

COMMAND = "tagline train tagger --data LIBRARY"


@dataclass(frozen=True, slots=True)
class GeneratedSettings:
    """What can be set of the generated expert."""

    collection: str = registry.PUBLIC
    weights: str | None = None  # a tagger's folder, or a name of the weights table
    towers: str | None = None  # weights of the CLIP towers, if not those that the tagger names
    decoding: str = "speculative"  # or "greedy", "beam"
    min_score: float = 0.0  # of a calibrated score
    most: int = 30  # tags a video
    rate: float = 1.0
    frames: int = 60
    side: int | None = 256


class GeneratedExpert:
    """Reads frames and the title; writes tags about the whole video with calibrated scores.

    The title is the catalog's, as in training, where a run over a library asks; else that in the file.
    """

    name: ClassVar[str] = "generated"
    modality: ClassVar[Modality] = Modality.GENERATED
    version: ClassVar[str] = "1"

    def __init__(self, **settings: Any) -> None:
        known = [field.name for field in fields(GeneratedSettings)]
        for key in settings:
            if key not in known:
                raise ValueError(f"{self.name} has no setting {key!r}; it has {', '.join(known)}")
        s = self.settings = GeneratedSettings(**settings)
        if s.decoding not in ("speculative", "greedy", "beam"):
            raise ValueError(f"decoding must be speculative, greedy or beam, not {s.decoding!r}")
        self.sampling = PerSecond(s.rate, s.frames, s.side)
        self.needs: tuple[Sampling, ...] = (self.sampling,)
        self.trained: SavedTagger | None = None
        self.towers: ClipEncoder | None = None

    def find(self) -> registry.LocalWeights:
        """The tagger's folder. Raises WeightsMissing with the sentence for people."""
        chosen = self.settings.weights
        if chosen is None and self.settings.collection != registry.PUBLIC:
            chosen = registry.for_expert(self.name, self.settings.collection)
        folder = Path(chosen) if chosen else registry.weights_home() / INSTALLED
        if chosen is None and not (folder / "config.json").is_file():
            raise registry.WeightsMissing(f"no tagger is trained yet; run `{COMMAND}`")
        return registry.find(chosen or folder)

    def missing(self) -> str | None:
        """Why it cannot run here, as one sentence; None if it can."""
        try:
            extras.require(self.name, "torch")
            config = self._config(self.find())
            if self._reads_frames(config):
                registry.find(self._towers_of(config))
        except (extras.ExtraMissing, registry.WeightsMissing, check.UnsafeWeights) as error:
            return f"not run: {error}"
        return None

    def weights_used(self) -> list[str]:
        """Of the tagger, and of the towers through which it sees."""
        try:
            found = self.find()
            config = self._config(found)
            towers = [registry.find(self._towers_of(config)).label] if self._reads_frames(config) else []
        except (registry.WeightsMissing, check.UnsafeWeights):
            return []
        return [found.label, *towers]

    def fingerprint(self) -> str:
        """sha256 over name, version, settings, the tagger and the towers."""
        settings = {
            k: v for k, v in asdict(self.settings).items() if k not in ("collection", "weights", "towers")
        }
        hashes: list[str | None] = [None, None]
        try:
            found = self.find()
            hashes[0] = found.sha256
            config = self._config(found)
            hashes[1] = registry.find(self._towers_of(config)).sha256 if self._reads_frames(config) else None
        except (registry.WeightsMissing, check.UnsafeWeights):
            pass
        text = json.dumps([self.name, self.version, settings, hashes], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def load(self, device: str) -> None:
        from tagline.experts.clip import clip_encoder
        from tagline.tagging.generator.saving import from_pretrained

        found = self.find()
        self.trained = from_pretrained(found.path, device=device)
        self.make: TaggerCollator = self.trained.collator()
        self.towers = None
        if self.trained.model.settings.use_frames:
            self.towers = clip_encoder(self._towers_of(self._config(found)), device)
            if self.trained.frames_by not in ("", self.towers.fingerprint):
                raise registry.WeightsMissing(
                    f"the tagger was trained with other towers than {self.settings.towers or 'these'}; "
                    f"run `{COMMAND}` again"
                )

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        from tagline.tagging.generator.predict import predict_all
        from tagline.tagging.ml.data import Example

        assert self.trained is not None
        views = [footage.view(self.sampling) for footage in batch]
        frames: Sequence[Any] = [None] * len(views)
        if self.towers is not None:
            frames = self.towers.embed_views(batch, self.sampling)
        examples = [
            Example(footage.path, footage.path, footage.facts.title or "", (), seen)
            for footage, seen in zip(batch, frames, strict=True)
        ]
        said = predict_all(self.trained.model, self.make, examples, decoding=self._decoding())
        return [
            Report(tags=self._tags(tags, footage, view.times), notes=self._notes(footage, len(view.times)))
            for tags, footage, view in zip(said, batch, views, strict=True)
        ]

    def _tags(self, predicted: Sequence[tuple[str, float]], footage: Footage, times: Any) -> list[Tag]:
        assert self.trained is not None
        end = footage.facts.duration or (float(times[-1]) if len(times) else 0.0)
        scored = [(text, self.trained.calibration(score)) for text, score in predicted]
        # The order of writing says nothing; the surest first, and as said among equals.
        scored.sort(key=lambda item: -item[1])
        kept = [(t, s) for t, s in scored if s >= self.settings.min_score][: self.settings.most]
        return [Tag(text, self.modality, score, 0.0, end, self.name) for text, score in kept]

    def _notes(self, footage: Footage, frames: int) -> list[str]:
        assert self.trained is not None
        config = self.trained.model.settings
        notes = no_frames_note(frames, self.name) if config.use_frames else []
        if config.use_title and not footage.facts.title:
            notes = [*notes, "it has no title, so tags come from its frames alone"]
        return notes

    def _decoding(self) -> Any:
        from tagline.tagging.generator.decoding import Beam, Greedy, Speculative

        return {"speculative": Speculative, "greedy": Greedy, "beam": Beam}[self.settings.decoding]()

    def _towers_of(self, config: dict[str, Any]) -> str:
        chosen = self.settings.towers or config.get("towers")
        return chosen or registry.for_expert("appearance", self.settings.collection)

    @staticmethod
    def _config(found: registry.LocalWeights) -> dict[str, Any]:
        return check.read_config(found.path / "config.json")

    @staticmethod
    def _reads_frames(config: dict[str, Any]) -> bool:
        return bool(config.get("model", {}).get("use_frames", True))
