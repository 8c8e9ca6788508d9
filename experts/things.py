"""Things, animals and places among ImageNet's thousand classes, by EfficientNet-Lite2 without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagline.experts import storage
from tagline.experts.base import labels
from tagline.experts.footage import Pictures
from tagline.experts.vision import efficientnet
from tagline.experts.vision.efficientnet import CLASSES, SIDE

Probabilities = npt.NDArray[np.float32]  # [N, 1000]: of each frame, how likely each class is

SCALE = 292  # pixels of a frame's shorter side before squares of SIDE are cut out of it, as it was trained
BATCH = 8  # squares at a time: more are not faster on a processor


class Classifier:
    """EfficientNet-Lite2 at work on whole frames.

    folder: config.json with the tensors' "order", and model.safetensors.
    views: "three" squares along the longer side, whose probabilities are averaged, or the "centre" one.
    """

    side = SCALE  # the shorter side of frames to ask the decoder for: more would be thrown away

    def __init__(self, folder: Path, threads: int = 1, views: Literal["three", "centre"] = "three") -> None:
        import onnxruntime
        from safetensors.numpy import load_file

        order = json.loads((folder / "config.json").read_text(encoding="utf-8"))["order"]
        model = efficientnet.efficientnet_lite2(load_file(folder / "model.safetensors"), order)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.views = views
        # Whoever compares probabilities, or vectors made of them, has to know that both came the same way.
        self.identity = f"efficientnet-lite2 {storage.hash_file(folder / 'model.safetensors')} {views}"

    def probabilities(self, frames: Pictures) -> Probabilities:
        """uint8 [N, H, W, 3] to float32 [N, 1000]; each row sums to one."""
        if not len(frames):
            return np.zeros((0, CLASSES), np.float32)
        squares = (square for frame in frames for square in cut_squares(frame, self.views))
        found = np.concatenate([self._classify(part) for part in _batches(squares)])  # [N * V, 1000]
        means: Probabilities = found.reshape(len(frames), -1, CLASSES).mean(axis=1, dtype=np.float32)
        return means

    def _classify(self, squares: Pictures) -> Probabilities:
        """uint8 [n, 260, 260, 3] to float32 [n, 1000]."""
        found: Probabilities = self._session.run(None, {"pictures": squares})[0]
        return found


def cut_squares(frame: Pictures, views: str) -> list[Pictures]:
    """The squares uint8 [260, 260, 3] of one frame uint8 [H, W, 3]: one or three.

    They are 260/292 of the shorter side and lie in its middle; along the longer one at its middle, or at its
    begin, middle and end.
    """
    height, width = frame.shape[:2]
    side = max(1, round(min(height, width) * SIDE / SCALE))
    down, across = height - side, width - side
    middle = (round(down / 2), round(across / 2))
    if views == "centre":
        corners = [middle]
    elif height > width:
        corners = [(top, middle[1]) for top in (0, middle[0], down)]
    else:
        corners = [(middle[0], left) for left in (0, middle[1], across)]
    return [_scaled(frame[top : top + side, left : left + side]) for top, left in corners]


def _scaled(square: Pictures) -> Pictures:
    from PIL import Image

    if square.shape[0] == SIDE:
        return square
    return np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _batches(squares: Iterator[Pictures]) -> Iterator[Pictures]:
    waiting: list[Pictures] = []
    for square in squares:
        waiting.append(square)
        if len(waiting) == BATCH:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)


@cache
def class_names() -> list[str]:
    """The thousand classes in ImageNet's order, each with its everyday name."""
    return [line.split("\t")[0] for line in labels("imagenet_classes")]
