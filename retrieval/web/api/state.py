"""What the routes share: open catalogs, the cache, the decoder, the safe way to a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import Limits
from tagline.retrieval.web.api.cache import MediaCache
from tagline.retrieval.web.api.contract import Problem
from tagline.retrieval.web.api.overview import OverviewCache
from tagline.tagging.catalog import location
from tagline.tagging.catalog.records import Place, Video
from tagline.tagging.catalog.schema import CatalogError
from tagline.tagging.catalog.write import Catalog

ID_CHARACTERS = 20  # characters of a content's hash that make a video's id on the page
ID = rf"[0-9a-f]{{{ID_CHARACTERS}}}|x[0-9a-f]{{2,400}}"
CACHE_BYTES = 512 << 20
MAX_CATALOGS = 4
MAX_VERIFIED = 10_000  # files of which that is remembered

# One file may cost less here than in a run: somebody is waiting for it.
LIMITS = Limits(seconds=90.0, memory=2 << 30, view_bytes=64 << 20, footage_bytes=128 << 20)


def id_of(video: Video) -> str:
    """The id of a video on the page. It says nothing of where the file lies, and holds after a restart."""
    if len(video.hash) == 64 and video.hash.isalnum():
        return video.hash[:ID_CHARACTERS]
    return "x" + video.hash.encode().hex()[:400]


@dataclass(frozen=True, slots=True)
class OpenedVideo:
    """A video's file, opened and looked at: it is the one that the catalog knows."""

    descriptor: int
    size: int
    mtime_ns: int
    path: Path  # where it really lies

    def is_same(self, other: OpenedVideo) -> bool:
        return (self.size, self.mtime_ns, self.path) == (other.size, other.mtime_ns, other.path)

    def close(self) -> None:
        os.close(self.descriptor)


class AppState:
    """Everything behind the page. Safe to use from several threads."""

    def __init__(self, home: location.Home, *, jobs: int = 2, cache_bytes: int = CACHE_BYTES) -> None:
        self.home = home
        self._free: queue.LifoQueue[Catalog] = queue.LifoQueue()
        self._writing = threading.Lock()
        self.closed = threading.Event()
        for _ in range(MAX_CATALOGS):
            self._free.put(Catalog.open(home, create=False))
        self.cache = MediaCache(home.file.parent / "page", cache_bytes)
        self.decoder = Decoder(jobs, LIMITS)
        self.overview = OverviewCache()
        self._verified: dict[
            tuple[int | str, ...], bool
        ] = {}  # files with another time: is the content ours?

    def close(self) -> None:
        """End the decoder and give the files back."""
        self.closed.set()
        self.decoder.close()
        self.cache.close()
        with contextlib.suppress(queue.Empty):
            while True:
                self._free.get_nowait().close()

    def warm(self) -> None:
        """Open what search needs and read the videos' evidence, so that the first questions need not wait."""
        from tagline.retrieval.query.candidates import searcher_of

        with contextlib.suppress(CatalogError), Catalog.open(self.home, create=False) as catalog:
            searcher_of(catalog).warm(catalog, self.closed.is_set)

    @contextlib.contextmanager
    def catalog(self) -> Iterator[Catalog]:
        """A catalog for one thread. What is wrong with it is a sentence."""
        try:
            catalog = self._free.get(timeout=20)
        except queue.Empty:
            raise Problem(429, "too much is asked at once; try again in a moment") from None
        try:
            yield catalog
        except CatalogError as error:
            raise Problem(503, str(error)) from error
        finally:
            self._free.put(catalog)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Catalog]:
        """A catalog to decide in, one at a time."""
        with self._writing, self.catalog() as catalog:
            yield catalog

    def video(self, catalog: Catalog, key: str) -> Video:
        """The video with this id."""
        if key.startswith("x"):
            with contextlib.suppress(ValueError):
                number = catalog.id_of_hash(bytes.fromhex(key[1:]).decode("utf-8", "strict"))
                if number is not None and (video := catalog.video(number)):
                    return video
        elif video := catalog.find_hash(key):
            return video
        raise Problem(404, "there is no such video in this library")

    def open_file(self, catalog: Catalog, video: Video) -> OpenedVideo:
        """A file of this video that is still the one that was looked at; else a sentence, as 404."""
        refused = "its file is not there"
        for path in video.paths:
            place = catalog.place(path)
            if place is None:
                continue
            try:
                return self._open(catalog, place[1], video.hash)
            except PermissionError as error:
                refused = str(error) if error.errno is None else "its file may not be read"
            except OSError:
                continue
        raise Problem(404, f"{refused}; run `tagline tag` to look again")

    def _open(self, catalog: Catalog, place: Place, digest: str) -> OpenedVideo:
        descriptor = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        try:
            found = os.fstat(descriptor)
            real = _real(place.path, descriptor)
            root = os.path.realpath(catalog.root)
            inside = os.path.commonpath([root, os.path.abspath(place.path)]) == root  # noqa: PTH100
            # A link may stay within the library. What was tagged outside of it must lie where it was.
            within = os.path.commonpath([root, real]) == root if inside else real == place.path
            if not within:
                raise PermissionError("its file is a link that leads out of the library")
            if not stat.S_ISREG(found.st_mode) or not self._is_unchanged(descriptor, found, place, digest):
                raise PermissionError("its file has changed since it was looked at")
        except BaseException:
            os.close(descriptor)
            raise
        return OpenedVideo(descriptor, found.st_size, found.st_mtime_ns, Path(real))

    def _is_unchanged(self, descriptor: int, found: os.stat_result, place: Place, digest: str) -> bool:
        """Whether it holds what was looked at: by size and time, or, with another time, by its content."""
        if found.st_size != place.size:
            return False
        if found.st_mtime_ns == place.mtime_ns:
            return True
        seen = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, digest)
        if seen not in self._verified:
            self._verified[seen] = _hash_of(descriptor) == digest
            while len(self._verified) > MAX_VERIFIED:
                self._verified.pop(next(iter(self._verified)), None)
        return self._verified[seen]


def _hash_of(descriptor: int) -> str:
    digest, place = hashlib.sha256(), 0
    while block := os.pread(descriptor, 1 << 20, place):
        digest.update(block)
        place += len(block)
    return digest.hexdigest()


def _real(path: str, descriptor: int) -> str:
    """Where the opened file lies: by the system's own word, where it gives one."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    return os.path.realpath(path)
