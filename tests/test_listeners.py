"""Listeners: which one is taken; Whispers hear in batches what they hear alone; real ones hear words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import music, noise, read_sound, tone, words_right

from tagline.experts import extras
from tagline.experts.asr.backends import (
    SphinxBackend,
    WhisperBackend,
    align,
    choose_backend,
    load_whisper,
    save_whisper,
)
from tagline.experts.asr.ct2 import FasterWhisperBackend, to_words
from tagline.experts.asr.transcript import WhisperThresholds
from tagline.experts.footage import SOUND_RATE
from tagline.experts.weights import registry

# As of whoever runs the tests, before a fixture hides it.
CT2 = registry.local_folder(registry.entries()["whisper-base-ct2"])
real = pytest.mark.skipif(
    CT2 is None or extras.first_missing(["faster_whisper"]) is not None,
    reason="no weights whisper-base-ct2 or no faster-whisper here",
)

WIDTH = 64
SCRIPT = " the quick brown fox jumps over the lazy dog"
BELIEVE_ALL = WhisperThresholds(no_speech=2.0, confidence=-1e9, repetition=1e9)


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch, tmp_path):
    """Weights of whoever runs the tests must not change what is tested."""
    for name in ("TAGLINE_WEIGHTS", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nothing" / name))


def small_whisper(seed: int = 0, vocabulary: int = 51865) -> Any:
    """A real Whisper of one narrow layer with random weights; it reads at most 20 tokens."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(seed)
    model = Whisper(ModelDimensions(80, 1500, WIDTH, 2, 1, vocabulary, 40, WIDTH, 2, 2))
    with torch.no_grad():
        model.decoder.positional_embedding.normal_(std=0.1)
    return model.eval()


def scripted_whisper(text: str = SCRIPT) -> Any:
    """A Whisper that says the same text to everything, at high confidence: its positions know the words."""
    import torch
    from whisper.tokenizer import get_tokenizer

    model = small_whisper(1)
    tokenizer = get_tokenizer(multilingual=True, num_languages=model.num_languages)
    prompt = 4  # start, language, task, no timestamps
    with torch.no_grad():
        words = model.decoder.token_embedding.weight.normal_()
        for at, token in enumerate([*tokenizer.encode(text), tokenizer.eot]):
            model.decoder.positional_embedding[prompt - 1 + at] = 100 * words[token]
    return model


def saved(model: Any, folder: Path, name: str | None = None) -> registry.LocalWeights:
    return registry.find(str(save_whisper(model, folder, name)))


@pytest.fixture(scope="module")
def speaker(tmp_path_factory) -> WhisperBackend:
    listener = WhisperBackend(saved(scripted_whisper(), tmp_path_factory.mktemp("speaker")))
    listener.load("cpu")
    return listener


def text(words: Any) -> str:
    return " ".join(word.text for word in words)


def test_weights_come_back_as_they_went(tmp_path):
    import torch
    from whisper import _ALIGNMENT_HEADS

    model = small_whisper()
    found = saved(model, tmp_path / "here")
    again = load_whisper(found)
    assert again.dims == model.dims
    assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())
    assert found.config() == {"dims": model.dims.__dict__}
    # The name brings the attention heads that know when words are said; they are no weights.
    from whisper.model import ModelDimensions, Whisper

    tiny = Whisper(ModelDimensions(80, 1500, 24, 6, 4, 51865, 16, 24, 6, 4))
    plain = load_whisper(saved(tiny, tmp_path / "plain")).alignment_heads.to_dense()
    named = load_whisper(saved(tiny, tmp_path / "named", "tiny")).alignment_heads.to_dense()
    tiny.set_alignment_heads(_ALIGNMENT_HEADS["tiny"])
    assert torch.equal(named, tiny.alignment_heads.to_dense())
    assert not torch.equal(named, plain)


def test_words_have_times_within_their_stretch(speaker):
    sounds = [[noise(3.0), noise(1.5, 1)], [tone(6.0)]]
    heard = speaker.transcribe(sounds)
    for sound, found in zip(sounds, heard, strict=True):
        assert found.language is not None
        assert found.rejected == found.crashed == 0
        for stretch, words in zip(sound, found.words, strict=True):
            if len(stretch) == round(1.5 * SOUND_RATE):
                continue
            assert text(words) == SCRIPT.strip()
            starts = [word.start for word in words]
            assert starts == sorted(starts)
            for word in words:
                assert 0.0 <= word.start <= word.end <= len(stretch) / SOUND_RATE
                assert 0.0 <= word.probability <= 1.0


def test_nine_words_in_half_a_second_are_not_believed(speaker):
    heard = speaker.transcribe([[noise(0.5), noise(4.0)]])[0]
    assert heard.words[0] == []
    assert heard.words[1]
    assert heard.rejected == 1


