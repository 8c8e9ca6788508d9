"""How videos are seen by the retrieval systems: examples to vectors of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagline.experts.weights import registry
from tagline.tagging.ml.ann import Vectors, unit
from tagline.tagging.neighbours.memory import FRAMES, SOUND, TEXT, TITLE, TITLE_IN_CLIP

if TYPE_CHECKING:
    from tagline.experts.asr.keywords import TextModel
    from tagline.experts.clip import ClipEncoder
    from tagline.tagging.ml.data import Example

TRANSCRIPT_WORDS = 200  # of speech and texts on the screen that are read beside the title


class ViewEncoder:
    """Makes the views of videos. What a model is needed for is left out where it is not here."""

    def __init__(self, text: TextModel | None, towers: ClipEncoder | None = None) -> None:
        """text: a loaded sentence model; towers: those that made the frame vectors."""
        self.text, self.towers = text, towers
        self.model_names: dict[
            str, str | None
        ] = {}  # names of the models, for whoever has to find them again

    @classmethod
    def open(
        cls,
        language: str | None,
        towers: str | None = None,
        *,
        collection: str = registry.PUBLIC,
        device: str = "cpu",
    ) -> ViewEncoder:
        """With these models, loaded: one of ml.text_embedding, and CLIP's towers; None: without."""
        from tagline.experts.clip import clip_encoder as towers_of
        from tagline.tagging.ml.text_embedding import text_model

        text = None
        if language is not None:
            text = text_model(language, collection)
            text.load(device)
        found = towers_of(towers, device, collection=collection) if towers is not None else None
        viewer = cls(text, found)
        viewer.model_names = {"language": language, "towers": towers, "collection": collection}
        return viewer

    @property
    def identity(self) -> str:
        """Of the models: memories of different ones do not belong together."""
        of_text = self.text.identity if self.text is not None else ""
        return f"{of_text} {self.towers.fingerprint if self.towers is not None else ''}".strip()

    def weights_used(self) -> list[str]:
        """The models by which it reads, each with the beginning of its hash."""
        found = []
        if self.text is not None:
            found.append(f"{self.text.name} {self.text.identity.split()[-1][:12]}")
        if self.towers is not None:
            found.append(f"CLIP {self.towers.fingerprint[:12]}")
        return found

    def __call__(self, examples: Sequence[Example]) -> dict[str, Vectors]:
        views = {
            FRAMES: pooled([one.frames for one in examples]),
            SOUND: pooled([one.sound for one in examples]),
        }
        titles = [one.title for one in examples]
        if self.text is not None:
            views[TITLE] = _texts(self.text.encode, titles)
            if any(one.words for one in examples):
                views[TEXT] = _texts(self.text.encode, [video_text(one) for one in examples])
            else:
                views[TEXT] = views[TITLE]
        if self.towers is not None:
            views[TITLE_IN_CLIP] = _texts(self.towers.encode_texts, titles)
        return {name: rows for name, rows in views.items() if rows.shape[1]}


def video_text(one: Example) -> str:
    """All words of a video: its title, and the first of what is said and written in it."""
    return " ".join([one.title, *one.words.split()[:TRANSCRIPT_WORDS]]).strip()


def pooled(parts: Sequence[npt.NDArray[np.float32] | None]) -> Vectors:
    """The mean of each video's vectors, scaled to length 1: [N, D]; zeros where there are none."""
    width = max((part.shape[1] for part in parts if part is not None and len(part)), default=0)
    means = np.zeros((len(parts), width), np.float32)
    for row, part in enumerate(parts):
        if part is not None and len(part):
            means[row] = unit(np.asarray(part, np.float32)).mean(0)
    return unit(means)


def _texts(encode: object, texts: Sequence[str]) -> Vectors:
    """One vector a text, [N, D]; zeros for an empty one."""
    assert callable(encode)
    there = [row for row, text in enumerate(texts) if text.strip()]
    if not there:
        return np.zeros((len(texts), 0), np.float32)
    found = np.asarray(encode([texts[row] for row in there]), np.float32)
    rows = np.zeros((len(texts), found.shape[1]), np.float32)
    rows[there] = unit(found)
    return rows
