"""The frozen CLIP towers: frames and texts as vectors of one space, for scene, generator and index.

A folder of weights, written by `save_towers`, is what open_clip itself and the Hugging Face hub use:

    open_clip_config.json         {"model_cfg": {...}, "preprocess_cfg": {...}}
    open_clip_model.safetensors   the state dict, float32 or float16
    tokenizer.json                optional, of the tokenizers library; without it open_clip's own byte
                                  pairs (49,408 words) are used

`model_cfg` holds what open_clip's architecture files hold (embed_dim, vision_cfg, text_cfg). A tokenizer
of one's own must add a start and an end token itself, and where the text tower pools at the largest
token ("pool_type": "argmax", open_clip's default) the end token must have the highest number.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.experts import devices
from tagline.experts.footage import Footage, Pictures, Sampling
from tagline.experts.vision.frames import Preparation, batched
from tagline.experts.weights import registry
from tagline.experts.weights.offline import offline

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]  # [N, D], each of length 1

TEXT_BATCH = 256


class ClipEncoder:
    """A CLIP model at work. It learns nothing here."""

    def __init__(
        self,
        model: Any,
        tokenize: Callable[[Sequence[str]], torch.Tensor],
        preparation: Preparation,
        fingerprint: str,
        device: str,
        precision: str = "float32",
    ) -> None:
        # By what similarities are multiplied before a softmax over texts; read before numbers are shortened.
        self.scale = float(model.logit_scale.detach().exp())
        self.bfloat16 = devices.use_bfloat16(device, precision)
        self.model = devices.prepare_model(model, device, bfloat16=self.bfloat16)
        self.tokenize = tokenize
        self.preparation = preparation
        self.fingerprint = fingerprint
        self.device = device
        self.batch_size = devices.batch_size(device, accelerator=128, cpu=8)

    def encode_frames(self, frames: Pictures) -> Vectors:
        """uint8 [T, H, W, 3] to float32 [T, D]."""
        return self.encode_videos([frames])[0]

    def encode_videos(self, videos: Sequence[Pictures]) -> list[Vectors]:
        """Frames of several videos, each uint8 [T, H, W, 3], in full batches: float32 [T, D] each."""
        fitted = (self.preparation.fit(frames) for frames in videos if len(frames))
        found = iter(batched(self._encode_pictures, fitted, self.batch_size))
        return [np.stack(next(found)) if len(frames) else _no_vectors() for frames in videos]

    def embed_views(self, batch: Sequence[Footage], sampling: Sampling) -> list[Vectors]:
        """The vectors of one view of each video: float32 [T, D] each.

        They are kept with the footage. A frame that towers of these weights, in this precision, have seen for
        another expert is not encoded again, also where the two views share only some of their frames.
        """
        views = [footage.view(sampling) for footage in batch]
        known = [
            footage.embeddings.setdefault((self.fingerprint, self.bfloat16, *view.frames.shape[1:]), {})
            for footage, view in zip(batch, views, strict=True)
        ]
        fresh = [
            [i for i, time in enumerate(view.times) if float(time) not in vectors]
            for view, vectors in zip(views, known, strict=True)
        ]
        made = self.encode_videos([_some(view.frames, at) for view, at in zip(views, fresh, strict=True)])
        for view, vectors, at, new in zip(views, known, fresh, made, strict=True):
            vectors.update(zip(map(float, view.times[at]), new, strict=True))
        return [
            np.stack([vectors[float(time)] for time in view.times]) if len(view.times) else _no_vectors()
            for view, vectors in zip(views, known, strict=True)
        ]

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Texts to float32 [N, D]."""
        if not len(texts):
            return _no_vectors()
        # Those of like length together: what pads the shorter ones is computed for nothing.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = []
        for start in range(0, len(order), TEXT_BATCH):
            some = [texts[i] for i in order[start : start + TEXT_BATCH]]
            tokens = self.tokenize(some).to(self.device)
            with devices.inference(self.device):
                parts.append(_unit(encode_text(self.model, tokens)))
        vectors = np.concatenate(parts)
        return vectors[np.argsort(order)]

    def _encode_pictures(self, fitted: torch.Tensor) -> Vectors:
        pictures = self.preparation.normalise(fitted, self.device)
        with devices.inference(self.device):
            return _unit(self.model.encode_image(pictures.bfloat16() if self.bfloat16 else pictures))


