"""The configuration of a library: which experts look at its videos, and how each is set.

A TOML file, `tagline.toml` beside the catalog or wherever --config says:

    [tag]
    experts = ["object", "scene", "speech"]     # the default: all that can be had
    device = "cuda"
    batch = 16

    [experts.object]
    confidence = 0.5
    weights = "yolo11m.pt"

    [experts.scene]
    use = "my_scenes"                           # another package's expert in its place
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tagline.experts import extras
from tagline.experts.base import Expert, UnknownExpert, available_experts, build_expert
from tagline.tagging.catalog import files
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.printable import safe

FILE = "tagline.toml"

# Experts that look into the catalog once the files are read; see tagging/fusion/post_process.py.
CATALOG_EXPERTS = ("neighbours", "ranked")

# What a file that came along with a folder of videos must not decide.
TRUSTED_FILES_ONLY = frozenset({"allow_pickle"})

_TAG = {"experts": list, "device": str, "batch": int, "jobs": int}


class SettingsError(CatalogError):
    """A configuration that cannot be used. The message is for people."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a configuration says. `experts` holds the settings of each expert by its name."""

    expert_names: tuple[str, ...] | None = None  # which experts; None: all that can be had
    experts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device: str = "auto"
    batch: int = 8
    jobs: int | None = None
    file: Path | None = None

    def chosen(self, only: Iterable[str] = ()) -> tuple[str, ...]:
        """The names of the experts that shall look, in the order of the panel."""
        names = tuple(dict.fromkeys(only)) or self.expert_names or tuple(available_experts())
        own = {name for name, options in self.experts.items() if "use" in options}
        for name in names:
            if name not in available_experts() and name not in own and name not in CATALOG_EXPERTS:
                raise UnknownExpert(
                    f"there is no expert called {safe(name)!r}; "
                    f"there are {', '.join([*available_experts(), *CATALOG_EXPERTS])}"
                )
        order = list(dict.fromkeys([*available_experts(), *self.experts, *CATALOG_EXPERTS]))
        return tuple(sorted(names, key=order.index))

    def build(self, name: str, *, collection: str | None = None, allow_pickle: bool = False) -> Expert:
        """One expert, set as the configuration says.

        `collection` names the weights of all experts, `allow_pickle` lets them read a person's own pickles.
        """
        options = dict(self.experts.get(name, {}))
        common: dict[str, Any] = {}
        if collection is not None and "collection" not in options and "weights" not in options:
            common["collection"] = collection
        if allow_pickle:
            common["allow_pickle"] = True
        try:
            # Not every expert knows both; what else is wrong comes up again without them.
            for known_ones in (common, *({key: common[key]} for key in common)):
                try:
                    return build_expert(name, {**options, **known_ones})
                except (TypeError, ValueError):
                    continue
            return build_expert(name, options)
        except (TypeError, ValueError) as error:
            if isinstance(error, UnknownExpert):
                raise
            where = safe(self.file) if self.file is not None else "the settings"
            raise SettingsError(f"{where}: the expert {safe(name)} cannot be set so: {error}") from error

    def panel(
        self, only: Iterable[str] = (), *, collection: str | None = None, allow_pickle: bool = False
    ) -> tuple[list[Expert], dict[str, str]]:
        """The chosen experts, and those that cannot even be built here, with the reason."""
        experts: list[Expert] = []
        absent: dict[str, str] = {}
        for name in self.chosen(only):
            if name in CATALOG_EXPERTS:
                continue
            try:
                experts.append(self.build(name, collection=collection, allow_pickle=allow_pickle))
            except ImportError as error:
                said = extras.from_import_error(error) or f"{error}; run `pip install 'tagline[all]'`"
                absent[name] = f"not run: {said}"
        names = [expert.name for expert in experts]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SettingsError(f"two experts are called {min(twice)}; leave one out with --only")
        return experts, absent


def load_settings(file: str | os.PathLike[str] | None, root: Path | None = None) -> Settings:
    """The configuration in a file; without one, that of the library at `root`, or the defaults."""
    given = Path(file) if file is not None else None
    path = given or (next(_beside(root), None) if root is not None else None)
    if path is None:
        return Settings()
    name = safe(path)
    try:
        data = tomllib.loads((path.read_bytes() if given else files.read(path)).decode())
    except files.NotOurs as error:
        raise SettingsError(str(error)) from error
    except OSError as error:
        raise SettingsError(f"{name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also deeper than can be read, or not UTF-8
        raise SettingsError(f"{name} is not valid TOML: {error}") from error
    return _parse(data, path, trusted=given is not None)


def _beside(root: Path) -> Iterator[Path]:
    candidates = (root / ".tagline" / FILE, root / FILE)
    return (path for path in candidates if os.path.lexists(path))


def _parse(data: dict[str, Any], path: Path, *, trusted: bool) -> Settings:
    name = safe(path)
    strange = set(data) - {"tag", "experts"}
    if strange:
        raise SettingsError(
            f"{name} has a section [{safe(min(strange))}]; there are [tag] and [experts.NAME]"
        )
    tag = _table(data.get("tag", {}), "tag", name)
    for key, value in tag.items():
        if key not in _TAG:
            raise SettingsError(f"{name}: [tag] has no setting {safe(key)!r}; it has {', '.join(_TAG)}")
        if type(value) is not _TAG[key] or (isinstance(value, int) and value < 1):
            raise SettingsError(f"{name}: {key} in [tag] must be {_TYPE_NAMES[_TAG[key]]}")
    experts: dict[str, dict[str, Any]] = {}
    for expert, options in _table(data.get("experts", {}), "experts", name).items():
        options = _table(options, f"experts.{safe(expert)}", name)
        forbidden = TRUSTED_FILES_ONLY & options.keys()
        if forbidden and not trusted:
            raise SettingsError(
                f"{name} lies with the videos and may not set {min(forbidden)}; "
                "name the file with --config if you trust it"
            )
        # frozen settings want tuples
        experts[expert] = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    names = tag.get("experts")
    return Settings(
        expert_names=tuple(map(str, names)) if names is not None else None,
        experts=experts,
        device=tag.get("device", "auto"),
        batch=tag.get("batch", 8),
        jobs=tag.get("jobs"),
        file=path,
    )


_TYPE_NAMES = {list: "a list of names", str: "a name in quotes", int: "a whole number above 0"}


def _table(value: Any, title: str, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{name}: {title} must be a section: [{title}]")
    return value
