"""A text tower that knows what the words of the training captions mean, in place of one that read the web.

TABLE builds on a text tower that brings sentences of one meaning together before it sees a tag. The
playhouse's CLIP has none: it learned words by what frames show, and is deaf to what is only said or done.
So a tower with first weights learns from pairs: two captions of one training video belong together. It sees
no video, no tag, and no caption of validation or test; all rows of a table start from it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from tagline.benchmarks.registry import cache
from tagline.experts.storage import hash_path
from tagline.table.encoders import TextEncoder, build_towers, load_towers
from tagline.table.tokenizer import Tokenizer
from tagline.tagging.ml.config import digest
from tagline.tagging.ml.trainer import Log

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
STEPS, VIDEOS, RATE = 300, 128, 1e-3  # steps, videos in each, and the highest rate
TEMPERATURE = 14.0  # CLIP's own before training


def distilled(folder: Path, captions: Sequence[Sequence[str]], length: int, say: Log) -> Path:
    """The CLIP in `folder` with a text tower that learned from the captions of each training video.

    Made once and kept. length: tokens of a caption that are read.
    """
    about = [hash_path(folder), hash_path(Path(__file__)), [list(own) for own in captions], length]
    folder_made = cache.folder("taught-text") / digest(about)[:32]
    if (folder_made / CONFIG).is_file():
        return folder_made
    folder_made.mkdir(parents=True, exist_ok=True)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    torch.manual_seed(0)
    towers: Any = nn.Module()
    towers.visual, towers.text, towers.logit_scale = build_towers(config["model_cfg"])
    first = {name: value.clone() for name, value in towers.text.state_dict().items()}
    load_towers(towers, next(folder.glob("*.safetensors")))
    towers.text.load_state_dict(first)
    tokenizer = Tokenizer.beside(next(folder.glob("*.safetensors")))
    _distil(towers.text, [tokenizer(list(own), length) for own in captions], say)
    save_file(towers.state_dict(), folder_made / WEIGHTS)
    for path in sorted(folder.glob("*.json"), key=lambda path: path.name == CONFIG):
        shutil.copyfile(path, folder_made / path.name)  # the configuration last: with it the folder is whole
    return folder_made


def _distil(text: Any, captions: Sequence[Tensor], say: Log) -> None:
    """captions: of each video int [its captions, length]."""
    reads = TextEncoder(text, tags=False, masks=False)
    scale = nn.Parameter(torch.tensor(TEMPERATURE).log())
    parameters = [*text.parameters(), scale]
    optimizer = torch.optim.Adam(parameters, RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.1)
    generator = torch.Generator().manual_seed(0)
    most = min(VIDEOS, len(captions))
    for step in range(1, STEPS + 1):
        chosen = torch.randperm(len(captions), generator=generator)[:most].tolist()
        pairs = [captions[i][torch.randint(len(captions[i]), (2,), generator=generator)] for i in chosen]
        ids = torch.cat([torch.stack([pair[side] for pair in pairs]) for side in (0, 1)])
        loss = info_nce(F.normalize(reads(text, ids)[1], dim=-1), scale.exp())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            say(f"text tower: step {step}/{STEPS}  loss {loss.item():.3f}")


def info_nce(vectors: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE both ways. vectors: [2 V, D], first one caption of each video, then another one of each."""
    one, other = vectors.chunk(2)
    logits = scale * one @ other.T
    right = torch.arange(len(one))
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
