"""kill-writers: one process writes tags, another verdicts, and SIGKILL takes either or both in the middle.

What they had reported as written must be in the catalog, once; what comes of all runs in the end must be what
undisturbed runs write. Decoder and experts are stand-ins, so that there are as many kills as possible; plan,
run, lock and catalog are the real ones.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts.footage import Coverage, Facts, Footage, Sampling, Uniform, Work
from tagline.experts.panel import Panel, PanelResult
from tagline.experts.tags import Embedding, Modality, Report, Sighting, Tag, Word
from tagline.tagging.catalog.dump import dump_lines
from tagline.tagging.catalog.lock import only_writer
from tagline.tagging.catalog.records import Verdict
from tagline.tagging.catalog.verdicts import VerdictRow
from tagline.tagging.catalog.write import Catalog
from tagline.tagging.pipeline.plan import plan
from tagline.tagging.pipeline.run import run as run_plan

VIDEOS = 24
PATIENCE = 60.0  # seconds for a process to report anything
WORDS = ("dog", "cat", "beach", "car", "tree", "Anna", "EXIT", "boat")
DECIDED = ('["verdict', '["found')  # so begin rows that change with what is decided
PRELOAD = ("__main__", "tagline.benchmarks.robustness.kill_writers", "tagline.experts.decode.decoder")


@dataclass(slots=True)
class KillTally:
    """What came of the kills so far."""

    kills: int = 0
    in_flight: int = 0  # kills after which something was written that had not been reported yet
    verdicts: int = 0
    videos: int = 0
    lost: int = 0
    doubled: int = 0
    damaged: int = 0
    wrong: list[str] = field(default_factory=list)  # some of what was lost, doubled or damaged


def run(scratch: Path, kills: int, seed: int) -> KillTally:
    """So many kills, over as many libraries as that takes."""
    tally = KillTally()
    videos = scratch / "videos"
    make_files(videos)
    undisturbed = scratch / "undisturbed"
    undisturbed.mkdir()
    tag(undisturbed, videos)
    number = 0
    while tally.kills < kills:
        library = scratch / f"library {number}"
        library.mkdir()
        draw = random.Random(f"{seed} {number}")
        Watched(library, videos, draw, tally).kill_until(kills)
        compare(library, undisturbed, scratch / f"expected {number}", tally)
        number += 1
    return tally


def make_files(folder: Path) -> None:
    """What the stand-ins take for videos; two are copies of others, and two cannot be read."""
    folder.mkdir()
    for number in range(VIDEOS):
        same = number - 1 if number in (9, 17) else number
        (folder / f"{number:02d}.mp4").write_bytes(b"unreadable" * (number in (5, 13)) + b"video %d" % same)


# ---- the two who write


class StandIn:
    """An expert that says of a file what its content stands for."""

    version = "1"
    needs: tuple[Sampling, ...] = (Uniform(1, side=16),)

    def __init__(self, modality: Modality) -> None:
        self.name, self.modality = f"stand-in-{modality}", modality

    def missing(self) -> str | None:
        return None

    def fingerprint(self) -> str:
        return "f" * 64

    def load(self, device: str) -> None:
        pass

    def __call__(self, batch: Sequence[Footage]) -> list[Report]:
        return [self._report(random.Random(f"{self.name} {footage.facts.title}")) for footage in batch]

    def _report(self, draw: random.Random) -> Report:
        texts = draw.sample(WORDS, 5)
        return Report(
            tags=[
                Tag(text, self.modality, 0.5 + i / 16, i, i + 2.0, self.name) for i, text in enumerate(texts)
            ],
            sightings=[Sighting(text, 0.5, 1.0, (0.1, 0.1, 0.5, 0.5)) for text in texts],
            words=[Word(text, i / 2, i / 2 + 0.4, 0.5) for i, text in enumerate(texts)],
            vectors=[Embedding(0.0, 2.0, np.array([draw.random() for _ in range(8)], np.float32))],
        )


EXPERTS = (Modality.OBJECT, Modality.SCENE, Modality.SPEECH)


class StandInPanel(Panel):
    """Lets its experts look without decoding anything."""

    def run(self, work: Iterable[Work]) -> Generator[PanelResult, None, None]:
        for one in work:
            content = one.path.read_bytes().decode()
            if content.startswith("unreadable"):
                yield PanelResult(one, None, unreadable="is damaged")
                continue
            facts = Facts(9.0, 64, 36, None, "h264", 0, "bt709", True, content)
            footage = Footage(str(one.path), facts, {}, None, coverage=Coverage(1, 1, "read"))
            named = [expert for expert in self.experts if expert.name in one.experts]
            yield PanelResult(one, footage, None, {expert.name: expert([footage])[0] for expert in named})


def tag(library: Path, videos: Path, line: Connection | None = None) -> None:
    """A run over the videos; each that is done is reported once it is written."""

    def on_progress(progress: Any) -> None:
        if line is not None:
            line.send_bytes(os.fsencode(progress.path))

    experts = [StandIn(modality) for modality in EXPERTS]
    with Catalog.open(library) as catalog, only_writer(catalog):
        made = plan(catalog, [videos], experts)
        run_plan(made, StandInPanel(made.experts), on_progress)


def judge(library: Path, line: Connection, seed: str) -> None:
    """A person who decides without end: what is written is reported, and what is taken back."""
    draw = random.Random(seed)
    with Catalog.open(library) as catalog:
        while True:
            known = [video.id for video in catalog.videos()]
            if draw.random() < 0.15:
                taken = catalog.decide.undo()
                line.send_bytes(("-" + taken[0].text if taken else "nothing").encode())
            elif known:
                line.send_bytes(("+" + _decide(catalog, draw, draw.choice(known))).encode())
            else:
                time.sleep(0.001)


def _decide(catalog: Catalog, draw: random.Random, video: int) -> str:
    """One act; gives its text, which no other has, as far as it may be new."""
    text = f"word {draw.getrandbits(48)}"
    kind = draw.choice(("add", "add", "reject", "rename", "merge", "alias"))
    if kind == "add":
        catalog.decide.add(video, text, span=(1.0, 2.0))
    elif kind == "reject":
        catalog.decide.reject(video, text)
    elif kind == "merge":
        catalog.decide.merge([text, draw.choice(WORDS)], "both")
    else:
        getattr(catalog.decide, kind)(text, draw.choice(WORDS))
    return text


# ---- who kills them, and looks


class Watched:
    """A library that two processes write to, and what they reported."""

    def __init__(self, folder: Path, videos: Path, draw: random.Random, tally: KillTally) -> None:
        self.folder, self.videos, self.draw, self.tally = folder, videos, draw, tally
        self.standing: list[str] = []  # the texts of the acts that hold, in their order
        self.tagged: set[str] = set()
        self.before: Counter[str] = Counter()  # rows of tags that were there after the last kill

    def kill_until(self, kills: int) -> None:
        """Kill runs until all videos are tagged, or there were enough kills; then let one come to its end."""
        done = False
        while not done and self.tally.kills < kills:
            done = self._kill_once()
            self.look()
        tag(self.folder, self.videos)

    def _kill_once(self) -> bool:
        """Whether the run came to its end instead."""
        context = get_context("forkserver")
        context.set_forkserver_preload(list(PRELOAD))
        (tags, tags_there), (verdicts, verdicts_there) = context.Pipe(False), context.Pipe(False)
        seed = str(self.draw.getrandbits(64))
        tagger = context.Process(target=tag, args=(self.folder, self.videos, tags_there), daemon=True)
        person = context.Process(target=judge, args=(self.folder, verdicts_there, seed), daemon=True)
        for process in (tagger, person):
            process.start()
        tags_there.close()
        verdicts_there.close()
        wanted, left = self.draw.randrange(1, 10), {tags, verdicts}
        ended = False
        while wanted > 0 and not ended:
            ready = wait(left, PATIENCE)
            if not ready:
                raise RuntimeError(f"nothing was written for {PATIENCE:.0f} s")
            for line in ready:
                ended = not self._take(line, tags) or ended
                wanted -= 1
        time.sleep(self.draw.choice((0.0, self.draw.uniform(0, 0.003), self.draw.uniform(0, 0.03))))
        victims = [tagger, person]
        self.draw.shuffle(victims)
        for process, pause in zip(victims, (self.draw.choice((0.0, 0.01)), 0.0), strict=True):
            process.kill()
            time.sleep(pause)
        for process in victims:
            process.join()
            if process.exitcode not in (0, -signal.SIGKILL):
                self._wrong("damaged", f"a process ended with {process.exitcode}")
        for line in (tags, verdicts):
            while self._take(line, tags):
                pass
            line.close()
        self.tally.kills += not ended
        return ended

    def _take(self, line: Any, tags: Any) -> bool:
        """One report; False where the other end is closed and nothing is left."""
        try:
            said = line.recv_bytes()
        except (EOFError, OSError):
            return False
        if line is tags:
            self.tagged.add(os.fsdecode(said))
        elif said.startswith(b"+"):
            self.standing.append(said[1:].decode())
        elif said.startswith(b"-"):
            self._undone(said[1:].decode())
        return True

    def _undone(self, text: str) -> None:
        """The last act was taken back: the one that was reported last, or one that a kill left unreported."""
        if self.standing and self.standing[-1] == text:
            self.standing.pop()

    def look(self) -> None:
        """Compare what is in the catalog with what was reported."""
        tally = self.tally
        with Catalog.open(self.folder) as catalog:
            tally.damaged += bool(catalog.check_integrity())
            acts = _acts(catalog.verdicts.all())
            paths = Counter(path for _, path, gone in catalog.places() if not gone)
            failed = {failure.path for failure in catalog.failures() if failure.path is not None}
            rows = Counter(
                line for line in dump_lines(catalog) if not line.startswith(('["verdict', '["found'))
            )
        texts = [rows_of_act[0].text for rows_of_act in acts]
        self._verdicts(texts)
        for path in self.tagged - set(paths) - failed:
            self._wrong("lost", path)
        for row in (self.before - rows).elements():
            if not row.startswith('["failure'):
                self._wrong("lost", row)
        for row in [row for row, count in rows.items() if count > 1] + [p for p, n in paths.items() if n > 1]:
            self._wrong("doubled", row)
        tally.in_flight += texts != self.standing or not self.tagged >= set(paths) | failed
        self.standing, self.before = texts, rows
        self.tagged |= set(paths) | failed

    def _verdicts(self, texts: list[str]) -> None:
        """Of what was not reported at most one act was under way: one more, or the last one taken back."""
        reported = Counter(self.standing)
        there = Counter(texts)
        missing, more = list((reported - there).elements()), list((there - reported).elements())
        if missing == self.standing[-1:] and not more:
            missing = []  # it was being taken back
        elif more == texts[-1:] and not missing:
            more = []  # it was being written
        for text in missing:
            self._wrong("lost", f"verdict {text}")
        for text in more:
            self._wrong("doubled", f"verdict {text}")

    def _wrong(self, how: str, what: str) -> None:
        setattr(self.tally, how, getattr(self.tally, how) + 1)
        self.tally.wrong.append(f"{how}: {what}"[:300])


def _acts(verdicts: Iterable[Verdict]) -> list[list[Verdict]]:
    """The verdicts, those of one act together, in their order."""
    acts: dict[int, list[Verdict]] = {}
    for verdict in verdicts:
        acts.setdefault(verdict.act, []).append(verdict)
    return [acts[act] for act in sorted(acts)]


def compare(library: Path, undisturbed: Path, expected: Path, tally: KillTally) -> None:
    """The library in the end beside an undisturbed one on which the same was decided."""
    shutil.copytree(undisturbed, expected)
    with Catalog.open(library) as killed, Catalog.open(expected) as wanted:
        hashes = {video.id: video.hash for video in killed.videos()}
        acts = _acts(killed.verdicts.all())
        with wanted.transaction():
            for act in acts:
                wanted.verdicts.write([_row(verdict, hashes, wanted) for verdict in act])
        tally.verdicts += sum(map(len, acts))
        tally.videos += len(hashes)
        there, should = Counter(dump_lines(killed)), Counter(dump_lines(wanted))
        there.update(f"count {count}" for count in killed.tag_counts())
        should.update(f"count {count}" for count in wanted.tag_counts())
    for how, rows in (("lost", should - there), ("doubled", there - should)):
        setattr(tally, how, getattr(tally, how) + rows.total())
        tally.wrong += [f"{how} in the end: {row}"[:300] for row in rows]
    for folder in (library, expected):
        shutil.rmtree(folder)


def _row(verdict: Verdict, hashes: Mapping[int, str], into: Catalog) -> VerdictRow:
    """A verdict as it is written again where videos may have other numbers."""
    video = None if verdict.video_id is None else into.id_of_hash(hashes[verdict.video_id])
    about = (verdict.modality, verdict.text, verdict.target, verdict.start, verdict.end)
    return verdict.kind, video, *about
