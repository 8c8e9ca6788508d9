"""What an expert is, which there are, and what those with weights have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from tagline.experts import extras
from tagline.experts.footage import Footage, Sampling, Sound
from tagline.experts.tags import Modality, Report
from tagline.experts.weights import registry

ENTRY_POINTS = "tagline.experts"

# Named here, imported when asked for: `tagline --help` must not load a model library.
BUILT_IN = {
    "object": "tagline.experts.objects:ObjectExpert",
    "person": "tagline.experts.objects:PersonExpert",
    "scene": "tagline.experts.scene:SceneExpert",
    "motion": "tagline.experts.motion:MotionExpert",
    "speech": "tagline.experts.speech:SpeechExpert",
    "sound": "tagline.experts.sound:SoundExpert",
    "screen": "tagline.experts.screen:ScreenExpert",
    "things": "tagline.experts.things:ThingsExpert",
    "faces": "tagline.experts.faces:FacesExpert",
}


@runtime_checkable
class Expert(Protocol):
    """Anything that turns footage into tags. Its constructor takes its settings as keywords.

    It may have more: `also` (other modalities of its tags), `weights_used()` (see `weights_of`), and
    `refuses(footage)`, a sentence that says why it is not to be asked about a video, or None.
    """

    name: str
    modality: Modality  # of its tags; an expert with tags of other modalities names them in `also`
    version: str  # changes whenever the same footage may give another report
    needs: tuple[Sampling, ...]

    def missing(self) -> str | None:
        """Why it cannot run here, as one sentence that names the command to run; None if it can."""

    def fingerprint(self) -> str:
        """sha256 over everything that its reports depend on: name, version, settings, weights."""

    def load(self, device: str) -> None:
        """Load the models. Called once, before the first batch; `device` is torch's name of it."""

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        """One report a footage, in order. The reports do not depend on how footage is batched."""


class UnknownExpert(ValueError):
    pass


def modalities_of(expert: Expert) -> tuple[Modality, ...]:
    """Every modality that an expert looks for, its own first."""
    return (expert.modality, *getattr(expert, "also", ()))


def weights_of(expert: Expert) -> tuple[str, ...]:
    """The weights by which an expert speaks, each with what tells it from others; () where it names none."""
    return tuple(getattr(expert, "weights_used", tuple)())


def available_experts() -> dict[str, str]:
    """Every expert that can be had here: name to where it comes from. Built-in names come first."""
    found = dict(BUILT_IN)
    for entry in entry_points(group=ENTRY_POINTS):
        found.setdefault(entry.name, entry.value)
    return found


def build_expert(name: str, settings: Mapping[str, Any] | None = None) -> Expert:
    """Make one expert by its name; `settings["use"]` puts another implementation in its place."""
    options = dict(settings or {})
    found = available_experts()
    target = options.pop("use", name)
    if target not in found:
        raise UnknownExpert(f"there is no expert called {target!r}; there are {', '.join(found)}")
    module, _, attribute = found[target].partition(":")
    return getattr(import_module(module), attribute)(**options)


class UnknownSetting(ValueError):
    """A setting that an expert does not have. The message is one sentence for people."""


class BaseExpert:
    """Settings as keywords, one or more roles that each need weights, and a fingerprint over both.

    A subclass names its frozen `Settings` dataclass, which has `collection`, `allow_pickle` and, for
    each role, the field that may name other weights (`roles` maps role to field).
    """

    name: ClassVar[str]
    modality: ClassVar[Modality]
    version: ClassVar[str]
    Settings: ClassVar[type]
    roles: ClassVar[dict[str, str]]
    needs: tuple[Sampling, ...]
    modules: ClassVar[tuple[str, ...]] = ("torch",)  # what extras of tagline have to bring

    # Settings that change how fast an expert works or what it may read, not what it says.
    outside_fingerprint: ClassVar[frozenset[str]] = frozenset({"batch_size", "allow_pickle", "collection"})

    def __init__(self, **settings: Any) -> None:
        assert is_dataclass(self.Settings)
        known = [field.name for field in fields(self.Settings)]
        for name in settings:
            if name not in known:
                raise UnknownSetting(f"{self.name} has no setting {name!r}; it has {', '.join(known)}")
        self.settings: Any = self.Settings(**settings)

    def find(self, role: str) -> registry.LocalWeights:
        """The weights of one role. Raises weights.WeightsMissing with the sentence for people."""
        chosen = getattr(self.settings, self.roles[role])
        return registry.find(
            chosen or registry.for_expert(self.name, self.settings.collection, role=role),
            allow_pickle=self.settings.allow_pickle,
        )

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        if absent := self.missing_extra():
            return absent
        for role in self.roles:
            try:
                self.find(role)
            except registry.WeightsMissing as error:
                return f"not run: {error}"
        return None

    def fingerprint(self) -> str:
        """sha256 over name, version, settings and weights. The same weights at another place are the same."""
        values = {
            key: value
            for key, value in asdict(self.settings).items()
            if key not in self.outside_fingerprint and key not in self.roles.values()
        }
        hashes = {role: self._hash(role) for role in self.roles}
        if self.knows_playhouse_only():
            # Tags that it gave to videos from elsewhere, before it refused them, are made anew.
            hashes["world"] = registry.PLAYHOUSE
        text = json.dumps([self.name, self.version, values, hashes], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def refuses(self, footage: Footage) -> str | None:
        """Why it says nothing of this video, or None: the playhouse's weights know their own videos only."""
        if footage.facts.comment == registry.PLAYHOUSE_COMMENT or not self.knows_playhouse_only():
            return None
        verb = "look" if any(not isinstance(need, Sound) for need in self.needs) else "listen"
        return (
            f"did not {verb}: the playhouse's weights know only the videos that it drew; "
            "leave `--weights playhouse` out for others"
        )

    def knows_playhouse_only(self) -> bool:
        """Whether any of its weights are the playhouse's, by collection or by name."""
        for role, field in self.roles.items():
            try:
                chosen = getattr(self.settings, field) or registry.for_expert(
                    self.name, self.settings.collection, role=role
                )
            except registry.WeightsMissing:
                continue
            entry = registry.entries().get(str(chosen))
            if entry is not None and entry.collection == registry.PLAYHOUSE:
                return True
        return False

    def weights_used(self) -> list[str]:
        """Name and beginning of the hash of the weights of each role, of those that are here."""
        found = []
        for role in self.roles:
            with suppress(registry.WeightsMissing):
                found.append(self.find(role).label)
        return found

    def _hash(self, role: str) -> str | None:
        try:
            return self.find(role).sha256
        except registry.WeightsMissing:
            return None

    def missing_extra(self) -> str | None:
        """The sentence for people where a module of an extra is not installed."""
        try:
            extras.require(self.name, *self.modules)
        except extras.ExtraMissing as error:
            return f"not run: {error}"
        return None


def labels(name: str) -> list[str]:
    """One of the lists of class names that come with the package, line by line."""
    text = (Path(__file__).parent / "vision" / "labels" / f"{name}.txt").read_text(encoding="utf-8")
    return text.splitlines()