def test_a_batch_hears_what_each_hears_alone(tmp_path):
    found = saved(small_whisper(3), tmp_path)
    sounds = [[noise(2.0, 1), tone(9.0)], [], [music(28.0)]]
    together = WhisperBackend(found, thresholds=BELIEVE_ALL, batch_size=4)
    alone = WhisperBackend(found, thresholds=BELIEVE_ALL, batch_size=1)
    assert together.transcribe(sounds) == [alone.transcribe([sound])[0] for sound in sounds]


def test_random_weights_are_not_believed(tmp_path):
    listener = WhisperBackend(saved(small_whisper(4), tmp_path), language="en")
    heard = listener.transcribe([[noise(3.0)]])[0]
    assert heard.words == [[]]
    assert heard.rejected == 1
    assert heard.language is None


def test_nothing_said_is_nothing_heard(speaker):
    assert speaker.transcribe([]) == []
    heard = speaker.transcribe([[], []])
    assert [found.words for found in heard] == [[], []]
    assert [found.language for found in heard] == [None, None]


def test_times_are_those_of_the_library_without_a_second_pass_of_the_encoder(speaker):
    import torch
    from whisper.audio import log_mel_spectrogram, pad_or_trim
    from whisper.timing import find_alignment
    from whisper.tokenizer import get_tokenizer

    model = speaker.model
    tokenizer = get_tokenizer(True, num_languages=model.num_languages, language="en", task="transcribe")
    tokens = tokenizer.encode(SCRIPT)
    sound = noise(4.0)
    mel = log_mel_spectrogram(pad_or_trim(sound), 80)
    plain = find_alignment(model, tokenizer, tokens, mel, 400)
    with torch.no_grad():
        features = model.encoder(mel[None])[0]
    ours = align(model, features, tokens, "en", 4.0)
    expected = [each for each in plain if each.word.strip()]
    assert [word.text for word in ours] == [each.word.strip() for each in expected]
    assert np.allclose([word.start for word in ours], [each.start for each in expected], atol=0.021)
    assert np.allclose(
        [word.probability for word in ours], [each.probability for each in expected], atol=1e-4
    )


def test_one_language_for_the_whole_of_a_sound(tmp_path):
    listener = WhisperBackend(saved(scripted_whisper(), tmp_path))
    heard = listener.transcribe([[noise(4.0, seed) for seed in range(3)]])[0]
    assert len({text(words) for words in heard.words}) == 1
    told = WhisperBackend(listener.found, language="German").transcribe([[noise(4.0)]])[0]
    assert told.language == "de"


def test_an_english_only_model_needs_no_language(tmp_path):
    listener = WhisperBackend(saved(small_whisper(5, vocabulary=51864), tmp_path), thresholds=BELIEVE_ALL)
    assert len(listener.transcribe([[noise(2.0)]])[0].words) == 1


def test_what_hears_is_part_of_the_identity(tmp_path):
    one, other = (saved(small_whisper(seed), tmp_path / str(seed)) for seed in (1, 2))
    copy = saved(small_whisper(1), tmp_path / "elsewhere" / "1")
    assert WhisperBackend(one).identity == WhisperBackend(copy).identity
    assert WhisperBackend(one).identity != WhisperBackend(other).identity
    assert WhisperBackend(one).identity != WhisperBackend(one, "fr").identity
    assert WhisperBackend(one).identity != FasterWhisperBackend(one).identity


def put_ct2(home: Path, monkeypatch: pytest.MonkeyPatch, name: str = "whisper-base-ct2") -> None:
    """Weights of that name at hand, as far as `registry.find` is concerned."""
    plain = registry.find
    here = registry.LocalWeights(name, home, "0" * 64)
    monkeypatch.setattr(registry, "find", lambda text, **_: here if text == name else plain(text, **_))


def test_which_listener_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "first_missing", lambda modules: None)
    with pytest.raises(registry.WeightsMissing, match="tagline models pull starter"):
        choose_backend("auto")
    with pytest.raises(registry.WeightsMissing, match="tagline models pull whisper-base`"):
        choose_backend("whisper")
    with pytest.raises(registry.WeightsMissing, match="whisper-small"):
        choose_backend("auto", "whisper-small")
    with pytest.raises(ValueError, match="no ASR backend 'parrot'"):
        choose_backend("parrot")
    with pytest.raises(ValueError, match="for the backend faster-whisper"):
        choose_backend("whisper", "whisper-base-ct2")
    found = saved(small_whisper(), tmp_path / "mine")
    listener, reason = choose_backend("auto", str(found.path), language="fr")
    assert isinstance(listener, WhisperBackend)
    assert reason is None
    put_ct2(tmp_path, monkeypatch)
    assert isinstance(choose_backend("auto")[0], FasterWhisperBackend)
    put_ct2(tmp_path, monkeypatch, "whisper-tiny-en-ct2")
    tiny = choose_backend("auto", "whisper-tiny-en-ct2")[0]
    assert isinstance(tiny, FasterWhisperBackend)
    assert tiny.name.endswith("(whisper-tiny-en-ct2)")


