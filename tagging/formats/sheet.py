"""What goes out about one video, what comes back, and the checks that a stranger's file has to pass."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tagline.experts.tags import HUMAN_SOURCE, Modality, Sighting, Tag, Word

LONGEST_TEXT = 1000  # characters; the catalog caps again, at its own length

# Markup, controls, ends of lines as some readers see them, surrogates, and what is no character at all.
NEEDS_ESCAPE = re.compile(
    "[<>&\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
)


class BadFile(ValueError):
    """A file that is not what it should be. The message says why, in words that follow the file's name."""


@dataclass(frozen=True, slots=True)
class VideoExport:
    """Everything about one video that other programs may want."""

    video: str  # the hash of its content
    path: str
    title: str | None = None
    duration: float | None = None  # seconds
    width: int = 0  # pixels, upright
    height: int = 0
    tags: tuple[Tag, ...] = ()
    words: tuple[Word, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    weights: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # expert: what it speaks by

    def row_of(self, tag: Tag) -> dict[str, Any]:
        """A tag as it goes out, with the weights by which its expert speaks."""
        return {**tag_to_dict(tag), "weights": "; ".join(self.weights.get(tag.source, ()))}


@dataclass(slots=True)
class ImportedVideo:
    """What a file says about one video."""

    video: str | None = None  # the hash of its content, where the file knows it
    path: str | None = None
    tags: list[Tag] = field(default_factory=list)  # exactly as they went out
    keywords: list[tuple[str, Modality]] = field(default_factory=list)  # somebody's own, without times
    removed: list[str] = field(default_factory=list)  # went out once, and somebody has taken them out since


def tag_to_dict(tag: Tag) -> dict[str, Any]:
    return {
        "text": tag.text,
        "modality": tag.modality.value,
        "score": tag.score,
        "start": tag.start,
        "end": tag.end,
        "best": tag.best,
        "source": tag.source,
    }


def tag_from_dict(values: Mapping[str, Any]) -> Tag:
    """A tag out of what stands in a file. Absent fields mean: a person says so, at no time in particular."""
    text = values.get("text")
    if not isinstance(text, str) or not text.strip():
        raise BadFile("holds a tag without a text")
    if len(text) > LONGEST_TEXT:
        raise BadFile(f"holds a tag of {len(text)} characters")
    start = number(values, "start", 0.0)
    end = number(values, "end", start)
    score = number(values, "score", 1.0)
    if start < 0 or end < start:
        raise BadFile(f"says that {text[:40]!r} lasts from {start:g} to {end:g} seconds")
    if not 0 <= score <= 1:
        raise BadFile(f"gives {text[:40]!r} the score {score:g}; scores lie between 0 and 1")
    try:
        modality = Modality(values.get("modality") or Modality.HUMAN)
    except ValueError:
        raise BadFile(f"names a modality {values.get('modality')!r}, which there is not") from None
    source = values.get("source") or HUMAN_SOURCE
    if not isinstance(source, str):
        raise BadFile("holds a tag whose source is no text")
    best = None if values.get("best") in (None, "") else number(values, "best", 0.0)
    return Tag(text, modality, score, start, end, source[:LONGEST_TEXT], best)


def number(values: Mapping[str, Any], name: str, default: float) -> float:
    """A finite number, read from a number or from text; `default` where there is none."""
    value = values.get(name)
    if value is None or value == "":
        return default
    try:
        if isinstance(value, bool):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise BadFile(f"holds {str(value)[:40]!r} where the {name} of a tag should be") from None
    if not math.isfinite(result):
        raise BadFile(f"holds {value!r} where the {name} of a tag should be")
    return result


def checksum(video: str | None, tag: Tag) -> str:
    """A short mark over a row, so that rows which somebody has written or changed are told from ours.

    It is made of the values, not of their spelling: a spreadsheet that turns 0.50 into 0.5 breaks no seal.
    The leading letter keeps spreadsheets from reading it as a number.
    """
    values = [video, *tag_to_dict(tag).values()]
    plain = json.dumps([float(v) if isinstance(v, int) else v for v in values])
    return "k" + hashlib.sha256(plain.encode()).hexdigest()[:11]


def compact_json(value: Any) -> str:
    """JSON on one line that XML, WebVTT and a page take as it is: no markup, no controls, no surrogates."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return NEEDS_ESCAPE.sub(lambda found: unicode_escape(found.group()), text)


def unicode_escape(c: str) -> str:
    """A character as JSON may write it: \\u1234, or two of these."""
    code = ord(c)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def parse_json(text: str | bytes) -> Any:
    """Strict JSON of a stranger: no NaN, no numbers beyond measure, no bottomless nesting."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise BadFile("is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        if isinstance(error, BadFile):
            raise
        raise BadFile(f"is not JSON ({error})") from None


def _refuse_constant(name: str) -> float:
    raise BadFile(f"is not JSON (it holds {name})")
