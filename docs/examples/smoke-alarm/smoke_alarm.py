"""An expert for tagline: smoke is where the picture has gone grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, ClassVar

from tagline.experts.footage import Footage, PerSecond, Sampling
from tagline.experts.tags import Modality, Report, Sighting, to_spans


@dataclass(frozen=True, slots=True)
class SmokeSettings:
    """What [experts.smoke] in tagline.toml can set."""

    threshold: float = 0.8  # 0..1; the higher, the greyer it must be
    rate: float = 1.0  # frames looked at in a second
    most: int = 60  # frames of a video, at most


class SmokeExpert:
    """Looks at one small frame a second and measures how much colour is left in it."""

    name: ClassVar[str] = "smoke"
    modality: ClassVar[Modality] = Modality.OBJECT
    version: ClassVar[str] = "1"  # raise it when the same video would get other tags

    def __init__(self, **settings: Any) -> None:
        """Cheap: an expert is made to be asked about, long before it is used."""
        self.settings = SmokeSettings(**settings)
        # What to decode. The panel reads the file once for all experts.
        self.needs: tuple[Sampling, ...] = (
            PerSecond(rate=self.settings.rate, most=self.settings.most, side=64),
        )

    def missing(self) -> str | None:
        """None, or one sentence: what is not here, and the command that gets it."""
        return None

    def fingerprint(self) -> str:
        """All that the tags depend on. If it changes, `tagline tag` lets this expert look again."""
        told = (self.name, self.version, sorted(asdict(self.settings).items()))
        return sha256(repr(told).encode()).hexdigest()

    def load(self, device: str) -> None:
        """Models are loaded here, not when the file is imported: `device` is cpu, cuda or mps."""

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        """One report for each video, in order. An exception costs this batch, and the run goes on."""
        return [self._look(footage) for footage in batch]

    def _look(self, footage: Footage) -> Report:
        view = footage.view(self.needs[0])  # frames: uint8 [T, H, W, 3]; times: seconds [T]
        if not len(view.times):
            return Report(notes=["no frame could be read"])
        colour = view.frames.std(axis=-1).mean(axis=(1, 2))  # [T]; 0 is grey
        greyness = 1 - (colour / 50).clip(0, 1)
        seen = [
            Sighting("smoke", round(float(g), 3), float(t))
            for t, g in zip(view.times, greyness, strict=True)
            if g >= self.settings.threshold
        ]
        # Sightings less than `gap` seconds apart become one tag with a start and an end.
        gap = 1.5 / self.settings.rate
        return Report(tags=to_spans(seen, self.modality, self.name, gap=gap), sightings=seen)
