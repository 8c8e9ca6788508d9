"""Building an index in pieces on a Ray cluster: learn from a sample, add in parallel, check the recall."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagline.retrieval.cluster import pieces
from tagline.retrieval.cluster.pieces import DONE, TRAINED, Head, Piece, Spot
from tagline.retrieval.rows import Vectors
from tagline.tagging import owned
from tagline.tagging.cluster import ClusterError, shards
from tagline.tagging.cluster.joining import joined
from tagline.tagging.cluster.shards import Shelf

EACH = 1_000_000  # rows of a piece
ASKED = 200  # rows that ask for their neighbours when the recall is measured
AIM = 0.985  # recall at 10 at which looking into more cells stops
TOP = 10


def build(
    url: str,
    out: Path,
    source: str,
    address: str,
    *,
    fingerprint: str | None = None,
    each: int = EACH,
    say: Callable[[str], None] = lambda text: None,
) -> Head:
    """An index of the vectors that `source` left in the shards at `url`, in a folder that every node sees.

    A piece that is there, made of the same vectors, is kept: only what is missing is built.
    """
    shelf = Shelf(url)
    parts = shelf.parts()
    fingerprint, groups, rows = survey(shelf, parts, source, fingerprint, each)
    try:
        out = owned.without_links(out.resolve())
    except owned.NotOurs as error:
        raise ClusterError(str(error)) from error
    out.mkdir(parents=True, exist_ok=True)
    with joined(address):
        import faiss
        import ray

        say(f"{rows} vectors of {source} in {len(groups)} pieces")
        if not _same_training(out, fingerprint, source, rows):
            learnt = ray.get(ray.remote(_learn).remote(url, groups, source, fingerprint, rows))
            for old in out.glob(f"*/{DONE}"):
                old.unlink()
            faiss.write_index(faiss.deserialize_index(learnt), str(out / TRAINED))
            (out / "trained.txt").write_text(_training(fingerprint, source, rows))
        names = [f"piece-{number:05d}" for number in range(len(groups))]
        task = ray.remote(_add)
        work = [
            task.options(max_retries=-1).remote(url, group, source, fingerprint, str(out / name))
            for name, group in zip(names, groups, strict=True)
        ]
        counts = ray.get(work)
        dimensions = int(faiss.read_index(str(out / TRAINED)).d)
        head = Head(fingerprint, source, dimensions, sum(counts), 1, tuple(names), shelf.url)
        head = _tuned(out, head, say)
    head.write(out)
    return head


def survey(
    shelf: Shelf, parts: set[str], source: str, fingerprint: str | None, each: int
) -> tuple[str, list[list[str]], int]:
    """The vectors' fingerprint, the parts that each piece is made of, and the number of vectors."""
    import pyarrow.compute as pc

    found = shelf.dataset("vectors", parts).to_table(
        columns=["part", "fingerprint"], filter=pc.field("expert") == source
    )
    marks = set(found["fingerprint"].unique().to_pylist())
    if not marks:
        raise ClusterError(f"{shelf.url} holds no vectors of {source!r}; tag with the expert that makes them")
    if fingerprint is None and len(marks) > 1:
        raise ClusterError(
            f"the vectors of {source!r} were made by {len(marks)} different models; "
            "run `tagline tag --cluster` again to bring them up to date"
        )
    chosen = fingerprint or marks.pop()
    mine = found.filter(pc.equal(found["fingerprint"], chosen))
    sizes = {row["values"]: row["counts"] for row in mine["part"].value_counts().to_pylist()}
    groups: list[list[str]] = [[]]
    filled = 0
    for part in sorted(sizes):
        if filled and filled + sizes[part] > each:
            groups.append([])
            filled = 0
        groups[-1].append(part)
        filled += sizes[part]
    return chosen, groups, sum(sizes.values())