_loaded: dict[tuple[str, ...], ClipEncoder] = {}
_lock = threading.Lock()


def clip_encoder(
    name_or_path: str | None = None,
    device: str = "cpu",
    *,
    collection: str = registry.PUBLIC,
    architecture: str | None = None,
    precision: str = "float32",
    allow_pickle: bool = False,
) -> ClipEncoder:
    """The towers of these weights on this device, loaded once a process however many ask for them.

    name_or_path: a name of the weights table, a folder, or a file together with open_clip's name of its
    `architecture`; None: the collection's default. Raises weights.WeightsMissing with a sentence.
    """
    chosen = name_or_path or registry.for_expert("appearance", collection)
    found = registry.find(chosen, allow_pickle=allow_pickle)
    key = (found.sha256, architecture or "", device, precision)
    with _lock:
        if key not in _loaded:
            model, tokenize, preparation = load_clip(found.path, architecture)
            _loaded[key] = ClipEncoder(model, tokenize, preparation, found.sha256, device, precision)
        return _loaded[key]


def unload_all() -> None:
    """Drop all loaded towers, to have their memory back."""
    with _lock:
        _loaded.clear()


def load_clip(path: Path, architecture: str | None = None) -> tuple[Any, Callable[..., Any], Preparation]:
    """The model, its tokenizer and its preparation, from a folder or from a file of a named architecture."""
    import open_clip

    folder = path if path.is_dir() else path.parent
    if architecture is not None:
        source: dict[str, Any] = {"model_name": architecture}
        source["pretrained"] = str(registry.LocalWeights(str(path), path, "").model)
        config = model_config(architecture)
    else:
        source = {"model_name": f"local-dir:{folder}"}
        config = registry.LocalWeights(str(path), path, "").config("open_clip_config.json")["model_cfg"]
    with offline():
        model = open_clip.create_model(**source, pretrained_image=False, pretrained_text=False)
    return model, _tokenizer_of(folder, config["text_cfg"]), preparation_of(model)


def build_clip(architecture: str | Mapping[str, Any]) -> Any:
    """An open_clip model with random weights, from a name ("ViT-B-32") or a model_cfg."""
    import open_clip

    if isinstance(architecture, str):
        model_config(architecture)
        with offline():
            return open_clip.create_model(architecture, pretrained_image=False, pretrained_text=False)
    config = json.loads(json.dumps(architecture))  # open_clip changes what it is given
    custom = config.pop("custom_text", False)
    model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
    cut = {"size": model.visual.image_size}
    open_clip.model.set_model_preprocess_cfg(model, {**_usual_preprocess(), **cut})
    return model


def model_config(architecture: str) -> dict[str, Any]:
    """open_clip's own settings of an architecture. Raises weights.WeightsRefused for what is not its own."""
    import open_clip

    # open_clip would ask a hub for the settings of "hf-hub:NAME".
    found = None if ":" in architecture else open_clip.get_model_config(architecture)
    if found is None:
        raise registry.WeightsRefused(
            f"open_clip has no architecture {architecture!r}; `open_clip.list_models()` names them"
        )
    config: dict[str, Any] = found
    return config


