"""Still: one picture file, read by Pillow in a child that is locked in as the video decoder's is."""

from __future__ import annotations

import io
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts.decode import guard, reply
from tagline.experts.decode.buffer import SharedMemory
from tagline.experts.decode.child import Child, ChildDied
from tagline.experts.decode.limits import Limits
from tagline.experts.decode.opening import opened
from tagline.experts.footage import Pictures, Unreadable

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
# A picture takes its pixels several times over on its way: as it is stored, turned, in RGB.
LIMITS = Limits(seconds=60.0, memory=1 << 30, pixels=50_000_000, footage_bytes=150_000_000)


def read_picture(path: Path, *, child: Path = Path(__file__), limits: Limits = LIMITS) -> Pictures:
    """The pixels of a picture file, of its first picture if it has several, upright: uint8 [H, W, 3].

    Raises Unreadable. child: the program that reads it; tests put one in its place that lies.
    """
    file = opened(path)
    try:
        process = Child(child, limits.memory)
    except OSError as error:
        os.close(file)
        raise Unreadable(f"cannot be read: no process could be started ({error})") from error
    try:
        return ask(process, file, limits)
    finally:
        process.kill()


def ask(process: Child, file: int, limits: Limits = LIMITS) -> Pictures:
    """The same of an opened file, which is closed, in a child that is there already."""
    fd = None
    try:
        answer, fd = process.ask({"limits": asdict(limits)}, limits.seconds, file, stalled=limits.stalled)
        if fd is None:
            raise reply.refusal_of(answer)
        return reply.picture_of(answer, fd, limits)
    except ChildDied as gone:
        raise Unreadable(str(gone)) from None
    except reply.NonsenseReply as nonsense:
        raise Unreadable(f"could not be read: the decoder answered nonsense ({nonsense})") from None
    finally:
        for descriptor in (file, fd):
            if descriptor is not None:
                os.close(descriptor)


def load() -> None:
    """Let Pillow load what it needs, by doing once on something small what will be done."""
    from PIL import Image

    for form in FORMATS:
        small = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6  # turned
        Image.new("RGB", (2, 3)).save(small, form, exif=exif)
        small.seek(0)
        _pixels(small, 6)
    Image.new("P", (2, 2)).convert("RGB")
    Image.new("CMYK", (2, 2)).convert("RGB")


def carry_out(order: dict[str, Any], file: int | None) -> guard.Answer:
    """What becomes of one order about an opened picture."""
    assert file is not None
    store = SharedMemory()
    try:
        with os.fdopen(os.dup(file), "rb", 1 << 16) as handle:
            pixels = _pixels(handle, order["limits"]["pixels"])
        store.write(0, pixels)
        return {"shape": list(pixels.shape)}, store.fd
    except Unreadable as error:
        reason = str(error)
    except MemoryError:
        reason = f"needs more memory than the limit of {order['limits']['memory'] / 2**30:.1f} GB"
    except Exception:  # whatever a broken file brings about
        reason = f"is no picture that can be read ({', '.join(FORMATS)})"
    store.close()
    return {"unreadable": reason}, None


def _pixels(handle: Any, most: int) -> Pictures:
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # ours is the limit that counts, and it is said in words
    with Image.open(handle, formats=FORMATS) as image:
        if image.width * image.height > most:
            raise Unreadable(f"has more than {most // 10**6} million pixels")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


if __name__ == "__main__":
    guard.serve(guard.shut_in(load), carry_out)