def load(url: str, parts: Sequence[str], source: str, fingerprint: str) -> tuple[Vectors, list[Spot]]:
    """The vectors of some parts that count, float32 [N, D] of length 1, and where each is."""
    shelf = Shelf(url)
    whole = shelf.parts()
    newest = {row["hash"]: row["part"] for row in shards.looks(shelf, whole, ()) if row["expert"] == source}
    rows: list[Any] = []
    spots: list[Spot] = []
    for row in shelf.dataset("vectors", set(parts) & whole).to_table().to_pylist():
        if row["expert"] == source and row["fingerprint"] == fingerprint:
            values = np.array(row["values"], np.float32)
            # Superseded looks, and what is no direction at all, cannot be found.
            if newest.get(row["hash"]) == row["part"] and np.isfinite(values).all() and values.any():
                rows.append(values)
                spots.append(Spot(row["hash"], row["start"], row["end"]))
    if len({len(row) for row in rows}) > 1:
        raise ClusterError(f"the vectors of {source!r} in {url} differ in length")
    return pieces.unit(np.stack(rows)) if rows else np.zeros((0, 0), np.float32), spots


def _learn(url: str, groups: list[list[str]], source: str, fingerprint: str, rows: int) -> Any:
    """Cells and codes from parts drawn at random, as bytes."""
    import faiss

    wanted = pieces.SAMPLE * pieces.cells(rows)
    order = [part for group in groups for part in group]
    np.random.default_rng(0).shuffle(order)
    some: list[Vectors] = []
    while order and sum(map(len, some)) < wanted:
        batch, order = order[:64], order[64:]
        vectors, _ = load(url, batch, source, fingerprint)
        if len(vectors):
            some.append(vectors)
    if not some:
        raise ClusterError(f"{url} holds no vectors of {source!r} that can be searched")
    return faiss.serialize_index(pieces.train(np.concatenate(some)[:wanted], rows))


def _add(url: str, parts: list[str], source: str, fingerprint: str, folder: str) -> int:
    """Make one piece, unless it is there, of the same parts; returns its rows."""
    import faiss

    target = Path(folder)
    mark = hashlib.sha256("\n".join([fingerprint, source, *parts]).encode()).hexdigest()
    done = target / DONE
    if done.exists():
        held, _, count = done.read_text().partition(" ")
        if held == mark:
            return int(count)
    vectors, spots = load(url, parts, source, fingerprint)
    trained = faiss.read_index(str(target.parent / TRAINED))
    if not len(vectors):
        vectors = np.zeros((0, trained.d), np.float32)
    pieces.write(target, trained, vectors, spots)
    done.write_text(f"{mark} {len(vectors)}")
    return len(vectors)


def _training(fingerprint: str, source: str, rows: int) -> str:
    """What cells are learnt for: they serve until there are four times as many rows."""
    return f"{fingerprint} {source} {max(rows, 1).bit_length() // 2}"


def _same_training(out: Path, fingerprint: str, source: str, rows: int) -> bool:
    held = out / "trained.txt"
    return (
        (out / TRAINED).exists()
        and held.exists()
        and held.read_text() == _training(fingerprint, source, rows)
    )


def _tuned(out: Path, head: Head, say: Callable[[str], None]) -> Head:
    """Look into more cells until rows of the first piece find their true neighbours in it."""
    from dataclasses import replace

    piece = Piece(out / head.pieces[0], head)
    count = len(piece.vectors)
    if not count:
        return head
    rows = np.random.default_rng(0).permutation(count)[:ASKED]
    asked = np.asarray(piece.vectors[np.sort(rows)], np.float32)
    exact = np.zeros((len(asked), 0), np.float32)
    ids = np.zeros((len(asked), 0), np.int64)
    for start in range(0, count, 65_536):
        page = np.asarray(piece.vectors[start : start + 65_536], np.float32)
        numbers = np.arange(start, start + len(page)) + piece.first
        ids, exact = pieces.merged(
            [(ids, exact), (np.broadcast_to(numbers, (len(asked), len(page))), asked @ page.T)], TOP
        )
    most = max(1, int(piece.index.nlist))
    while True:
        found, _ = piece.search(asked, TOP)
        right = sum(len(np.intersect1d(a[a >= 0], b[b >= 0])) for a, b in zip(found, ids, strict=True))
        recall = right / max(int((ids >= 0).sum()), 1)
        if recall >= AIM or piece.probes >= most:
            break
        piece.probes = min(2 * piece.probes, most)
    say(f"recall at {TOP} is {recall:.3f} with {piece.probes} of {most} cells")
    return replace(head, probes=piece.probes)
