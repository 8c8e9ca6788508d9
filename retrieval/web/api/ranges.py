"""HTTP ranges: which bytes of a file somebody wants, one stretch or several (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST = 16  # stretches of one request; more are an attack or a mistake

Stretch = tuple[int, int]  # first byte, and the byte after the last


class NotSatisfiable(Exception):
    """None of the stretches lies within the file."""


def parse(header: str | None, size: int) -> list[Stretch] | None:
    """The stretches in the order of asking, overlapping or touching ones joined; None: the whole file.

    A header that is none of ours (another unit, not well formed) is left aside, as the standard asks.
    """
    if header is None:
        return None
    unit, equals, sets = header.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    wanted: list[Stretch] = []
    specs = [spec.strip(" \t") for spec in sets.split(",")]
    for spec in filter(None, specs):
        match = re.fullmatch(r"(\d*)-(\d*)", spec, re.ASCII)
        if match is None or len(spec) > 60 or spec == "-":
            return None
        first, last = match.groups()
        if first and last and int(first) > int(last):
            return None
        if not first:
            wanted.append((max(size - int(last), 0), size))
        else:
            wanted.append((int(first), min(int(last) + 1, size) if last else size))
    if not wanted:
        return None
    wanted = [(first, end) for first, end in wanted if first < end <= size]
    if not wanted:
        raise NotSatisfiable
    joined = _joined(wanted)
    if len(joined) > MOST:
        raise NotSatisfiable
    return joined


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """No byte twice: a stretch that meets an earlier one is taken into it."""
    joined: list[Stretch] = []
    for first, end in stretches:
        meets = [other for other in joined if first <= other[1] and other[0] <= end]
        if not meets:
            joined.append((first, end))
            continue
        place = joined.index(meets[0])
        whole = min(first, *(a for a, _ in meets)), max(end, *(b for _, b in meets))
        joined = [other for other in joined if other not in meets]
        joined.insert(place, whole)
    return joined


def part_head(stretch: Stretch, size: int, kind: str, boundary: str) -> bytes:
    """What stands before one part of several."""
    first, end = stretch
    return (
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: bytes {first}-{end - 1}/{size}\r\n\r\n"
    ).encode()


def parts_length(stretches: Sequence[Stretch], size: int, kind: str, boundary: str) -> int:
    """Bytes of a whole answer in several parts."""
    bodies = sum(end - first + 2 for first, end in stretches)
    heads = sum(len(part_head(stretch, size, kind, boundary)) for stretch in stretches)
    return bodies + heads + len(closing(boundary))


def closing(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode()