def test_openai_whisper_is_taken_where_only_that_is_here(tmp_path, monkeypatch):
    put_ct2(tmp_path, monkeypatch, "whisper-base")
    listener, reason = choose_backend("auto")
    assert isinstance(listener, WhisperBackend)
    assert reason is None


def test_without_the_library_the_sentence_names_the_extra(tmp_path, monkeypatch):
    put_ct2(tmp_path, monkeypatch)
    monkeypatch.setattr(
        extras, "first_missing", lambda modules: next((m for m in modules if m == "faster_whisper"), None)
    )
    with pytest.raises(extras.ExtraMissing, match=r"tagline\[starter\]"):
        choose_backend("faster-whisper")


def test_pocketsphinx_hears_the_playhouse_only():
    pytest.importorskip("pocketsphinx")
    listener, reason = choose_backend("auto", collection=registry.PLAYHOUSE)
    assert isinstance(listener, SphinxBackend)
    assert "pocketsphinx" in listener.name
    assert "playhouse" in str(reason)
    assert choose_backend("pocketsphinx")[1] is None
    with pytest.raises(registry.WeightsMissing, match="English only"):
        choose_backend("pocketsphinx", language="fr")


def aligned(*words: str) -> list[dict[str, Any]]:
    return [
        {"word": w, "start": 0.1 * i, "end": 0.1 * i + 0.1, "probability": 0.5} for i, w in enumerate(words)
    ]


def test_the_librarys_words_become_ours():
    found = to_words(aligned(" ill", "-", "disposed", " ", " man."), 0.35, spaced=True)
    assert [word.text for word in found] == ["ill-disposed", "man."]
    assert (found[0].start, found[0].end) == pytest.approx((0.0, 0.3))
    assert found[1].start == found[1].end == 0.35  # nothing is outside the stretch
    assert [word.text for word in to_words(aligned("望", "远", "镜"), 9.0, spaced=False)] == [
        "望",
        "远",
        "镜",
    ]


def test_a_folder_without_the_tokenizer_is_refused_and_nothing_is_fetched(tmp_path):
    pytest.importorskip("faster_whisper")
    (tmp_path / "model.bin").write_bytes(b"x")
    (tmp_path / "config.json").write_text("{}")
    listener = FasterWhisperBackend(registry.LocalWeights("mine", tmp_path, "0" * 64))
    with pytest.raises(registry.WeightsMissing, match=r"tokenizer\.json"):
        listener.load("cpu")


@pytest.fixture(scope="module")
def ears() -> FasterWhisperBackend:
    assert CT2 is not None
    listener = FasterWhisperBackend(registry.LocalWeights("whisper-base-ct2", CT2, "0" * 64))
    listener.load("cpu")
    return listener


@real
def test_whisper_in_ctranslate2_hears_real_speech(ears, data: Path):
    files = sorted((data / "audio").glob("*.wav"))
    heard = ears.transcribe([[read_sound(path)] for path in files])
    said = [path.with_suffix(".txt").read_text().strip() for path in files]
    right = [
        words_right(truth, text(found.words[0]).replace(".", "").replace(",", "")) * len(truth.split())
        for truth, found in zip(said, heard, strict=True)
    ]
    assert sum(right) / sum(len(truth.split()) for truth in said) > 0.85
    for found, path in zip(heard, files, strict=True):
        starts = [word.start for word in found.words[0]]
        assert starts == sorted(starts)
        assert all(
            0 <= word.start <= word.end <= len(read_sound(path)) / SOUND_RATE for word in found.words[0]
        )
        assert all(0 <= word.probability <= 1 for word in found.words[0])
        assert found.language == "en"
    # With others or alone, the same.
    assert ears.transcribe([[read_sound(files[2])]]) == [heard[2]]


@real
def test_where_nobody_speaks_whisper_in_ctranslate2_is_not_believed(ears):
    for sound in (noise(3.0), tone(4.0), music(5.0)):
        assert len(ears.transcribe([[sound]])[0].words[0]) <= 2
    assert ears.transcribe([[], []]) == ears.transcribe([[]]) * 2


@real
def test_an_unknown_language_is_said(ears):
    with pytest.raises(ValueError, match="knows no language 'Klingon'"):
        FasterWhisperBackend(ears.found, "Klingon").load("cpu")


def test_pocketsphinx_hears_real_speech(data: Path):
    pytest.importorskip("pocketsphinx")
    audio = data / "audio"
    files = sorted(audio.glob("*.wav"))
    sounds = [[read_sound(path)] for path in files]
    listener = SphinxBackend(2)
    heard = listener.transcribe(sounds)
    said = [path.with_suffix(".txt").read_text().strip() for path in files]
    right = [
        words_right(truth, text(found.words[0])) * len(truth.split())
        for truth, found in zip(said, heard, strict=True)
    ]
    share = sum(right) / sum(len(truth.split()) for truth in said)
    assert share > 0.65, f"{share:.3f}"
    assert all(found.language == "en" for found in heard)
    # What was heard before, and by which child, makes no difference.
    assert SphinxBackend(1).transcribe(sounds[1:3][::-1]) == heard[1:3][::-1]
