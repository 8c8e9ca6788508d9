"""One lesson a model: draw what it learns from, let it learn, choose on validation seeds, ship it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tagline.benchmarks.playhouse.draw.appearance import PERSONS
from tagline.benchmarks.playhouse.draw.inventory import OBJECTS
from tagline.benchmarks.playhouse.train import dataset, detectors, motions, scenes, towers
from tagline.benchmarks.playhouse.train import export as ships
from tagline.benchmarks.playhouse.train import thresholds as choosing
from tagline.benchmarks.playhouse.train.dataset import TrainingFrame
from tagline.benchmarks.playhouse.train.loop import Log, TrainingSchedule
from tagline.experts.vision.frames import Preparation
from tagline.experts.weights import registry

CROWDS, FRAMES, WINDOWS = 4000, 3250, 2000  # train seeds of each kind of material
VAL_FRAMES, VAL_WINDOWS = 500, 250  # val seeds


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `tagline bench playhouse experts` can be asked for."""

    makes: tuple[str, ...]  # folders of weights
    what: str
    steps: int
    cost: float  # seconds of one core a step
    material: float  # seconds of one core to draw what it learns from
    train: Callable[[Path, int, float, Log], None]  # shelf, seed, minutes, tell

    def expected(self) -> float:
        """Minutes on this machine's cores, as fast as the one where the costs were measured."""
        cores = min(os.cpu_count() or 1, 4)
        return (self.steps * self.cost / (1 + 0.7 * (cores - 1)) + self.material / cores) / 60


def recipes() -> tuple[Recipe, ...]:
    return (
        Recipe(
            ("object", "person"),
            "YOLO of ultralytics",
            detectors.STEPS + detectors.CLOSE_STEPS,
            0.26,
            230,
            train_detectors,
        ),
        Recipe(("scene",), "ViT of transformers", scenes.STEPS, 0.18, 95, train_scenes),
        Recipe(("motion",), "X3D of pytorchvideo", motions.STEPS, 0.40, 640, train_motions),
        Recipe(("clip",), "CLIP of open_clip", towers.STEPS, 0.85, 95, train_towers),
    )


def chosen_recipes(only: str | None) -> tuple[Recipe, ...]:
    """The lessons that make the folders named, by comma. Raises ValueError."""
    offered = recipes()
    if only is None:
        return offered
    wanted = {name.strip() for name in only.split(",")}
    names = [name for recipe in offered for name in recipe.makes]
    if unknown := wanted.difference(names):
        raise ValueError(f"there is no playhouse expert {sorted(unknown)[0]!r}; there are {', '.join(names)}")
    return tuple(lesson for lesson in offered if wanted & set(lesson.makes))


def weights_folder(out: Path | None = None) -> Path:
    return out or registry.PLAYHOUSE_FOLDER


def train_detectors(out: Path, seed: int, minutes: float, log: Log) -> None:
    crowds, frames = dataset.crowded_frames("train", CROWDS), dataset.frames("train", FRAMES)
    course = TrainingSchedule(detectors.STEPS, detectors.RATE, minutes)
    model = detectors.train_detector(crowds, frames, course, seed, log)
    trained_on = f"{len(crowds):,} crowded frames and {len(frames):,} frames of train seeds"
    things, persons = (
        tuple(dataset.DETECTOR_CLASSES.index(name) for name in names) for names in (OBJECTS, PERSONS)
    )
    facts = ships.TrainingFacts(seed, trained_on, course.step, detectors.BATCH, course.seconds)
    export_detector(
        detectors.split_classes(model, things), "object", OBJECTS, detectors.WHOLE_VIEW, out, facts, log
    )
    start = detectors.split_classes(model, persons)
    close = TrainingSchedule(detectors.CLOSE_STEPS, detectors.CLOSE_RATE, minutes)
    train_persons(start, crowds, frames, close, seed, out, facts, log)


def train_persons(
    start: Any,
    crowds: Sequence[TrainingFrame],
    frames: Sequence[TrainingFrame],
    course: TrainingSchedule,
    seed: int,
    out: Path,
    before: ships.TrainingFacts,
    log: Log,
) -> None:
    """Persons once more, alone and closer. `before` is the course that `start` comes from."""
    kinds = [dataset.DETECTOR_CLASSES.index(name) for name in PERSONS]
    shown = detectors.only_classes(crowds, kinds), detectors.only_classes(frames, kinds)
    model = detectors.train_detector(*shown, course, seed, log, detectors.CLOSE_VIEW, start)
    facts = replace(before, steps=before.steps + course.step, seconds=before.seconds + course.seconds)
    export_detector(model.eval(), "person", PERSONS, detectors.CLOSE_VIEW, out, facts, log)


def export_detector(
    model: Any,
    name: str,
    classes: Sequence[str],
    sight: detectors.InputSize,
    out: Path,
    course: ships.TrainingFacts,
    log: Log,
) -> None:
    from tagline.experts.vision.yolo import save_yolo

    folder, every = empty_folder(out / name), range(len(classes))
    save_yolo(model, folder, names=classes, imgsz=sight.imgsz, half=True)
    thresholds, f1 = choosing.choose_thresholds(folder, name == "person")
    log(f"{name}: best F1 {f1:.3f} from scores {sorted(set(thresholds))}")
    moved = detectors.split_classes(
        model, every, [choosing.logit_shift(threshold, detectors.THRESHOLD) for threshold in thresholds]
    )
    save_yolo(moved, folder, names=classes, imgsz=sight.imgsz, half=True)
    note = (
        "One network learned things and persons together; this is its part for these classes"
        f"{', which then learned alone and closer' if name == 'person' else ''}. Its scores"
        f" are shifted so that {' and '.join(map(str, sorted(set(thresholds))))}, best on those seeds, become"
        f" the expert's {detectors.THRESHOLD}; the figure is of the same videos, so it is a little kind."
    )
    figures = {f"F1 of a video's tags ({choosing.VIDEOS} videos)": round(f1, 3)}
    title = "Persons of the playhouse" if name == "person" else "Things of the playhouse"
    ships.export_weights(folder, title, [f"{name}/detector"], ships.AGPL, course, figures, note)


