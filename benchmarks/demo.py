"""`make demo`: the main job from beginning to end, with the commands that a user types, shown as they run."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tagline.benchmarks.fixtures.photographs import make_clips
from tagline.experts.weights.registry import entries, local_folder
from tagline.retrieval.embed.encode import CLASSIFIER

QUESTIONS = [
    "a girl dancing on the beach",
    "somebody talks about insurance",
    "a dog in the snow",
    "a boy running in the city at night",
]


REAL_QUESTIONS = ["a temple in china", "a yellow flower", "public transport"]
STARTER = "things,faces,screen"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where the demo's files go")
    parser.add_argument("--set", default="demo", choices=["tiny", "demo"], help="how many videos")
    chosen = parser.parse_args()
    begun = time.monotonic()
    videos = chosen.folder / "videos"

    say("A small world of videos with pictures, motion, speech and text, made on this machine.")
    tagline("bench", "playhouse", "render", chosen.set, str(videos))
    tagline("bench", "playhouse", "card", chosen.set, "--out", str(chosen.folder), quiet=True)

    say("Watch, listen to and read them. Nothing comes from the network.")
    tagline("tag", str(videos), "--weights", "playhouse")

    say("What is in them?")
    tagline("tags", "list", "--library", str(videos), shorten=12)
    tagline("show", first_video(videos), "--library", str(videos))

    say("See them as vectors too, so that other words for the same thing find it.")
    tagline("index", str(videos), "--weights", "playhouse")

    say("Ask. The figure compares the hits of one question; where people wrote captions, it is a chance.")
    for question in QUESTIONS:
        tagline("search", question, "-k", "3", "--library", str(videos), expect=(0, 4))
    tagline("similar", first_video(videos), "-k", "3", "--library", str(videos), expect=(0, 4))

    photographs = chosen.folder / "photographs"
    if make_clips(photographs):
        real_pictures(photographs)

    say(f"Done in {time.monotonic() - begun:.0f} s. A picture of all of them: {chosen.folder / 'sheet.png'}")
    print("Now try your own:\n")
    for line in (
        f"tagline serve --library {videos}        # the same on a page, with players and pictures",
        "tagline tag ~/Videos",
        "tagline search what you remember --library ~/Videos",
        "tagline doctor",
    ):
        print(f"  .venv/bin/{line}")


def real_pictures(folder: Path) -> None:
    """The other world: photographs, tagged by the starter's published weights."""
    say("Now real pictures: photographs that installed packages carry, moved under a camera.")
    tagline("tag", str(folder), "--only", STARTER, expect=(0, 3))
    tagline("tags", "list", "--library", str(folder), shorten=12)
    if local_folder(entries()[CLASSIFIER]) is None:
        print("Their weights are not here: `.venv/bin/tagline models pull starter` fetches them.")
        return
    tagline("index", str(folder))
    for question in REAL_QUESTIONS:
        tagline("search", question, "-k", "2", "--library", str(folder), expect=(0, 4))


def first_video(folder: Path) -> str:
    return min(path.name for path in folder.glob("*.mp4"))


def say(words: str) -> None:
    print(f"\n\033[1m{words}\033[0m" if sys.stdout.isatty() else f"\n{words}", flush=True)


def tagline(
    *arguments: str, quiet: bool = False, shorten: int | None = None, expect: tuple[int, ...] = (0,)
) -> None:
    """Show a command and run it. `shorten`: only so many lines of its answer."""
    print(f"\n$ tagline {shlex.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "tagline", *arguments]
    if quiet or shorten:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        lines = [] if quiet else done.stdout.splitlines()
        print("\n".join(lines[:shorten]))
        if shorten and len(lines) > shorten:
            print(f"… and {len(lines) - shorten} more")
        code = done.returncode
    else:
        code = subprocess.run(command).returncode
    if code not in expect:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
