"""Hallucinations of ASR backends where nobody speaks: loops, credits, courtesies, haste."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from tagline.experts.tags import Word

LONGEST_LOOP = 12  # words
LOOPS = 3  # how often in a row people may say the same thing
FASTEST = 8.0  # words a second; an auctioneer says about six
SLOWEST_COURTESY = 0.5  # words a second: "Thank you." alone in eight seconds of sound

# Whisper learned from subtitles, and signs them where it hears nothing.
CREDITS = re.compile(
    r"""amara\W?org | dimatorzok | casting\W?words | opensubtitles | zeoranger
    | \b(sub)?(titles?|titled|captions?|captioned|transcri(bed|ption)|translat(ed|ion))\s+(by|from)\b
    | \bsous-?titr\w+\s+(par|réalisé\w*|de)\b | \buntertitel\w*\s+(von|der|im|des)\b
    | \bsubt[ií]tul\w+\s+(por|realizad\w+|de)\b | \blegendas\s+(pela|por)\b
    | \bsottotitol\w+\s+(creati|di|a)\b
    | \bondertitel\w*\s+(door|ingediend)\b | \bnapisy\s+(stworzone|przez)\b
    | субтитры\s+(сделал|создавал|добавил) | редактор\s+субтитров | 字幕(由|提供|志愿者|by)
    """,
    re.VERBOSE | re.IGNORECASE,
)
COURTESIES = frozenset(
    """
    you|bye|bye bye|okay|ok|so|oh|the end|thank you|thank you very much|thank you so much|thanks|
    thanks for watching|thank you for watching|thank you so much for watching|thank you for listening|
    please subscribe|please subscribe to my channel|like and subscribe|don't forget to subscribe|
    subscribe to my channel|see you next time|see you in the next video|i'll see you in the next video|
    vielen dank|vielen dank fürs zuschauen|bis zum nächsten mal|merci|merci d'avoir regardé cette vidéo|
    gracias|gracias por ver el video|suscríbete|obrigado|grazie|спасибо за просмотр|продолжение следует|
    ご視聴ありがとうございました|おやすみなさい|시청해주셔서 감사합니다|谢谢观看|
    请不吝点赞 订阅 转发 打赏支持明镜与点点栏目
    """.replace("\n", "")
    .replace("    ", "")
    .split("|")
)
BRACKETS = {"[": "]", "(": ")", "♪": "♪", "*": "*"}


def normalised(text: str) -> str:
    """Lower case, no punctuation at either end of a word, single spaces."""
    words = unicodedata.normalize("NFKC", text).lower().split()
    return " ".join(filter(None, (word.strip(".,!?…:;\"'“”«»()[]{}¿¡。、！？♪*-–—") for word in words)))


def without_noises(words: Sequence[Word]) -> list[Word]:
    """Without what is no word: "[Music]", "(upbeat music)", "♪"."""
    spoken: list[Word] = []
    until: str | None = None
    for word in words:
        text = word.text.strip()
        if until is None and text[:1] in BRACKETS:
            until = BRACKETS[text[0]]
            text = text[1:]
            closed = until in text or not text
        elif until is not None:
            closed = until in text
        else:
            if normalised(text):
                spoken.append(word)
            continue
        if closed:
            until = None
    return spoken


def without_loops(words: Sequence[Word]) -> list[Word]:
    """Each run of words said more than LOOPS times in a row is left in once."""
    unlooped: list[Word] = []
    texts = [normalised(word.text) for word in words]
    at = 0
    while at < len(words):
        length = _loop(texts, at)
        if length is None:
            unlooped.append(words[at])
            at += 1
            continue
        unit = texts[at : at + length]
        unlooped.extend(words[at : at + length])
        while texts[at : at + length] == unit:
            at += length
    return unlooped


def _loop(texts: Sequence[str], at: int) -> int | None:
    """The length of the shortest run of words that repeats more than LOOPS times from here on."""
    for length in range(1, min(LONGEST_LOOP, (len(texts) - at) // (LOOPS + 1)) + 1):
        unit = texts[at : at + length]
        if all(texts[at + turn * length : at + (turn + 1) * length] == unit for turn in range(1, LOOPS + 1)):
            return length
    return None


def credible_words(words: Sequence[Word], seconds: float, *, unsure: bool = False) -> list[Word]:
    """The words of one stretch of `seconds` that may be believed: all, some or none.

    `unsure`: the listener itself doubted that there was speech.
    """
    spoken = without_noises(words)
    credible = without_loops(spoken)
    if len(credible) * 2 < len(spoken):  # mostly a loop: what is left was not heard either
        return []
    text = normalised(" ".join(word.text for word in credible))
    if len(credible) > max(4.0, FASTEST * seconds) or (CREDITS.search(text) and len(credible) <= 15):
        return []
    if text in COURTESIES and (unsure or len(credible) < SLOWEST_COURTESY * seconds):
        return []
    return credible
