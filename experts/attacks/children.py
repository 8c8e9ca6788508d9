"""What the decoder's child says, how it stands still, and what it reads beside videos."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from tagline.experts import printable
from tagline.experts.attacks import hostile, lies
from tagline.experts.attacks.selftest import Cases, Unexpected
from tagline.experts.decode.decoder import Decoder
from tagline.experts.decode.limits import Limits
from tagline.experts.footage import Sound, Uniform, Unreadable

CASES = Cases()
EVIL = "a\x1b]0;title\x07\x1b[31m\x9b2J\r\u202egpj\u2066"


@CASES.case("A6", "pictures that are bombs, and what is no picture")
def _pictures(folder: Path) -> str:
    from tagline.experts.decode.still import read_picture

    files = [hostile.huge_gif(folder / "huge.gif"), *hostile.text_files(folder, "<svg/>", "x.svg", "x.jpg")]
    reasons = []
    for path in files:
        try:
            read_picture(path)
        except Unreadable as reason:
            reasons.append(str(reason))
            continue
        raise Unexpected(f"{path.name} was read")
    return "; ".join(dict.fromkeys(reasons))


@CASES.case("A39", "sound that goes on behind the last picture")
def _endless(folder: Path) -> str:
    path = hostile.long_sound(folder / "long.mkv", seconds=5.0)
    with Decoder(jobs=1, limits=Limits(seconds=60, sound_seconds=1.0)) as decoder:
        footage = decoder.read(path, (Uniform(3, side=32), Sound()))
    if len(footage.view(Uniform(3, side=32)).times) != 3 or footage.coverage.sound != "partly":
        raise Unexpected(f"it gave {footage.coverage}")
    return "; ".join(footage.coverage.notes)


@CASES.case("A42", "a child that lies: sizes, types, times, depth, counts, texts")
def _lies(folder: Path) -> str:
    child, video = lies.liar(folder), folder / "video.mp4"
    told = [lies.said(lie, *([] if "unreadable" not in lie else ["*[]"])) for lie in lies.LIES.values()]
    told += [lies.said(text) for text in lies.NO_ANSWERS]
    with Decoder(jobs=1, child=child, limits=Limits(seconds=60)) as decoder:
        for deed in told:
            video.write_text(deed, encoding="utf-8")
            try:
                decoder.read(video, lies.SAMPLINGS)
            except Unreadable as reason:
                if "nonsense" in str(reason):
                    continue
                raise Unexpected(f"a lie ended otherwise: it {reason}") from None
            raise Unexpected(f"a lie was believed: {deed[:200]}")
    return f"{len(told)} lies, none believed"


@CASES.case("A47", "a child that is stopped by somebody")
def _stopped(folder: Path) -> str:
    if sys.platform != "linux":
        return "not tried: this system does not say what a process does; the time limit ends it"
    child, video = lies.liar(folder), folder / "video.mp4"
    video.write_text("os.kill(os.getpid(), 19)", encoding="utf-8")
    with Decoder(jobs=1, child=child, limits=Limits(seconds=60, stalled=1.0)) as decoder:
        try:
            decoder.read(video, lies.SAMPLINGS)
        except Unreadable as reason:
            if "was stopped by somebody" in str(reason):
                return str(reason)
            raise Unexpected(f"it {reason}") from None
    raise Unexpected("it was read")


@CASES.case("A43", "names and texts that a terminal would obey")
def _shown(folder: Path) -> str:
    written = io.StringIO()
    stream: Any = printable.SafeStream(written)
    print(EVIL, file=stream)
    printable.console(file=written, force_terminal=True, color_system=None).print(EVIL)
    obeyed = sorted({sign for sign in written.getvalue() if sign in EVIL and not sign.isprintable()} - {"\n"})
    if obeyed:
        raise Unexpected(f"these came through: {obeyed}")
    return "written out as text"
