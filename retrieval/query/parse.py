"""What a person typed, taken apart: a sum of phrases, a tag, a day, a length."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from tagline.experts.tags import Modality
from tagline.tagging.vocabulary import clean, normal

MAX_CHARACTERS = 10_000  # characters of a query; what follows is not read
MAX_PHRASES = 16

SIGN = re.compile(r"(?:^|(?<=\s))([+-])(?=\s|$)")
THEN = re.compile(r'(?:^|(?<=[\s"]))then(?:\s+within\s+([\d.:]+(?:s|min|m|h)?))?(?=[\s"])', re.IGNORECASE)
MAX_STEPS = 4  # of a sequence
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class BadFilter(ValueError):
    """What was typed is no tag, no day or no length. The message says what would be one."""


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A query: what it wants, phrase by phrase, and what it does not want."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    forms: tuple[tuple[str, str], ...] = ()  # (word, another way to write it that the library has)

    @property
    def text(self) -> str:
        """What is wanted, as one sentence."""
        return " ".join(self.include)


def forms_by_word(query: ParsedQuery) -> dict[str, list[str]]:
    """For each word of a query the other ways to write it that the library has."""
    found: dict[str, list[str]] = {}
    for word, form in query.forms:
        found.setdefault(word, []).append(form)
    return found


def parse(query: str) -> ParsedQuery:
    """A query is a sentence, or phrases with + and - between them: "beach + dog - person".

    A sign counts only where it stands alone between spaces: "well-known" and "C++" are words. Nothing may
    be left that is wanted: "- person" asks for nothing.
    """
    parts = SIGN.split(clean(query, MAX_CHARACTERS))
    first = parts[0].strip()
    phrases = [phrase.strip() for phrase in parts[2::2]]
    signed = [pair for pair in zip(parts[1::2], phrases, strict=True) if pair[1]][:MAX_PHRASES]
    wanted = tuple(phrase for phrase in (first, *(p for sign, p in signed if sign == "+")) if phrase)
    return ParsedQuery(wanted, tuple(phrase for sign, phrase in signed if sign == "-"))


@dataclass(frozen=True, slots=True)
class Step:
    """One of several things that are wanted in order."""

    text: str
    within: float | None = None  # seconds that may lie between it and the one before; None: any


def parse_steps(query: str) -> list[Step]:
    """`"door opens" then "dog"`, `"door opens" then within 10s "dog"`; nothing where it is no sequence.

    `then` joins steps where a quoted phrase stands beside it or `within` after it: in a plain sentence it
    is a word like any other.
    """
    text = clean(query, MAX_CHARACTERS)
    steps: list[Step] = []
    begin, gap = 0, None
    for found in THEN.finditer(text):
        before, after = text[: found.start()].rstrip(), text[found.end() :].lstrip()
        if before.count('"') % 2 or len(steps) >= MAX_STEPS - 1:
            continue
        try:
            within = None if found[1] is None else parse_duration(found[1])
        except BadFilter:
            continue
        if within is None and not before.endswith('"') and not after.startswith('"'):
            continue
        steps.append(Step(text[begin : found.start()].replace('"', " ").strip(), gap))
        begin, gap = found.end(), within
    steps.append(Step(text[begin:].replace('"', " ").strip(), gap))
    return steps if len(steps) > 1 and all(parse(step.text).include for step in steps) else []


def parse_tag(text: str) -> tuple[Modality | None, str]:
    """[MODALITY:]TAG, such as dog or person:girl; None: of any modality."""
    before, colon, after = text.partition(":")
    modality = Modality(before) if colon and before in set(Modality) else None
    tag = normal(after if modality else text, modality)
    if not tag:
        raise BadFilter("a tag is written dog, or with its modality person:girl")
    return modality, tag


def parse_day(text: str) -> str:
    """The beginning of a year, month or day as the catalog writes times: 2024, 2024-05, 2024-05-17."""
    given = text.strip()
    for form, shape in (("%Y", r"\d{4}"), ("%Y-%m", r"\d{4}-\d\d"), ("%Y-%m-%d", r"\d{4}-\d\d-\d\d")):
        if re.fullmatch(shape, given, re.ASCII):
            try:
                datetime.strptime(given, form)
            except ValueError:
                break
            return given
    raise BadFilter("a day is written 2024-05-17; a year or a month will do, too")


def parse_duration(text: str) -> float:
    """A length: 90, 90s, 1.5m, 2h, 1:30, 1:02:03."""
    given = text.strip().lower()
    if re.fullmatch(r"\d{1,4}(:[0-5]?\d){1,2}", given):
        found = 0
        for part in given.split(":"):
            found = found * 60 + int(part)
        return float(found)
    unit = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)\s*(s|m|min|h|)", given)
    if not unit:
        raise BadFilter("a length is written 90, 90s, 2m or 1:30")
    return float(unit[1]) * UNITS[unit[2]]
