"""A video as text: what is in it and when, one lane a modality, as wide as the terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tagline.experts.tags import HUMAN_SOURCE, Modality, Tag
from tagline.tagging.catalog.verdicts import MODALITY_ORDER
from tagline.tagging.printable import clock, safe

# (text, style) pieces of one line; styles are rich's names
StyledText = list[tuple[str, str]]

COLOURS = {
    Modality.OBJECT: "green",
    Modality.PERSON: "yellow",
    Modality.SCENE: "cyan",
    Modality.MOTION: "magenta",
    Modality.SPEECH: "blue",
    Modality.SOUND: "bright_blue",
    Modality.SCREEN: "bright_red",
    Modality.GENERATED: "bright_black",
    Modality.TITLE: "white",
    Modality.HUMAN: "bright_green",
}
NARROW = 56  # columns under which there is no room for bars
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, slots=True)
class TimelineSymbols:
    """What a timeline is drawn with."""

    empty: str = "·"
    bar: str = "━"
    best: str = "●"
    person: str = "✓"
    cut: str = "…"


PLAIN = TimelineSymbols(".", "=", "*", "+", "~")  # for terminals that show ASCII only


@dataclass(frozen=True, slots=True)
class Lane:
    """All spans of one text in one modality."""

    text: str
    spans: tuple[Tag, ...]
    accepted: bool = False

    @property
    def score(self) -> float:
        return max(tag.score for tag in self.spans)

    @property
    def by_person(self) -> bool:
        return self.accepted or any(tag.source == HUMAN_SOURCE for tag in self.spans)


def lanes(tags: Sequence[Tag], accepted: Collection[tuple[Modality, str]] = ()) -> dict[Modality, list[Lane]]:
    """Tags by modality, in the order of the modalities; what people said and the surest texts first."""
    grouped: dict[Modality, dict[str, list[Tag]]] = {}
    for tag in sorted(tags, key=lambda tag: (MODALITY_ORDER[tag.modality], tag.start)):
        grouped.setdefault(tag.modality, {}).setdefault(tag.text, []).append(tag)
    return {
        modality: sorted(
            (Lane(text, tuple(spans), (modality, text) in accepted) for text, spans in texts.items()),
            key=_importance,
        )
        for modality, texts in grouped.items()
    }


def _importance(lane: Lane) -> tuple[bool, float, float, str]:
    return (not lane.by_person, -lane.score, lane.spans[0].start, lane.text)


def timeline(
    tags: Sequence[Tag],
    duration: float | None,
    width: int,
    *,
    most: int | None = 12,
    accepted: Collection[tuple[Modality, str]] = (),
    signs: TimelineSymbols = TimelineSymbols(),
) -> Iterator[StyledText]:
    """The lines of a timeline, each at most `width` columns wide.

    A row is one text: its name, its best score, and a bar for each span, with a mark where it is seen or
    heard most clearly. `most` rows a modality; None: all. `accepted`: what a person has vouched for.
    """
    end = max([duration or 0.0, *(tag.end for tag in tags)], default=0.0)
    by_sense = lanes(tags, accepted)
    sense_width = max((len(modality) for modality in by_sense), default=0) + 1
    longest = max((display_width(safe(lane.text)) for rows in by_sense.values() for lane in rows), default=0)
    room = max(width - sense_width - 7, 4)  # left for names and bars
    name_width = max(min(longest, max(width // 4, 12), 40, room), 4)
    bar = room - name_width
    draws = bool(tags) and width >= NARROW and end > 0 and bar >= 10
    if draws:
        yield [(" " * (sense_width + name_width + 7), ""), (axis(end, bar), "dim")]
    for modality, rows in by_sense.items():
        shown = rows if most is None else rows[:most]
        for place, lane in enumerate(shown):
            sense = modality.value if place == 0 else ""
            style = COLOURS[modality]
            mark = signs.person if lane.by_person else " "
            line: StyledText = [
                (f"{sense:<{sense_width}}", f"bold {style}"),
                (fit_width(safe(lane.text), name_width, signs), ""),
            ]
            line += [(f" {mark}", "bright_green"), (f"{_percent(lane.score)} ", "dim")]
            if draws:
                line += [(" ", ""), *bars(lane, end, bar, style, signs)]
            elif bar > 0:
                line.append((fit_width(_spans(lane), bar, signs).rstrip(), style))
            yield line
        if len(rows) > len(shown):
            yield [(" " * sense_width, ""), (f"and {len(rows) - len(shown)} more; --all shows them", "dim")]


def axis(end: float, width: int) -> str:
    """Times under which the bars stand, as many as there is room for, the last one at the end."""
    last = clock(end)
    step = next((s for s in STEPS if end / s * (len(last) + 4) <= width), STEPS[-1])
    line = [" "] * width
    for number in range(math.ceil(end / step)):
        label = clock(number * step)
        at = int(number * step / end * width)
        if label != last and at + len(label) + 1 < width - len(last):
            line[at : at + len(label)] = label
    line[width - len(last) :] = last[-width:]
    return "".join(line)[:width]


def bars(
    lane: Lane, end: float, width: int, style: str, signs: TimelineSymbols = TimelineSymbols()
) -> StyledText:
    """One row of cells; each stands for end/width seconds, and the shortest span still fills one."""
    cells = [signs.empty] * width
    for tag in lane.spans:
        first = _cell(tag.start, end, width)
        last = max(first, math.ceil(min(tag.end, end) / end * width) - 1)
        cells[first : last + 1] = signs.bar * (last + 1 - first)
    strongest = max(lane.spans, key=lambda tag: tag.score)
    if strongest.best is not None:
        cells[_cell(strongest.best, end, width)] = signs.best
    pieces: StyledText = []
    for cell in cells:
        kind = "dim" if cell == signs.empty else f"bold {style}" if cell == signs.best else style
        if pieces and pieces[-1][1] == kind:
            pieces[-1] = (pieces[-1][0] + cell, kind)
        else:
            pieces.append((cell, kind))
    return pieces


def _cell(second: float, end: float, width: int) -> int:
    return min(max(int(second / end * width), 0), width - 1)


def _percent(score: float) -> str:
    return f"{min(int(score * 100 + 0.5), 100):>3}"


def _spans(lane: Lane) -> str:
    """The spans in words, for terminals without room for bars."""
    return ", ".join(f"{clock(tag.start)}-{clock(tag.end)}" for tag in lane.spans)


def fit_width(text: str, width: int, signs: TimelineSymbols = TimelineSymbols()) -> str:
    """The text in exactly `width` columns, cut off with a sign that says so."""
    if display_width(text) > width:
        kept = ""
        for character in text:
            if display_width(kept + character) > width - 1:
                break
            kept += character
        text = kept + signs.cut
    return text + " " * (width - display_width(text))


def display_width(text: str) -> int:
    """Columns that a text takes in a terminal: East Asian characters take two."""
    from rich.cells import cell_len

    return cell_len(text)
