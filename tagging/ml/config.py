"""Configuration as data: frozen dataclasses to and from JSON, presets, `key=value` settings, digests."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib import resources
from typing import Any, get_type_hints


class BadConfig(ValueError):
    """A configuration that cannot be used. The message says which key and what it may be."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What every training has: how long, in which steps, and what chooses the checkpoint."""

    epochs: int = 20
    batch: int = 64  # in a step, over all devices
    warmup: float = 0.1  # share of all steps
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    accumulate: int = 1
    validation: float = 0.1  # share of the training videos that chooses the checkpoint
    validation_most: int = 1000  # videos
    evaluations: int = 1  # in an epoch
    seed: int = 0
    bf16: bool = True  # where the device can

    def __post_init__(self) -> None:
        at_least(self, epochs=1, batch=1, accumulate=1, evaluations=1, validation_most=1)
        if not 0 < self.validation < 1:
            raise BadConfig(f"validation must lie between 0 and 1, not {self.validation}")


def at_least(config: Any, **bounds: int) -> None:
    for key, least in bounds.items():
        if getattr(config, key) < least:
            raise BadConfig(f"{key} must be at least {least}, not {getattr(config, key)}")


def one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadConfig(f"{key} must be one of {', '.join(allowed)}, not {value!r}")


def as_dict(config: Any) -> dict[str, Any]:
    """Plain JSON data: tuples as lists."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return found


def from_dict(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """A dataclass from JSON data. A key that is not its own is refused, never ignored."""
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}
    if not isinstance(data, Mapping):
        raise BadConfig(f"{kind.__name__} cannot be {data!r}; it is a table of settings")
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            raise BadConfig(f"{kind.__name__} has no key {key!r}{_did_you_mean(key, known)}")
        hint = hints[key]
        values[key] = from_dict(hint, value) if is_dataclass(hint) else _coerce(key, value, hint)  # type: ignore[arg-type]
    return kind(**values)


def _coerce(key: str, value: Any, hint: Any) -> Any:
    """The value in the type that the key has, or a sentence."""
    text = str(hint)
    if text.startswith("tuple") and isinstance(value, list | tuple):
        return tuple(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if value is None and "None" in text:
        return None
    wanted = (str, dict) if "dict" in text else str if "str" in text else hint
    # True is an int in Python; in a configuration it is a mistake.
    fits = isinstance(wanted, type | tuple) and isinstance(value, wanted)
    if not fits or (hint is int and isinstance(value, bool)):
        raise BadConfig(f"{key} cannot be {value!r}; it is {_plain(hint)}")
    return value


def _plain(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
    return names.get(hint, str(hint))


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted(known))}"


def preset_names(package: str) -> list[str]:
    """The names of the presets in a package's folder `presets`."""
    folder = resources.files(package) / "presets"
    return sorted(
        entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")
    )


def load_preset(package: str, kind: type[Any], name: str) -> Any:
    """A package's preset by its name."""
    if name not in preset_names(package):
        raise BadConfig(f"there is no preset {name!r}; there are {', '.join(preset_names(package))}")
    text = (resources.files(package) / "presets" / f"{name}.json").read_text(encoding="utf-8")
    return from_dict(kind, json.loads(text))


def with_settings(config: Any, settings: Iterable[str]) -> Any:
    """The configuration with `key=value` settings applied.

    A key is `model.frames`, `train.batch`, `model.tags.most`, or its last part where only one key ends so.
    Values are JSON; what is no JSON is taken as a word, and words with commas as a list where one belongs.
    """
    data = as_dict(config)
    paths = {".".join(path): path for path in _paths(config)}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise BadConfig(f"a setting is key=value, not {setting!r}")
        found = [name for name in paths if name == key or name.endswith("." + key)]
        if not found:
            raise BadConfig(f"there is no key {key!r}{_did_you_mean(key, _short(paths))}")
        if len(found) > 1:
            raise BadConfig(f"{key!r} could be {' or '.join(found)}; write it in full")
        *above, last = paths[found[0]]
        target = data
        for part in above:
            target = target[part]
        target[last] = _value(value, target[last])
    return from_dict(type(config), data)


def _paths(config: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where the single values are. A dictionary as a value is one value."""
    found: list[tuple[str, ...]] = []
    for field in fields(config):
        value = getattr(config, field.name)
        path = (*above, field.name)
        found += _paths(value, path) if is_dataclass(value) else [path]
    return found


def _short(paths: Iterable[str]) -> set[str]:
    return {path.rpartition(".")[2] for path in paths}


def _value(text: str, before: Any) -> Any:
    if isinstance(before, list) and not text.lstrip().startswith("["):
        return [part for part in (p.strip() for p in text.split(",")) if part]
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def digest(*parts: Any) -> str:
    """sha256 over JSON data, keys sorted: the configuration's share of a fingerprint."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
