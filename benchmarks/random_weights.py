"""Weights of real architectures that nobody trained, yet whose answers differ from picture to picture.

Fresh networks answer nearly the same to everything: their signals fade from layer to layer. Here the
batch norms are set to what noise pictures cause, and the last layer is scaled so that some answers
are sure. That is enough to prove and to time an expert's full path; what it says means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagline.experts.footage import Pictures


def noise_pictures(count: int, height: int, width: int, seed: int = 0) -> Pictures:
    """Coloured clouds: uint8 [count, height, width, 3], smooth as photographs are, every one different."""
    import torch

    random = torch.Generator().manual_seed(seed)
    sum_of_scales = torch.zeros(count, 3, height, width)
    for cells in (2, 5, 11):
        coarse = torch.rand(count, 3, cells, cells, generator=random)
        sum_of_scales += torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    low, high = sum_of_scales.amin((2, 3), keepdim=True), sum_of_scales.amax((2, 3), keepdim=True)
    pictures = (sum_of_scales - low) / (high - low) * 255
    return pictures.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def detector(
    folder: Path,
    names: Sequence[str],
    *,
    yaml: str = "yolo11n.yaml",
    imgsz: int = 640,
    seed: int = 0,
) -> Path:
    """A YOLO of that many classes."""
    import torch

    from tagline.experts.seeing import yolo

    torch.manual_seed(seed)
    model = yolo.build_yolo(yaml, len(names))
    pictures = torch.from_numpy(noise_pictures(8, 128, 128, seed)).permute(0, 3, 1, 2).float() / 255
    fit_batch_norm(model, lambda: model(pictures))
    with torch.no_grad():
        for branch in model.model[-1].cv3:
            scale_last_layer(model, branch[-1], lambda: model(pictures), spread=0.8, middle=-4.0)
    return yolo.save_yolo(model, folder, names=names, imgsz=imgsz)


def classifier(folder: Path, names: Sequence[str], *, seed: int = 0, **config: Any) -> Path:
    """A ViT image classifier, ViT-B/16 at 224 pixels unless `config` says otherwise."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    from tagline.experts.scene import save_classifier
    from tagline.experts.seeing.pictures import Preparation

    torch.manual_seed(seed)
    labels = dict(enumerate(names))
    config_used = ViTConfig(id2label=labels, label2id={name: i for i, name in labels.items()}, **config)
    model = ViTForImageClassification(config_used).eval()
    side: int = model.config.image_size  # type: ignore[assignment]
    preparation = Preparation((side, side), mean=(0.5,) * 3, std=(0.5,) * 3)
    fitted = preparation.normalise(preparation.fit(noise_pictures(8, side, side, seed)), "cpu")
    with torch.no_grad():
        scale_last_layer(model, model.classifier, lambda: model(fitted), spread=3.0)
    return save_classifier(model, folder, preparation)


def towers(folder: Path, architecture: str | Mapping[str, Any] = "ViT-B-32", *, seed: int = 0) -> Path:
    """A CLIP of open_clip, by name or by its model_cfg."""
    import torch

    from tagline.experts import appearance

    torch.manual_seed(seed)
    model = appearance.build_clip(architecture)
    with torch.no_grad():
        model.logit_scale.fill_(float(np.log(100)))
    return appearance.save_clip(model, folder, architecture)


def motion(
    folder: Path,
    arch: str = "x3d_m",
    *,
    arguments: Mapping[str, Any] | None = None,
    labels: Sequence[str] | None = None,
    preparation: Any = None,
    window: Any = None,
    seed: int = 0,
) -> Path:
    """A video classifier of pytorchvideo's hub or torchvision."""
    import torch

    from tagline.experts.motion import MotionConfig, VideoClassifier, build_motion, save_motion

    torch.manual_seed(seed)
    model = build_motion(arch, arguments)
    plan = MotionConfig.published(arch)
    plan = MotionConfig(
        arch,
        dict(arguments or {}),
        tuple(labels or ()),
        preparation or plan.preparation,
        window or plan.window,
    )
    length, (height, width) = plan.window.length, plan.preparation.size
    pictures = torch.from_numpy(noise_pictures(2 * length, height, width, seed)).permute(0, 3, 1, 2)
    windows = plan.preparation.normalise(pictures.unflatten(0, (2, length)).transpose(1, 2), "cpu")
    ways = VideoClassifier(model, plan, "cpu").pathways(windows)
    fit_batch_norm(model, lambda: model(ways))
    linear = [part for part in model.modules() if isinstance(part, torch.nn.Linear | torch.nn.Conv3d)][-1]
    with torch.no_grad():
        scale_last_layer(model.eval(), linear, lambda: model(ways), spread=3.0)
    return save_motion(
        model, folder, arch, arguments=arguments, labels=labels, preparation=preparation, window=window
    )


def fit_batch_norm(model: Any, forward: Callable[[], Any]) -> None:
    """Set every batch norm to the mean and variance of what `look` sends through it."""
    import torch

    norms = [part for part in model.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    hooks = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all looks
    model.train()
    with torch.no_grad():
        forward()
    model.eval()
    for norm, momentum in zip(norms, hooks, strict=True):
        norm.momentum = momentum


def scale_last_layer(
    model: Any, last: Any, forward: Callable[[], Any], *, spread: float, middle: float = 0.0
) -> None:
    """Scale a last layer so that over pictures its answers have this mean and standard deviation.

    What all pictures have in common is taken away class by class, so that they get different answers.
    """
    import torch

    answers: list[Any] = []
    hook = last.register_forward_hook(lambda _, __, out: answers.append(out.detach()))
    model.eval()
    forward()
    hook.remove()
    classes = 1 if isinstance(last, torch.nn.Conv2d | torch.nn.Conv3d) else -1
    found = torch.cat(answers).float().movedim(classes, -1).flatten(0, -2)  # [*, classes]
    scale = spread / found.std(dim=0).clamp(min=1e-6)
    bias = last.bias if last.bias is not None else torch.zeros_like(scale)
    last.weight.data.mul_(scale.view(-1, *[1] * (last.weight.ndim - 1)))
    if last.bias is not None:
        last.bias.data.copy_((bias - found.mean(dim=0)) * scale + middle)


def whisper(folder: Path, size: str, sentence: str, *, seed: int = 0) -> Path:
    """A Whisper of that size which always says the same sentence and then stops.

    A fresh one would babble to its limit, which no trained one does, and time would be lost on that.
    Here each place of the decoder points at the next word of the sentence; all else is random.
    """
    import torch
    from whisper.model import ModelDimensions, Whisper
    from whisper.tokenizer import get_tokenizer

    from tagline.experts.hearing.listeners import save_whisper

    torch.manual_seed(seed)
    width, heads, layers = {"tiny": (384, 6, 4), "base": (512, 8, 6), "small": (768, 12, 12)}[size]
    dims = ModelDimensions(80, 1500, width, heads, layers, 51865, 448, width, heads, layers)
    model = Whisper(dims)
    tokenizer = get_tokenizer(multilingual=True, language="en", task="transcribe")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.02)
        tokens = [*tokenizer.encode(sentence), tokenizer.eot]
        words = model.decoder.token_embedding.weight
        words.div_(words.norm(dim=1, keepdim=True))
        places = model.decoder.positional_embedding
        places.zero_()
        # The fourth token is the first that is free: before it stand start, language, task, no times.
        for place in range(len(places)):
            places[place] = 40 * words[tokens[min(max(place - 3, 0), len(tokens) - 1)]]
    return save_whisper(model, folder, size)