def train_scenes(out: Path, seed: int, minutes: float, log: Log) -> None:
    frames = dataset.frames("train", FRAMES)
    course = TrainingSchedule(scenes.STEPS, scenes.RATE, minutes)
    model = scenes.train_scene_model(frames, course, seed, log)
    trained_on = f"{len(frames):,} frames of train seeds"
    export_scenes(
        model, out, ships.TrainingFacts(seed, trained_on, course.step, scenes.BATCH, course.seconds), log
    )


def export_scenes(model: Any, out: Path, course: ships.TrainingFacts, log: Log) -> None:
    from tagline.experts.scene import save_classifier

    frames = dataset.frames("val", VAL_FRAMES)
    answers = scenes.predictions(model, frames)
    figure = choosing.accuracy(answers.argmax(1), [frame.scene for frame in frames])
    log(f"scene: {figure} of {len(frames)} frames")
    folder = empty_folder(out / "scene")
    side = scenes.SIDE
    save_classifier(
        ships.half_precision(model),
        folder,
        Preparation((side, side), None, scenes.MEAN, scenes.STD, "bilinear"),
    )
    figures = {f"accuracy of single frames ({len(frames)})": figure}
    ships.export_weights(
        folder, "Scenes of the playhouse", ["scene/classifier"], ships.APACHE, course, figures
    )


def train_motions(out: Path, seed: int, minutes: float, log: Log) -> None:
    windows = dataset.windows("train", WINDOWS)
    course = TrainingSchedule(motions.STEPS, motions.RATE, minutes)
    model = motions.train_motion_model(windows, course, seed, log)
    trained_on = f"{len(windows.pictures):,} windows of train seeds"
    export_motions(
        model, out, ships.TrainingFacts(seed, trained_on, course.step, motions.BATCH, course.seconds), log
    )


def export_motions(model: Any, out: Path, course: ships.TrainingFacts, log: Log) -> None:
    from tagline.experts.motion import Window, save_motion

    windows = dataset.windows("val", VAL_WINDOWS)
    moving = windows.shares.sum(1) > 0
    best = motions.predictions(model, windows)[moving].argmax(1)
    figure = round(float(np.mean(windows.shares[moving][np.arange(len(best)), best] > 0)), 3)
    log(f"motion: {figure} of {len(best)} windows")
    folder, side = empty_folder(out / "motion"), dataset.SIDE
    save_motion(
        model,
        folder,
        motions.ARCH,
        arguments=motions.ARGUMENTS,
        labels=dataset.MOTION_NAMES,
        preparation=Preparation((side, side), None, motions.MEAN, motions.STD),
        window=Window(dataset.LENGTH, dataset.STEP),
        half=True,
    )
    figures = {f"first answer is one of the motions seen ({len(best)} windows)": figure}
    ships.export_weights(
        folder, "Motions of the playhouse", ["motion/classifier"], ships.APACHE, course, figures
    )


def train_towers(out: Path, seed: int, minutes: float, log: Log) -> None:
    frames = dataset.frames("train", FRAMES)
    words = towers.train_tokenizer(
        [text for frame in frames for text in (*frame.texts, *towers.texts_of(frame))],
        dataset.folder() / "tokenizer.json",
    )
    course = TrainingSchedule(towers.STEPS, towers.RATE, minutes)
    model = towers.train_clip(frames, words, course, seed, log)
    trained_on = f"{len(frames):,} frames of train seeds and what people wrote about them"
    course_run = ships.TrainingFacts(seed, trained_on, course.step, towers.BATCH, course.seconds)
    export_towers(model, words, out, course_run, log)


def export_towers(model: Any, words: Path, out: Path, course: ships.TrainingFacts, log: Log) -> None:
    from tagline.experts.clip import clip_encoder as open_towers
    from tagline.experts.clip import save_clip, unload_all

    folder = empty_folder(out / "clip")
    save_clip(
        model,
        folder,
        towers.architecture(words),
        preprocess_cfg=towers.PREPROCESS,
        tokenizer=words,
        half=True,
    )
    unload_all()
    frames = dataset.frames("val", VAL_FRAMES)
    looking = open_towers(str(folder))
    figures: dict[str, float] = {
        f"{name} of {len(frames)} frames by a sentence": figure
        for name, figure in towers.recall(looking, frames).items()
    }
    names = looking.encode_texts([f"a photo of a {place}." for place in dataset.SCENE_NAMES])
    seen = np.concatenate([looking.encode_frames(frame.picture[None]) for frame in frames])
    best = (seen @ names.T).argmax(1)
    figures["scene by its name"] = choosing.accuracy(best, [frame.scene for frame in frames])
    log(f"clip: {figures}")
    uses = ["appearance/tower", "scene/zero-shot"]
    ships.export_weights(folder, "CLIP of the playhouse", uses, ships.APACHE, course, figures)


def empty_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
