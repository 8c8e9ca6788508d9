"""The stages, each against the plain way and the floor. What the plain way is, is written beside its code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tagline.benchmarks.speed import floors

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StageTiming:
    """One stage, measured. Seconds are of the same work on all sides."""

    name: str
    ours: float
    plain: float | None
    plain_way: str
    floor: float | None
    floor_is: str
    unit: str  # what the seconds are of

    def values(self) -> dict[str, float | None]:
        """Ratios: how many times slower the plain way is, how many times the floor ours takes."""
        key = self.name.replace("-", "_")
        return {
            f"{key}_times_faster": None if self.plain is None else round(self.plain / self.ours, 3),
            f"{key}_times_floor": None if not self.floor else round(self.ours / self.floor, 3),
        }


@dataclass(frozen=True, slots=True)
class Machine:
    """The floors of this machine, measured once."""

    device: str
    operations: float  # a second
    bytes: float  # a second


def _number(options: Options, key: str, usual: int) -> int:
    return int(options.get(key, usual))


# -- decoding and tagging: their own measurements ------------------------------------------------------


def decode(options: Options, machine: Machine) -> list[StageTiming]:
    """CPU seconds for twelve frames of a 720p minute. Plain: OpenCV grabs all. Floor: FFmpeg decodes all."""
    from tagline.benchmarks.fixtures.synthetic_videos import cached
    from tagline.benchmarks.speed.decode import FRAMES, HD, _alone

    path, runs = cached(HD), _number(options, "runs", 3)
    ours, plain = (
        float(np.median([_alone(name, path)["cpu_seconds"] for _ in range(runs)]))
        for name in ("ours_12", "opencv")
    )
    floor = floors.seconds(lambda: _ffmpeg_alone(path), runs=runs, warm=False)
    way = "OpenCV: grab() every picture, retrieve() the wanted ones"
    return [
        StageTiming(
            "decode", ours, plain, way, floor, "FFmpeg decoding every picture", f"{FRAMES} frames, 720p 60 s"
        )
    ]


def _ffmpeg_alone(path: Path) -> None:
    """The decoder of FFmpeg, one thread, every picture, no conversion."""
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def tagging(options: Options, machine: Machine) -> list[StageTiming]:
    """The whole run and each expert in it, of the measurement `tagging`, with fewer videos if asked for."""
    from tagline.benchmarks.speed.tagging import measure

    count = options.get("videos", "24")
    found = measure({"videos": count, **({"only": options["only"]} if "only" in options else {})})["details"]
    ours, plain = found["ours"], found["plain"]
    models = sum(ours["in_models"].values())
    each = f"{count} videos of 10 s"
    whole = StageTiming(
        "tagging", ours["seconds"], plain["seconds"], "a script: library by library, picture by picture",
        models + ours["stages"]["decoding"], "its own models and decoding alone", each,
    )  # fmt: skip
    parts = [whole]
    for name, seconds in ours["stages"].items():
        if name in plain["stages"]:
            way = "the library's own path-based call on each video"
            parts.append(StageTiming(f"expert-{name}", seconds, plain["stages"][name], way, None, "", each))
    return parts


# -- embedding -----------------------------------------------------------------------------------------


def embedding(options: Options, machine: Machine) -> list[StageTiming]:
    """Frames to vectors by the playhouse's CLIP. Plain: open_clip on PIL pictures, one at a time."""
    import torch
    from PIL import Image

    from tagline.experts.clip import clip_encoder, load_clip
    from tagline.experts.weights.registry import find, for_expert

    name = options.get("towers") or for_expert("appearance", "playhouse")
    count = _number(options, "frames", 64)
    frames = np.random.default_rng(0).integers(0, 256, (count, 240, 320, 3), np.uint8)
    eyes = clip_encoder(name, machine.device)
    ours = floors.seconds(lambda: eyes.encode_frames(frames), machine.device)
    need = floors.operations(lambda: eyes.encode_frames(frames))

    model, _, preparation = load_clip(find(name).path)
    model = model.eval().to(machine.device)
    prepare = _open_clip_transform(preparation)

    def plainly() -> None:
        for frame in frames:
            with torch.no_grad():
                model.encode_image(prepare(Image.fromarray(frame))[None].to(machine.device), normalize=True)

    return [
        StageTiming(
            "embedding",
            ours,
            floors.seconds(plainly, machine.device),
            "open_clip's transform and encode_image, one PIL picture at a time",
            need / machine.operations,
            "a matrix product with as many operations",
            f"{count} frames",
        )
    ]


def _open_clip_transform(preparation: Any) -> Callable[[Any], Any]:
    from open_clip.transform import image_transform

    size = (preparation.side, preparation.side)
    made: Callable[[Any], Any] = image_transform(size, False, preparation.mean, preparation.std)
    return made


# -- training and generating ---------------------------------------------------------------------------


