"""The CLIP of the playhouse (open_clip), by its own contrastive objective on frames and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.playhouse.train.dataset import DETECTOR_CLASSES, SCENE_NAMES, TrainingFrame
from tagline.benchmarks.playhouse.train.loop import (
    Log,
    TrainingSchedule,
    WeightAverage,
    adamw,
    autocast,
    device,
    endless_batches,
    optimiser_step,
)
from tagline.benchmarks.playhouse.train.scenes import as_squares, augment

SIDE = 96
BATCH = 96
STEPS = 3000
RATE = 1.5e-3
WORDS = 3000  # pieces of the tokenizer
LENGTH = 64  # tokens of a text at most
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

MODEL: dict[str, Any] = {
    "embed_dim": 192,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 2, 2, 1], "width": 24, "head_width": 64},
    "text_cfg": {
        "context_length": LENGTH,
        "vocab_size": WORDS,
        "width": 160,
        "heads": 4,
        "layers": 3,
    },
}
PREPROCESS = {"mean": MEAN, "std": STD, "interpolation": "bilinear", "resize_mode": "squash"}

# The scene expert asks about scenes in these forms; people type tags bare.
_PLACE = ("a photo of a {}.", "a video frame of a {}.", "{}", "in the {}", "the {}")
_THING = ("a photo of a {}.", "{}", "a {}", "there is a {}")


def texts_of(frame: TrainingFrame) -> list[str]:
    """What somebody could write about the picture in a word or two, from what is known of it."""
    place = SCENE_NAMES[frame.scene]
    names = list(dict.fromkeys(DETECTOR_CLASSES[int(kind)] for kind in frame.boxes[:, 0]))
    texts = [form.format(place) for form in _PLACE]
    texts += [form.format(name) for name in names for form in _THING]
    if names:
        texts += [" and ".join(names), f"{' and '.join(names)} in the {place}", ", ".join([place, *names])]
    return texts


def train_tokenizer(texts: Sequence[str], path: Path) -> Path:
    """Byte pairs learned from the texts; the end token has the highest number, as open_clip expects."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])  # type: ignore[assignment]
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=WORDS - 2, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(texts, trainer)
    made.add_special_tokens(["<start>", "<end>"])
    ends = [(name, made.token_to_id(name)) for name in ("<start>", "<end>")]
    made.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<start> $A <end>", special_tokens=ends
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(str(path))
    return path


def architecture(path: Path) -> dict[str, Any]:
    """MODEL with as many words as the tokenizer came to have."""
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(path)).get_vocab_size()
    return {**MODEL, "text_cfg": {**MODEL["text_cfg"], "vocab_size": words}}


def train_clip(
    frames: Sequence[TrainingFrame], words: Path, course: TrainingSchedule, seed: int, log: Log
) -> Any:
    """The towers. `words` is where the tokenizer was written."""
    import torch
    from torch.nn import functional as F

    from tagline.experts.clip import build_clip, encode_text, tokenizer_from_file

    torch.manual_seed(seed)
    rng, choose = np.random.default_rng(seed), Random(seed)
    where = device()
    model: Any = build_clip(architecture(words)).to(where).train()
    optim, mean = adamw(model, RATE, 0.1), WeightAverage(model, reach=200.0)
    tokenize = tokenizer_from_file(words, LENGTH, 0)
    frames = [frame for frame in frames if frame.texts]
    pictures = as_squares(frames, SIDE)
    order = endless_batches(len(frames), BATCH, rng)
    lately: list[float] = []
    for rate in course:
        chosen = next(order)
        text_features = [
            choose.choice(frames[i].texts if choose.random() < 0.7 else texts_of(frames[i])) for i in chosen
        ]
        seen = augment(pictures[chosen], rng, MEAN, STD).to(where)
        tokens = tokenize(text_features).to(where)
        with autocast(where):
            image_features, words_of = model.encode_image(seen), encode_text(model, tokens)
        a, b = F.normalize(image_features.float(), dim=-1), F.normalize(words_of.float(), dim=-1)
        logits = model.logit_scale.exp() * a @ b.T
        # Who wrote the same words meant the same: neither picture is wrong for them.
        same = torch.tensor(
            [[one == other for other in text_features] for one in text_features], device=where
        ).float()
        goal = same / same.sum(1, keepdim=True)
        loss = (F.cross_entropy(logits, goal) + F.cross_entropy(logits.T, goal)) / 2
        optimiser_step(optim, loss, model, rate, clip=1.0)
        with torch.no_grad():
            model.logit_scale.clamp_(0, np.log(100))
        mean.take(model)
        lately.append(loss.item())
        if course.step % 50 == 49:
            log(f"step {course.step + 1}, {course.share:.0%}, {course.seconds:.0f} s: {np.mean(lately):.3f}")
            lately.clear()
    return mean.model


def recall(towers: Any, frames: Sequence[TrainingFrame], seed: int = 0) -> dict[str, float]:
    """How often the right picture is among the first 1, 5, 10 for a sentence about it."""
    choose = Random(seed)
    frames = [frame for frame in frames if frame.texts]
    text_features = [choose.choice(frame.texts) for frame in frames]
    image_features: npt.NDArray[np.float32] = np.concatenate(
        [towers.encode_frames(frame.picture[None]) for frame in frames]
    )
    similarities = towers.encode_texts(text_features) @ image_features.T
    rank = (similarities > np.diag(similarities)[:, None]).sum(1)
    return {f"recall_at_{k}": round(float((rank < k).mean()), 3) for k in (1, 5, 10)}
