"""One lesson a model: draw what it learns from, let it learn, choose on validation seeds, ship it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tagline.benchmarks.playhouse.looks import PERSONS
from tagline.benchmarks.playhouse.props import OBJECTS
from tagline.benchmarks.playhouse.training import choosing, detectors, material, motions, scenes, towers
from tagline.benchmarks.playhouse.training import shipping as ships
from tagline.benchmarks.playhouse.training.loop import Course, Tell
from tagline.benchmarks.playhouse.training.material import Frame
from tagline.experts import weights
from tagline.experts.seeing.pictures import Preparation

CROWDS, FRAMES, WINDOWS = 4000, 3250, 2000  # train seeds of each kind of material
VAL_FRAMES, VAL_WINDOWS = 500, 250  # val seeds


@dataclass(frozen=True, slots=True)
class Lesson:
    """What `tagline bench playhouse experts` can be asked for."""

    makes: tuple[str, ...]  # folders of weights
    what: str
    steps: int
    cost: float  # seconds of one core a step
    material: float  # seconds of one core to draw what it learns from
    teach: Callable[[Path, int, float, Tell], None]  # shelf, seed, minutes, tell

    def expected(self) -> float:
        """Minutes on this machine's cores, as fast as the one where the costs were measured."""
        cores = min(os.cpu_count() or 1, 4)
        return (self.steps * self.cost / (1 + 0.7 * (cores - 1)) + self.material / cores) / 60


def lessons() -> tuple[Lesson, ...]:
    return (
        Lesson(
            ("object", "person"),
            "YOLO of ultralytics",
            detectors.STEPS + detectors.CLOSE_STEPS,
            0.26,
            230,
            teach_detectors,
        ),
        Lesson(("scene",), "ViT of transformers", scenes.STEPS, 0.18, 95, teach_scenes),
        Lesson(("motion",), "X3D of pytorchvideo", motions.STEPS, 0.40, 640, teach_motions),
        Lesson(("clip",), "CLIP of open_clip", towers.STEPS, 0.85, 95, teach_towers),
    )