def training_step(options: Options, machine: Machine) -> list[StageTiming]:
    """A step of TABLE, texts sharing their video's pass. Plain: every caption has its video encoded anew."""
    from tagline.table.config import load_preset

    config = load_preset(options.get("preset", "playhouse"))
    share = config.train.share if config.train.share > 1 else 4
    texts = max(1, _number(options, "batch", 64) // share) * share
    ours, need = _step(config.model, texts, share, machine)
    plain, _ = _step(config.model, texts, 1, machine)
    floor = need / machine.operations
    way = "one video pass for every caption, as CLIP4Clip trains"
    return [
        StageTiming(
            "training-step",
            ours,
            plain,
            way,
            floor,
            "a matrix product with as many operations",
            f"{texts} captions",
        )
    ]


def _step(model_config: Any, texts: int, share: int, machine: Machine) -> tuple[float, int]:
    """Seconds and operations of forward, backward and update."""
    import torch

    from tagline.table.data import TableDataset, Tokenizer, collate
    from tagline.table.encoders import architecture
    from tagline.table.frame_cache import FramesInMemory
    from tagline.table.model import Table
    from tagline.table.rows import Row
    from tagline.tagging.ml.sampler import Sample

    side = int(architecture(model_config.architecture)["vision_cfg"]["image_size"])
    rng = np.random.default_rng(0)
    count = texts // share
    texts_made = {
        str(n): rng.integers(0, 256, (model_config.frames, 3, side, side), np.uint8) for n in range(count)
    }
    tag_texts = tuple(f"a person does thing number {n} on the beach" for n in range(share))
    rows = [Row(str(n), str(n), tag_texts, "dog, beach, woman", None) for n in range(count)]
    dataset = TableDataset(rows, FramesInMemory(texts_made), model_config, Tokenizer())
    batch = collate([dataset[Sample(n, tuple(range(share)), 0)] for n in range(count)])
    torch.manual_seed(0)
    model = Table.build(model_config, None).to(machine.device).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5)
    moved = {k: v.to(machine.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
    moved.pop("names")

    def step() -> None:
        optimiser.zero_grad()
        model(**moved)["loss"].backward()
        optimiser.step()

    return floors.seconds(step, machine.device), floors.operations(step)


def generating(options: Options, machine: Machine) -> list[StageTiming]:
    """Tags of a batch of titles, drafted. Plain: word by word. The model has learned a few tags, for drafts.

    At the paper's depth and on real words: the measurement `generator-decoding`.
    """
    import random
    from itertools import combinations

    import torch

    from tagline.tagging.generator.config import load_preset
    from tagline.tagging.generator.data import TaggerCollator
    from tagline.tagging.generator.decoding import Greedy, Speculative, fit_draft_thresholds
    from tagline.tagging.generator.model import Tagger
    from tagline.tagging.ml.config import with_settings
    from tagline.tagging.ml.data import Example
    from tagline.tagging.ml.tokenizer import TagTokenizer

    config = with_settings(load_preset(options.get("tagger", "playhouse")), ["use_frames=false"]).model
    tags = [
        f"{a} {b}" for a in ("red", "old", "wild", "little") for b in ("dog", "beach", "car", "song", "city")
    ]
    words = TagTokenizer.train([*tags, "and"], 300)
    torch.manual_seed(0)
    vectors = torch.randn(len(tags) + 1, config.tag_width)  # the last is [PAD]
    model = Tagger(config, words, tags, vectors, [1] * len(tags)).to(machine.device)
    collator, draw = TaggerCollator(config, words, tags), random.Random(0)
    titles = [Example(f"{a} {b}", "", f"{a} and {b}", (a, b)) for a, b in combinations(tags, 2)]
    draw.shuffle(titles)
    count = _number(options, "titles", 16)
    examples, dataset = titles[:count], titles[count:]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(_number(options, "lessons", 300)):
        optimizer.zero_grad()
        model(collator.batch(draw.sample(dataset, 32)).to(machine.device))["loss"].backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        fit_draft_thresholds(model, model.encode(collator.batch(dataset[:64]).to(machine.device)))
    batch = collator.batch(examples).to(machine.device)
    taken, passes = {}, {}
    for name, decoding in (("drafted", Speculative()), ("greedy", Greedy())):
        with torch.no_grad():
            seen = model.encode(batch)
            passes[name] = decoding(model, seen).passes
            taken[name] = floors.seconds(lambda d=decoding, s=seen: d(model, s), machine.device, runs=2)  # type: ignore[misc]
    floor = passes["drafted"] * floors.weight_bytes(model) / machine.bytes
    return [
        StageTiming(
            "generating", taken["drafted"], taken["greedy"], "greedy: one pass for every word",
            floor, "reading the weights once for each pass", f"{count} titles",
        )
    ]  # fmt: skip


# -- start-up ------------------------------------------------------------------------------------------


def startup(options: Options, machine: Machine) -> list[StageTiming]:
    """`tagline --help`. Plain: a script that imports its libraries at the top. Floor: a bare interpreter."""
    import subprocess
    import sys

    def run(*words: str) -> float:
        def once() -> None:
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)

        return floors.seconds(once, runs=_number(options, "runs", 3))

    ours = run("-m", "tagline", "--help")
    plain = run("-c", "import torch, open_clip, faiss")
    return [
        StageTiming("start-up", ours, plain, "a script that begins with import torch, open_clip, faiss",
             run("-c", ""), "a bare interpreter", "one start")
    ]  # fmt: skip


PARTS: dict[str, Callable[[Options, Machine], list[StageTiming]]] = {
    "decode": decode,
    "tagging": tagging,
    "training-step": training_step,
    "generating": generating,
    "embedding": embedding,
    "start-up": startup,
}
ON_GPU = ("training-step", "generating", "embedding")  # what a GPU computes
