"""ASR backends: which one hears, and openai-whisper and pocketsphinx behind the interface they share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tagline.experts import devices, extras
from tagline.experts.asr import hallucinations
from tagline.experts.asr.ct2 import FasterWhisperBackend, is_ct2
from tagline.experts.asr.transcript import ENGLISH, AsrBackend, Transcript, WhisperThresholds
from tagline.experts.asr.vad import Samples
from tagline.experts.footage import SOUND_RATE
from tagline.experts.tags import Word
from tagline.experts.weights import registry

if TYPE_CHECKING:
    import torch


BACKENDS = ("auto", "faster-whisper", "whisper", "pocketsphinx")


def choose_backend(
    backend: str,
    weights_of: str | None = None,
    *,
    collection: str = registry.PUBLIC,
    language: str | None = None,
    allow_pickle: bool = False,
) -> tuple[AsrBackend, str | None]:
    """The listener to use, not yet loaded, and why it is not the one that one would want.

    backend: "faster-whisper", "whisper" (openai-whisper), or "auto": the first of these whose library and
    weights are here. "pocketsphinx" is for comparison, and what "auto" takes for the recorded voices of the
    playhouse, which were made for it. Raises WeightsMissing or ExtraMissing, each with a sentence, where
    none can be had.
    """
    if backend not in BACKENDS:
        raise ValueError(f"there is no ASR backend {backend!r}; there are {', '.join(BACKENDS)}")
    if backend == "pocketsphinx":
        return _sphinx(language), None
    reasons: list[Exception] = []
    for name in _whispers(backend, weights_of):
        try:
            return _whisper(name, weights_of, collection, language, allow_pickle), None
        except (registry.WeightsMissing, extras.ExtraMissing) as error:
            reasons.append(error)
    if collection == registry.PLAYHOUSE and backend == "auto" and weights_of is None:
        return _sphinx(language), str(reasons[0])
    raise reasons[0]


def _whispers(backend: str, weights_of: str | None) -> tuple[str, ...]:
    """The kinds of Whisper to try, in order; weights that somebody named are of one kind."""
    if weights_of is None:
        return ("faster-whisper", "whisper") if backend == "auto" else (backend,)
    entry = registry.entries().get(weights_of)
    converted = (
        ("speech", "ct2") in entry.uses if entry is not None else is_ct2(Path(weights_of).expanduser())
    )
    kind = "faster-whisper" if converted else "whisper"
    if backend not in ("auto", kind):
        raise ValueError(f"weights {weights_of} are for the backend {kind}, not {backend}")
    return (kind,)


def _whisper(
    kind: str, weights_of: str | None, collection: str, language: str | None, allow_pickle: bool
) -> AsrBackend:
    if kind == "faster-whisper":
        chosen = weights_of or registry.for_expert("speech", collection, role="ct2")
        extras.require("speech", "faster_whisper")
        return FasterWhisperBackend(registry.find(chosen, allow_pickle=allow_pickle), language)
    chosen = weights_of or registry.for_expert("speech", collection, role="asr")
    extras.require("openai-whisper", "torch", "whisper")
    return WhisperBackend(registry.find(chosen, allow_pickle=allow_pickle), language)


def _sphinx(language: str | None) -> SphinxBackend:
    if (language or "en").lower() not in ENGLISH:
        raise registry.WeightsMissing(f"pocketsphinx hears English only, not {language!r}")
    if extras.first_missing(["pocketsphinx"]):
        raise registry.WeightsMissing("pocketsphinx is not installed; tagline uses it for comparison only")
    return SphinxBackend()


class SphinxBackend:
    """pocketsphinx with the English model of its wheel: for comparison and for the playhouse."""

    longest = 20.0

    def __init__(self, children: int | None = None) -> None:
        self.children = children or min(8, devices.processors())
        self._pool: Any = None

    @property
    def name(self) -> str:
        return f"pocketsphinx {version('pocketsphinx')} (en-us)"

    @property
    def identity(self) -> str:
        return self.name

    def load(self, device: str) -> None:
        from tagline.experts.asr.sphinx import SphinxPool

        if self._pool is None:
            self._pool = SphinxPool(self.children)

    def transcribe(self, sounds: Sequence[Sequence[Samples]]) -> list[Transcript]:
        if self._pool is None:
            self.load("cpu")
        answers = self._pool.hear(segment for sound in sounds for segment in sound)
        return [self._transcript(sound, answers) for sound in sounds]

    def _transcript(self, sound: Sequence[Samples], answers: Iterator[Any]) -> Transcript:
        transcript = Transcript([])
        for segment in sound:
            found = next(answers)
            transcript.crashed += found is None
            words = [Word(*each) for each in found or ()]
            credible = hallucinations.credible_words(words, len(segment) / SOUND_RATE)
            transcript.rejected += bool(words) and not credible
            transcript.words.append(credible)
        transcript.language = "en" if any(transcript.words) else None
        return transcript


class WhisperBackend:
    """OpenAI's Whisper, a batch of stretches at a time, each heard with no memory of the one before.

    A stretch that cannot be believed is tried once more with a wider search, then left out: sampling at
    a higher temperature, as Whisper's own command does, would tell something else each time.
    """

    longest = 28.0  # of the 30 seconds that Whisper looks at
    samples = 3  # stretches of a sound by which its language is told

    def __init__(
        self,
        found: registry.LocalWeights,
        language: str | None = None,
        *,
        thresholds: WhisperThresholds | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.found, self.language = found, language
        self.thresholds = thresholds or WhisperThresholds()
        self.batch_size = batch_size
        self.model: Any = None

    @property
    def name(self) -> str:
        return f"whisper {version('openai-whisper')} ({Path(self.found.name).name})"

    @property
    def identity(self) -> str:
        parts = [version("openai-whisper"), self.found.sha256, self.language, asdict(self.thresholds)]
        return "whisper " + json.dumps(parts, sort_keys=True)

    def load(self, device: str) -> None:
        self.model = load_whisper(self.found).to(device)
        self.half = device.startswith("cuda")
        self.batch_size = self.batch_size or devices.batch_size(device, accelerator=16, cpu=4)

    def transcribe(self, sounds: Sequence[Sequence[Samples]]) -> list[Transcript]:
        if self.model is None:
            self.load("cpu")
        languages = [self._language(sound) for sound in sounds]
        transcripts = [
            Transcript([[] for _ in sound], language)
            for sound, language in zip(sounds, languages, strict=True)
        ]
        # Only what is of one language can be decoded together.
        for language in sorted({name for name in languages if name}):
            places = [
                (which, number)
                for which, sound in enumerate(sounds)
                for number in range(len(sound))
                if languages[which] == language
            ]
            for start in range(0, len(places), self.batch_size or 1):
                some = places[start : start + (self.batch_size or 1)]
                answers = self._transcribe_batch([sounds[which][number] for which, number in some], language)
                for (which, number), words in zip(some, answers, strict=True):
                    transcripts[which].words[number] = words or []
                    transcripts[which].rejected += words is None
        for each in transcripts:
            each.language = each.language if any(each.words) else None
        return transcripts

    def _language(self, sound: Sequence[Samples]) -> str | None:
        """The language of one sound, from its longest stretches; None for silence."""
        if not sound:
            return None
        if not self.model.is_multilingual:
            return "en"
        if self.language is not None:
            from whisper.tokenizer import TO_LANGUAGE_CODE

            return TO_LANGUAGE_CODE.get(self.language.lower(), self.language.lower())
        from whisper.decoding import detect_language

        longest = sorted(range(len(sound)), key=lambda i: (-len(sound[i]), i))[: self.samples]
        _, found = detect_language(self.model, self._encode([sound[i] for i in longest]))
        return max(found[0], key=lambda code: (sum(each[code] for each in found), code))

    def _encode(self, segments: Sequence[Samples]) -> torch.Tensor:
        """Stretches of at most 30 s to what the encoder makes of them: [n, 1500, D]."""
        import torch
        from whisper.audio import N_SAMPLES, log_mel_spectrogram, pad_or_trim

        mels = [  # [n_mels, 3000] each; the sound is padded, not the spectrogram: silence has a value there
            log_mel_spectrogram(pad_or_trim(np.ascontiguousarray(segment), N_SAMPLES), self.model.dims.n_mels)
            for segment in segments
        ]
        mel = torch.stack(mels).to(self.model.device)
        with torch.inference_mode():
            return self.model.encoder(mel.half() if self.half else mel)

    def _transcribe_batch(self, segments: Sequence[Samples], language: str) -> list[list[Word] | None]:
        """The words of each stretch; None where there was text that cannot be believed."""
        from whisper.decoding import DecodingOptions, decode

        features = self._encode(segments)
        options = DecodingOptions(language=language, without_timestamps=True, fp16=self.half)
        results: list[Any] = decode(self.model, features, options)  # type: ignore[assignment]
        wider = replace(options, beam_size=5)
        for i, result in enumerate(results):
            if self._doubtful(result) and not self._silent(result):
                # One by one: this Whisper cannot search a batch of encoded sounds with a beam.
                results[i] = decode(self.model, features[i : i + 1], wider)[0]  # type: ignore[index]
        words: list[list[Word] | None] = []
        for segment, result, feature in zip(segments, results, features, strict=True):
            if self._silent(result) or not result.text.strip():
                words.append([])
            elif self._doubtful(result):
                words.append(None)
            else:
                aligned = align(self.model, feature, result.tokens, language, len(segment) / SOUND_RATE)
                unsure = self.thresholds.unsure(result.no_speech_prob)
                words.append(
                    hallucinations.credible_words(aligned, len(segment) / SOUND_RATE, unsure=unsure) or None
                    if aligned
                    else []
                )
        return words

    def _silent(self, result: Any) -> bool:
        return self.thresholds.silent(result.no_speech_prob, result.avg_logprob)

    def _doubtful(self, result: Any) -> bool:
        return self.thresholds.doubtful(result.avg_logprob, result.compression_ratio)


class _Encoded:
    """A Whisper model to `find_alignment`, which would run the encoder a second time, given its output."""

    def __init__(self, model: Any) -> None:
        self.dims, self.decoder = model.dims, model.decoder
        self.device, self.alignment_heads = model.device, model.alignment_heads

    def __call__(self, features: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.decoder(tokens, features)


def align(
    model: Any, features: torch.Tensor, tokens: Sequence[int], language: str, seconds: float
) -> list[Word]:
    """When each word was said, by the cross-attention. features: [1500, D]; times from their start."""
    from whisper.timing import find_alignment, merge_punctuations
    from whisper.tokenizer import get_tokenizer

    tokenizer = get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language=language, task="transcribe"
    )
    text = [token for token in tokens if token < tokenizer.eot]
    frames = min(3000, max(2, math.ceil(seconds * 100)))  # of the spectrogram
    found = find_alignment(_Encoded(model), tokenizer, text, features, frames)  # type: ignore[arg-type]
    merge_punctuations(found, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
    words = []
    for each in found:
        if each.word.strip():
            start = min(max(0.0, float(each.start)), seconds)
            end = min(max(start, float(each.end)), seconds)
            words.append(Word(each.word.strip(), start, end, float(each.probability)))
    return words


def load_whisper(found: registry.LocalWeights) -> Any:
    """A Whisper model from a folder: config.json {"dims": {…}, "name": …} and model.safetensors."""
    from safetensors.torch import load_file
    from whisper import _ALIGNMENT_HEADS
    from whisper.model import ModelDimensions, Whisper

    config = found.config()
    model = Whisper(ModelDimensions(**config["dims"]))
    model.load_state_dict({name: value.float() for name, value in load_file(found.model).items()})
    if heads := _ALIGNMENT_HEADS.get(str(config.get("name"))):
        model.set_alignment_heads(heads)
    return model.eval().requires_grad_(False)


def save_whisper(model: Any, folder: Path, name: str | None = None) -> Path:
    """Write a Whisper model as a folder that `load_whisper` reads. Returns the folder.

    name: Whisper's own name of it ("base"), by which it knows the heads that tell words' times.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"dims": asdict(model.dims)}
    if name is not None:
        config["name"] = name
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