def chosen(only: str | None) -> tuple[Lesson, ...]:
    """The lessons that make the folders named, by comma. Raises ValueError."""
    offered = lessons()
    if only is None:
        return offered
    wanted = {name.strip() for name in only.split(",")}
    known = [name for lesson in offered for name in lesson.makes]
    if unknown := wanted.difference(known):
        raise ValueError(f"there is no playhouse expert {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    return tuple(lesson for lesson in offered if wanted & set(lesson.makes))


def shelf(out: Path | None = None) -> Path:
    return out or weights.PLAYHOUSE_FOLDER


def teach_detectors(out: Path, seed: int, minutes: float, tell: Tell) -> None:
    crowds, frames = material.crowds("train", CROWDS), material.frames("train", FRAMES)
    course = Course(detectors.STEPS, detectors.RATE, minutes)
    model = detectors.learn(crowds, frames, course, seed, tell)
    said = f"{len(crowds):,} crowded frames and {len(frames):,} frames of train seeds"
    things, persons = (tuple(material.THINGS.index(name) for name in names) for names in (OBJECTS, PERSONS))
    kept = ships.Course(seed, said, course.step, detectors.BATCH, course.seconds)
    keep_detector(detectors.part(model, things), "object", OBJECTS, detectors.WHOLE, out, kept, tell)
    start = detectors.part(model, persons)
    close = Course(detectors.CLOSE_STEPS, detectors.CLOSE_RATE, minutes)
    teach_persons(start, crowds, frames, close, seed, out, kept, tell)


def teach_persons(
    start: Any,
    crowds: Sequence[Frame],
    frames: Sequence[Frame],
    course: Course,
    seed: int,
    out: Path,
    before: ships.Course,
    tell: Tell,
) -> None:
    """Persons once more, alone and closer. `before` is the course that `start` comes from."""
    kinds = [material.THINGS.index(name) for name in PERSONS]
    shown = detectors.only(crowds, kinds), detectors.only(frames, kinds)
    model = detectors.learn(*shown, course, seed, tell, detectors.CLOSE, start)
    kept = replace(before, steps=before.steps + course.step, seconds=before.seconds + course.seconds)
    keep_detector(model.eval(), "person", PERSONS, detectors.CLOSE, out, kept, tell)


def keep_detector(
    model: Any,
    name: str,
    classes: Sequence[str],
    sight: detectors.Sight,
    out: Path,
    course: ships.Course,
    tell: Tell,
) -> None:
    from tagline.experts.seeing.yolo import save_yolo

    folder, every = emptied(out / name), range(len(classes))
    save_yolo(model, folder, names=classes, imgsz=sight.imgsz, half=True)
    marks, f1 = choosing.marks(folder, name == "person")
    tell(f"{name}: best F1 {f1:.3f} from scores {sorted(set(marks))}")
    moved = detectors.part(model, every, [choosing.shift(mark, detectors.THRESHOLD) for mark in marks])
    save_yolo(moved, folder, names=classes, imgsz=sight.imgsz, half=True)
    note = (
        "One network learned things and persons together; this is its part for these classes"
        f"{', which then learned alone and closer' if name == 'person' else ''}. Its scores"
        f" are shifted so that {' and '.join(map(str, sorted(set(marks))))}, best on those seeds, become the"
        f" expert's {detectors.THRESHOLD}; the figure is of the same videos, so it is a little kind."
    )
    figures = {f"F1 of a video's tags ({choosing.VIDEOS} videos)": round(f1, 3)}
    title = "Persons of the playhouse" if name == "person" else "Things of the playhouse"
    ships.ship(folder, title, [f"{name}/detector"], ships.AGPL, course, figures, note)


def teach_scenes(out: Path, seed: int, minutes: float, tell: Tell) -> None:
    frames = material.frames("train", FRAMES)
    course = Course(scenes.STEPS, scenes.RATE, minutes)
    model = scenes.learn(frames, course, seed, tell)
    said = f"{len(frames):,} frames of train seeds"
    keep_scenes(model, out, ships.Course(seed, said, course.step, scenes.BATCH, course.seconds), tell)


def keep_scenes(model: Any, out: Path, course: ships.Course, tell: Tell) -> None:
    from tagline.experts.scene import save_classifier

    frames = material.frames("val", VAL_FRAMES)
    answers = scenes.answers(model, frames)
    figure = choosing.accuracy(answers.argmax(1), [frame.scene for frame in frames])
    tell(f"scene: {figure} of {len(frames)} frames")
    folder = emptied(out / "scene")
    side = scenes.SIDE
    save_classifier(
        ships.halved(model), folder, Preparation((side, side), None, scenes.MEAN, scenes.STD, "bilinear")
    )
    figures = {f"accuracy of single frames ({len(frames)})": figure}
    ships.ship(folder, "Scenes of the playhouse", ["scene/classifier"], ships.OURS, course, figures)


def teach_motions(out: Path, seed: int, minutes: float, tell: Tell) -> None:
    windows = material.windows("train", WINDOWS)
    course = Course(motions.STEPS, motions.RATE, minutes)
    model = motions.learn(windows, course, seed, tell)
    said = f"{len(windows.pictures):,} windows of train seeds"
    keep_motions(model, out, ships.Course(seed, said, course.step, motions.BATCH, course.seconds), tell)


def keep_motions(model: Any, out: Path, course: ships.Course, tell: Tell) -> None:
    from tagline.experts.motion import Window, save_motion

    windows = material.windows("val", VAL_WINDOWS)
    moving = windows.shares.sum(1) > 0
    best = motions.answers(model, windows)[moving].argmax(1)
    figure = round(float(np.mean(windows.shares[moving][np.arange(len(best)), best] > 0)), 3)
    tell(f"motion: {figure} of {len(best)} windows")
    folder, side = emptied(out / "motion"), material.SIDE
    save_motion(
        model,
        folder,
        motions.ARCH,
        arguments=motions.ARGUMENTS,
        labels=material.DEEDS,
        preparation=Preparation((side, side), None, motions.MEAN, motions.STD),
        window=Window(material.LENGTH, material.STEP),
        half=True,
    )
    figures = {f"first answer is one of the motions seen ({len(best)} windows)": figure}
    ships.ship(folder, "Motions of the playhouse", ["motion/classifier"], ships.OURS, course, figures)


def teach_towers(out: Path, seed: int, minutes: float, tell: Tell) -> None:
    frames = material.frames("train", FRAMES)
    words = towers.tokenizer(
        [text for frame in frames for text in (*frame.texts, *towers.texts_of(frame))],
        material.folder() / "tokenizer.json",
    )
    course = Course(towers.STEPS, towers.RATE, minutes)
    model = towers.learn(frames, words, course, seed, tell)
    said = f"{len(frames):,} frames of train seeds and what people wrote about them"
    course_run = ships.Course(seed, said, course.step, towers.BATCH, course.seconds)
    keep_towers(model, words, out, course_run, tell)


def keep_towers(model: Any, words: Path, out: Path, course: ships.Course, tell: Tell) -> None:
    from tagline.experts.appearance import forget, save_towers
    from tagline.experts.appearance import towers as open_towers

    folder = emptied(out / "clip")
    save_towers(
        model,
        folder,
        towers.architecture(words),
        preprocess_cfg=towers.PREPROCESS,
        tokenizer=words,
        half=True,
    )
    forget()
    frames = material.frames("val", VAL_FRAMES)
    looking = open_towers(str(folder))
    figures: dict[str, float] = {
        f"{name} of {len(frames)} frames by a sentence": figure
        for name, figure in towers.recall(looking, frames).items()
    }
    names = looking.encode_texts([f"a photo of a {place}." for place in material.PLACES])
    seen = np.concatenate([looking.encode_frames(frame.picture[None]) for frame in frames])
    best = (seen @ names.T).argmax(1)
    figures["scene by its name"] = choosing.accuracy(best, [frame.scene for frame in frames])
    tell(f"clip: {figures}")
    uses = ["appearance/tower", "scene/zero-shot"]
    ships.ship(folder, "CLIP of the playhouse", uses, ships.OURS, course, figures)


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