def save_clip(
    model: Any,
    folder: Path,
    model_cfg: str | Mapping[str, Any],
    *,
    preprocess_cfg: Mapping[str, Any] | None = None,
    tokenizer: Path | None = None,
    half: bool = False,
) -> Path:
    """Write towers as a folder that `load_towers` and open_clip read. Returns the folder.

    model_cfg: what the model was built from; preprocess_cfg: mean, std, interpolation, resize_mode, else
    the model's own; tokenizer: a tokenizer.json to go with it.
    """
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = open_clip.get_model_config(model_cfg) if isinstance(model_cfg, str) else dict(model_cfg)
    chosen = {**_usual_preprocess(), **(model.visual.preprocess_cfg or {}), **(preprocess_cfg or {})}
    kind = torch.float16 if half else torch.float32
    state = {
        key: (value.to(kind) if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for key, value in model.state_dict().items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    text = json.dumps({"model_cfg": config, "preprocess_cfg": chosen}, indent=1)
    (folder / "open_clip_config.json").write_text(text + "\n", encoding="utf-8")
    if tokenizer is not None:
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
    return folder


def encode_text(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """What `model.encode_text` gives, [N, D], without computing the places after the last end token.

    In a causal tower that pools at the end token nothing depends on them, and of 77 places a tag or a
    caption fills a dozen. Towers of any other make take the long way.
    """
    import open_clip

    causal = type(model) is open_clip.CLIP and getattr(model, "attn_mask", None) is not None
    if not causal or model.text_pool_type != "argmax":
        return model.encode_text(tokens)
    ends = tokens.argmax(dim=-1)  # the end token has the highest number
    length = int(ends.max()) + 1
    tokens = tokens[:, :length]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]  # [N, length, width]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    pooled = x[range(len(x)), ends]
    projection = model.text_projection
    if projection is None:
        return pooled
    return projection(pooled) if callable(projection) else pooled @ projection


def preparation_of(model: Any) -> Preparation:
    """How an open_clip model wants its pictures, from the settings that it carries."""
    config = model.visual.preprocess_cfg
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    mode = config["resize_mode"]
    if mode == "longest" or (mode == "shortest" and height != width):
        raise ValueError(f"pictures of {height} x {width} with resize_mode {mode!r} are not supported")
    return Preparation(
        size=(height, width),
        scale=None if mode == "squash" else height,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
    )


def _usual_preprocess() -> dict[str, Any]:
    from dataclasses import asdict

    from open_clip.transform import PreprocessCfg

    return asdict(PreprocessCfg())


def _tokenizer_of(folder: Path, text_cfg: Mapping[str, Any]) -> Callable[[Sequence[str]], Any]:
    length = int(text_cfg.get("context_length", 77))
    own = folder / "tokenizer.json"
    if own.is_file():
        return tokenizer_from_file(own, length, int(text_cfg.get("pad_id", 0)))
    if "hf_tokenizer_name" in text_cfg:
        raise ValueError(f"{folder} has no tokenizer.json, which its text tower needs; put it there")
    from open_clip import SimpleTokenizer

    return SimpleTokenizer(context_length=length)


def tokenizer_from_file(path: Path, length: int, pad: int) -> Callable[[Sequence[str]], Any]:
    import torch
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokenize(texts: Sequence[str]) -> torch.Tensor:
        """Token numbers [N, length]; what is too long loses its middle end, never the end token."""
        rows = torch.full((len(texts), length), pad, dtype=torch.long)
        for row, encoded in zip(rows, tokenizer.encode_batch(list(texts)), strict=True):
            ids = encoded.ids if len(encoded.ids) <= length else [*encoded.ids[: length - 1], encoded.ids[-1]]
            row[: len(ids)] = torch.tensor(ids)
        return rows

    return tokenize


def _unit(vectors: torch.Tensor) -> Vectors:
    """Each row scaled to length 1, as float32 on the CPU."""
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()


def _some(frames: Pictures, at: Sequence[int]) -> Pictures:
    """Some of the frames; all of them without a copy."""
    return frames if len(at) == len(frames) else frames[list(at)]


def _no_vectors() -> Vectors:
    return np.zeros((0, 0), dtype=np.float32)
