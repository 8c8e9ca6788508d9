"""What the papers print: TABLE's Tables 1 to 5 and OP-TSG's Tables 1 to 8, line by line, as data.

A line is written as `label | variant | figures`; the variant names what is trained here for the same line
(benchmarks/papers/studies.py), a trailing * the papers' inference strategy (dual softmax), - nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

RETRIEVAL = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "mdr": "MdR", "mnr": "MnR"}
TAGGING = {"precision": "P", "recall": "R", "f1": "F1"}


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a table: what was published, and what is trained here to stand below it."""

    label: str
    figures: tuple[float | None, ...]  # as printed, in the order of the table's columns
    variant: str | None = None
    dual: bool = False


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table of a paper."""

    key: str  # "table-1", "op-tsg-7"
    caption: str
    model: str  # "table" or "tagger": which of our models its lines are about
    columns: tuple[str, ...]  # keys of figures: "t2v_r1", "rare_f1"
    rows: tuple[TableRow, ...]
    data: str  # what it was measured on
    same_data: bool = True  # False: shown beside another data set's figures, for the order of the lines alone

    @property
    def title(self) -> str:
        paper, _, number = self.key.rpartition("-")
        return f"{ {'table': 'TABLE', 'op-tsg': 'OP-TSG'}[paper] }, Table {number}"

    def for_other_data(self) -> PaperTable:
        """The same table beside figures of another data set."""
        return replace(self, same_data=False)

    def variants(self) -> list[str]:
        """Everything that is trained for a line of this table, each once."""
        return list(dict.fromkeys(line.variant for line in self.rows if line.variant))


def heading(column: str) -> str:
    """ "t2v_r1" as people read it."""
    part, _, figure = column.partition("_")
    ways = {"t2v": "T2V", "v2t": "V2T"}
    if part in ways:
        return f"{ways[part]} {RETRIEVAL[figure]}"
    return {"tags": "matched tags", "gain": "tag gain"}.get(column) or f"{part} {TAGGING[figure]}"


def _rows(text: str, columns: Sequence[str]) -> tuple[TableRow, ...]:
    found = []
    for row in text.strip().splitlines():
        label, variant, figures = (part.strip() for part in row.split("|"))
        values = tuple(None if value == "-" else float(value) for value in figures.split())
        if len(values) != len(columns):
            raise ValueError(f"{label} has {len(values)} figures for {len(columns)} columns")
        name = variant.rstrip("*")
        found.append(TableRow(label, values, None if name == "-" else name, variant.endswith("*")))
    return tuple(found)


T2V = tuple(f"t2v_{figure}" for figure in RETRIEVAL)
BOTH = (*T2V, *(f"v2t_{figure}" for figure in RETRIEVAL))
SCORES = tuple(f"{part}_{figure}" for part in ("full", "rare", "common", "example") for figure in TAGGING)
F1 = ("full_f1", "rare_f1", "common_f1")

_TABLE: dict[int, tuple[str, str, tuple[str, ...], str]] = {
    1: ("Retrieval on MSR-VTT", "MSR-VTT 1k-A", BOTH, """
        JSFusion                 | -          | 10.2 31.2 43.2 13.0 - - - - - -
        HT-Pretrained            | -          | 14.9 40.2 52.8 9.0 - - - - - -
        CE                       | -          | 20.9 48.8 62.4 6.0 28.2 20.6 50.3 64.0 5.3 25.1
        MMT-Pretrained           | -          | 26.6 57.1 69.6 4.0 24.0 27.0 57.5 69.7 3.7 21.3
        TACo                     | -          | 26.7 54.5 68.2 4.0 - - - - - -
        SUPPORT-SET              | -          | 27.4 56.3 67.7 3.0 - 26.6 55.1 67.5 3.0 -
        FROZEN                   | -          | 31.0 59.5 70.5 3.0 - - - - - -
        HIT-Pretrained           | -          | 30.7 60.9 73.2 2.6 - 32.1 62.7 74.1 3.0 -
        CLIP                     | -          | 31.2 53.7 64.2 4.0 - 27.2 51.7 62.6 5.0 -
        MDMMT                    | -          | 38.9 69.0 79.7 2.0 16.5 - - - - -
        CLIP4Clip-meanP          | meanp      | 43.1 70.4 80.8 2.0 16.2 43.1 70.5 81.2 2.0 12.4
        CLIP4Clip-seqTransf      | seqtransf  | 44.5 71.4 81.6 2.0 15.3 42.7 70.9 80.6 2.0 11.6
        VCM                      | -          | 43.8 71.0 80.9 2.0 14.3 45.1 72.3 82.3 2.0 10.7
        CLIP2VIDEO               | -          | 45.6 72.6 81.7 2.0 14.6 43.5 72.3 82.1 2.0 10.2
        CAMoE                    | -          | 44.6 72.6 81.8 2.0 13.3 45.1 72.4 83.1 2.0 10.0
        TABLE                    | table      | 47.1 74.3 82.9 2.0 13.4 47.2 74.2 84.2 2.0 11.0
        CAMoE*                   | -          | 47.3 74.2 84.5 2.0 11.9 49.1 74.3 84.3 2.0 9.9
        CAMoE-online*            | -          | 48.8 75.6 85.3 2.0 12.4 50.3 74.6 83.8 2.0 9.9
        TABLE*                   | table*     | 52.3 78.4 85.2 1.0 11.4 51.8 77.5 85.1 1.0 10.0
    """),
    2: ("Retrieval on MSVD", "MSVD", T2V, """
        VSE                      | -          | 12.3 30.1 42.3 14.0 -
        CE                       | -          | 19.8 49.0 63.8 6.0 23.1
        SSML                     | -          | 20.3 49.0 63.3 6.0 -
        SUPPORT-SET              | -          | 28.4 60.0 72.9 4.0 -
        FROZEN                   | -          | 33.7 64.7 76.3 3.0 -
        CLIP                     | -          | 37.0 64.1 73.8 3.0 -
        CLIP4Clip-seqTransf      | seqtransf  | 45.2 75.5 84.3 2.0 10.3
        CLIP4Clip-meanP          | meanp      | 46.2 76.1 84.6 2.0 10.0
        CLIP2VIDEO               | -          | 47.0 76.8 85.9 2.0 9.6
        CAMoE                    | -          | 46.9 76.1 85.5 - 9.8
        TABLE                    | table      | 49.9 79.3 87.4 2.0 9.1
        CAMoE*                   | -          | 49.8 79.2 87.0 - 9.4
        TABLE*                   | table*     | 52.3 80.5 87.9 1.0 9.8
    """),
    3: ("Retrieval on LSMDC", "LSMDC", T2V, """
        JSFusion                 | -          | 9.1 21.2 34.1 36.0 -
        CE                       | -          | 11.2 26.9 34.8 25.3 96.8
        HIT-Pretrained           | -          | 14.0 31.2 41.6 18.5 -
        FROZEN                   | -          | 15.0 30.8 39.8 20.0 -
        CLIP                     | -          | 11.3 22.7 29.2 56.5 -
        MDMMT                    | -          | 18.8 38.5 47.9 12.3 58.0
        CLIP4Clip-meanP          | meanp      | 20.7 38.9 47.2 13.0 65.3
        CLIP4Clip-seqTransf      | seqtransf  | 22.6 41.0 49.1 11.0 61.0
        CAMoE                    | -          | 22.5 42.6 50.9 - 56.5
        TABLE                    | table      | 24.3 44.9 53.7 8.0 52.7
        CAMoE*                   | -          | 25.9 46.1 53.7 - 54.4
        TABLE*                   | table*     | 26.2 45.9 55.0 7.0 51.0
    """),
    4: ("Retrieval on DiDeMo", "DiDeMo, paragraphs", T2V, """
        S2VT                     | -          | 11.9 33.6 - 13.0 -
        FSE                      | -          | 13.9 36.0 - 11.0 -
        CE                       | -          | 16.1 41.1 - 8.3 43.7
        TT-CE                    | -          | 21.6 48.6 62.9 6.0 -
        FROZEN                   | -          | 34.6 65.0 74.7 3.0 -
        ClipBERT                 | -          | 20.4 48.0 60.8 6.0 -
        CLIP4Clip-seqTransf      | seqtransf  | 42.8 68.5 79.2 2.0 18.9
        CLIP4Clip-meanP          | meanp      | 43.4 70.2 80.6 2.0 17.5
        TABLE                    | table      | 47.9 74.0 82.1 2.0 14.3
        CAMoE*                   | -          | 43.8 71.4 79.9 2.0 16.3
        TABLE*                   | table*     | 49.1 75.6 82.9 2.0 14.8
    """),
    5: ("Ablation: tags, matching and masked words", "MSR-VTT 1k-A", BOTH, """
        Baseline: no tags        | no-tags    | 45.2 72.0 81.3 2.0 14.3 45.4 73.8 83.8 2.0 11.5
        object                   | object     | 45.6 72.8 81.7 2.0 13.8 45.3 73.6 83.9 2.0 11.1
        + person                 | person     | 45.6 72.8 81.9 2.0 14.1 45.9 74.9 83.4 2.0 11.1
        + motion                 | motion     | 46.2 73.0 82.2 2.0 13.8 45.9 74.7 83.8 2.0 11.0
        + scene                  | scene      | 46.5 73.4 82.2 2.0 13.9 45.6 74.8 83.6 2.0 11.2
        + audio                  | speech     | 46.8 73.5 82.2 2.0 13.9 45.9 75.1 84.1 2.0 11.1
        + VTM                    | vtm        | 46.7 73.9 82.1 2.0 13.6 46.6 75.0 84.7 2.0 10.6
        + MLM                    | table      | 47.1 74.3 82.9 2.0 13.4 47.2 74.2 84.2 2.0 11.0
    """),
}  # fmt: skip

_OPTSG: dict[int, tuple[str, str, tuple[str, ...], str]] = {
    1: ("Tagging on CREATE", "CREATE-210K", SCORES, """
        Bin                      | bin        | 21.1 28.8 22.4 14.9 17.1 14.6 39.4 63.4 45.5 38.6 39.6 39.1
        Asy                      | asl        | 27.8 38.4 29.9 24.4 28.5 24.5 38.0 66.6 45.8 38.5 45.5 41.7
        Order-Free               | order-free | 27.6 35.3 28.9 24.1 26.6 23.8 37.9 60.8 43.8 39.4 41.8 40.9
        Open-Book                | open-book  | 28.1 35.8 29.2 24.8 27.3 24.3 38.1 61.0 43.9 39.5 42.2 41.2
        OP-TSG                   | op-tsg     | 30.1 40.7 32.2 27.1 32.6 27.8 38.2 64.7 45.3 39.5 46.3 42.7
        Bin, CREATE-3M first     | -          | 28.8 36.3 30.0 24.0 26.3 23.5 42.3 66.3 48.7 42.8 45.7 44.2
        Asy, CREATE-3M first     | -          | 30.5 40.1 32.4 27.1 30.9 27.2 40.8 67.3 47.9 41.1 46.3 43.6
        Order-Free, CREATE-3M first | -       | 31.5 38.2 32.3 28.0 29.7 27.2 41.9 62.7 47.5 42.4 44.1 43.2
        Open-Book, CREATE-3M first | -        | 31.8 38.6 32.5 28.3 29.9 27.5 42.2 63.2 47.8 42.6 44.6 43.5
        OP-TSG, CREATE-3M first  | -          | 34.1 42.6 35.5 31.2 34.6 30.9 42.6 66.3 48.9 43.0 48.4 45.5
    """),
    2: ("Tagging on Pexel", "Pexel", SCORES, """
        Bin                      | bin        | 11.2 17.6 12.2 4.5 4.7 4.1 27.7 49.5 32.4 32.2 50.9 39.6
        Asy                      | asl        | 24.2 31.2 25.3 19.5 21.5 19.0 36.1 55.2 40.9 38.7 55.9 45.8
        Order-Free               | order-free | 37.6 38.6 36.5 35.7 35.4 34.0 42.8 46.7 42.7 48.2 49.1 48.4
        Open-Book                | open-book  | 37.7 38.9 36.7 35.9 35.7 34.2 42.9 47.1 42.9 48.5 49.6 48.8
        OP-TSG                   | op-tsg     | 38.1 44.6 39.1 37.5 41.1 37.2 39.8 53.4 43.6 45.1 55.3 49.7
    """),
    3: ("Tag gain, confirmed by people", "CREATE-210K", ("tags", "gain"), """
        Bin                      | -          | - 0.0
        Asy                      | -          | - 0.0
        Order-Free               | -          | 0.11 2.43
        Open-Book                | -          | 0.15 3.43
        OP-TSG                   | -          | 0.30 7.04
    """),
    4: ("Number of order prompts", "CREATE-210K", F1, """
        5 prompts                | prompts-5  | 29.8 25.0 44.1
        10 prompts               | prompts-10 | 30.9 26.3 44.7
        15 prompts               | prompts-15 | 31.7 27.0 45.3
        20 prompts               | prompts-20 | 31.8 27.3 45.2
        30 prompts               | prompts-30 | 32.2 27.8 45.3
        50 prompts               | prompts-50 | 31.6 26.8 45.1
    """),
    5: ("Weight of the [PAD] loss", "CREATE-210K", F1, """
        0.1                      | pad-0.1    | 31.4 27.6 42.8
        0.3                      | pad-0.3    | 32.2 27.8 45.3
        0.5                      | pad-0.5    | 31.7 27.0 45.9
        0.8                      | pad-0.8    | 31.6 26.8 46.0
        1.0                      | pad-1.0    | 31.2 26.2 46.1
    """),
    6: ("Layers of the prompt encoder", "CREATE-210K", F1, """
        1 layer                  | layers-1   | 31.4 26.6 45.5
        2 layers                 | layers-2   | 31.8 27.2 45.4
        4 layers                 | layers-4   | 31.9 27.4 45.5
        6 layers                 | layers-6   | 32.2 27.8 45.3
        8 layers                 | layers-8   | 32.1 27.5 45.6
    """),
    7: ("Components", "CREATE-210K", F1, """
        A  OP-TSG                | op-tsg     | 32.2 27.8 45.3
        B  without OP-TSD        | no-prompts | 28.3 23.2 43.2
        C  without shuffle       | no-shuffle | 30.1 24.8 45.4
        D  learnable tag emb.    | learnable  | 31.4 26.6 45.6
        E  without prompt-tag cl. | no-contrast | 28.4 22.9 44.8
        F  prompt label          | prompt-labels | 29.7 25.0 43.4
        G  prompt cls.           | prompt-classes | 28.7 23.4 44.5
    """),
    8: ("Video and title", "CREATE-210K", F1, """
        A  video alone           | video-only | 21.8 16.8 36.3
        B  title alone           | title-only | 23.3 21.6 28.3
        C  both                  | op-tsg     | 32.2 27.8 45.3
    """),
}  # fmt: skip


@cache
def paper_table(key: str) -> PaperTable:
    """A table by its key: "table-1" or "op-tsg-7"."""
    paper, _, number = key.rpartition("-")
    caption, data, columns, text = (_TABLE if paper == "table" else _OPTSG)[int(number)]
    model = "table" if paper == "table" else "tagger"
    return PaperTable(key, caption, model, columns, _rows(text, columns), data)
