"""Mutate: what becomes of a file by accident or by somebody who tries things out."""

from __future__ import annotations

import random


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One of: flipped bits, a cut, noise over a stretch, a stretch left out, a stretch said twice."""
    data = bytearray(content)
    kind = rng.choice(("bits", "bits", "bits", "head", "cut", "noise", "gap", "twice"))
    at = rng.randrange(len(data))
    size = min(rng.choice((1, 16, 256, 4096)), len(data) - at)
    if kind == "bits" or kind == "head":  # the head is where containers keep what they promise
        reach = len(data) if kind == "bits" else min(1024, len(data))
        for _ in range(rng.choice((1, 3, 10, 100))):
            data[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "noise":
        data[at : at + size] = rng.randbytes(size)
    elif kind == "gap":
        del data[at : at + size]
    else:
        data[at:at] = data[at : at + size]
    return bytes(data)
