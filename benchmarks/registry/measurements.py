"""What each measurement is meant to reach, and what its figures do not say: shown beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound for one figure."""

    sign: str  # "≥", "≤" or "="
    value: float | bool

    def met(self, figure: Any) -> bool:
        if self.sign == "=":
            return bool(figure == self.value)
        return bool(figure >= self.value if self.sign == "≥" else figure <= self.value)

    def __str__(self) -> str:
        value = str(self.value).lower() if isinstance(self.value, bool) else f"{self.value:g}"
        return f"{self.sign} {value}"


def _aims(text: str) -> dict[str, Aim]:
    found = {}
    for part in text.split(","):
        key, sign, value = part.split()
        found[key] = Aim(sign, value == "true" if value in ("true", "false") else float(value))
    return found


AIMS: dict[str, dict[str, Aim]] = {
    name: _aims(text)
    for name, text in {
        "decode": "cpu_ratio_720p_60s ≤ 0.4, cpu_ratio_1080p_300s ≤ 0.15, cpu_ratio_1fps ≤ 1, exact = true",
        "tagging": "speedup ≥ 1.5, same_tags = true, overhead_share ≤ 0.15",
        "suite": "green = true, suite_seconds ≤ 360",
        "cost": "decode_cpu_ratio ≤ 1.1, tag_cpu_ratio ≤ 1.1",
        "kill9": "trials ≥ 100, lost = 0, doubled = 0",
        "mutants": "hangs = 0, dead_batches = 0, memory_growth ≤ 0.1",
        "playhouse-experts": "object_f1 ≥ 0.85, person_f1 ≥ 0.85, scene_accuracy ≥ 0.9, "
        "motion_accuracy ≥ 0.8, speech_recall ≥ 0.8, screen_recall ≥ 0.8",
        "table-ablation": "ci_apart = true",
        "table-training": "speedup ≥ 4, time_ratio ≤ 0.33",
        "generator-decoding": "different = 0, passes_ratio ≤ 0.2, wall_ratio ≤ 0.25",
        "query-bank": "gain ≥ 1.5",
        "index-scale": "speedup ≥ 50, recall_at_10 ≥ 0.97, memory_ratio ≤ 0.35",
        "search-quality": "false_answers ≤ 0.1, false_refusals ≤ 0.05",
        "ranker-scale": "p50_ms ≤ 50, recall ≥ 0.95",
        "cluster-kill": "equal = true, lost = 0",
    }.items()
}

# Sentences that belong to a measurement whatever its figures are.
NOTES: dict[str, str] = {
    "decode": "How much can be skipped depends on how a file was encoded; without_cuts and "
    "adaptive_b_frames are less kind files.",
    "tagging": "Ours computes in bfloat16 where the processor has it, the plain script in float32, as its "
    "libraries do by themselves. Weights that were not here are random, of the real sizes.",
    "speed": "times_faster: how much longer the plain way takes; times_floor: how often the floor fits "
    "into ours. What both are is in the table below.",
    "startup": "Wall time of a command line that answers in words; a busy machine makes it longer.",
    "playhouse-experts": "Small weights that know only their own drawn world; public ones were not measured.",
    "evaluation": "A matrix that the project did not make; its published figures are reproduced by a test.",
    "query-bank": "The matrix was made by others; nothing is chosen on the live queries.",
    "generator-decoding": "The paper's 13.6 is a V100's at another batch; only the order of size compares.",
    "tagger-table": "User tags of the playhouse leave most of what could be said unsaid, and some are "
    "wrong. On rare tags all the papers' taggers are next to zero, OP-TSG no better than its rivals (its "
    "three seeds: 0.0014, spread 0.0013). What they lack is copying: the row copied learns nothing, says "
    "each known tag that stands in the title, and finds many times as many. With copy, a step beyond the "
    "papers, OP-TSG finds thirteen times the rare tags that it finds without; frequent-first gains still "
    "more and leads over tags, for a reason that is not known. The row world knows all that is shown and "
    "how likely each word for it is. Settings were found on the validation videos, with one seed.",
    "tagger-ablation": "Tables 4 to 8 of OP-TSG, each row one change of the row ours; 1,000 training videos "
    "and one seed, so small differences are chance. As in the paper, rows without contrast and with prompt "
    "labels lose, and title and video together beat either; that prompts and their shuffling help is not "
    "seen here, and prompt classes find more rare tags than words do. A [PAD] as heavy as the paper's 0.3 "
    "silences a small tagger, since uploaders leave most true tags unsaid. The row copy_title is beyond the "
    "paper: words may be copied from the title.",
    "neighbours-table": "What uploaders choose is chance here beyond what a video shows, so tags of similar "
    "videos say little that the video does not: retrieval moves F1 on rare tags by less than the seeds do. "
    "Yesterday and grown: half of the training videos are known, then all, and nothing is trained between; "
    "novel is what nobody had said yesterday. This record is older than the tables of taggers above: words "
    "of tags could still be cut into pieces, and frames came from rendered files.",
    "table-ablation": "1,000 training videos. The rows screen and generated stand each beside the full "
    "model. The tags of the row generated were written by a tagger from titles alone, which had learned "
    "from the same training videos, so it is surer of them than of the test's. Test figures were seen while "
    "the common settings of all rows were found.",
    "msrvtt-words": "Real words, no videos: a caption is the title, what annotators agree on are the tags; "
    "one seed. Of the papers' taggers OP-TSG finds the most rare tags and leads over videos. Rows with copy "
    "are a step beyond the papers, their words may come from the title; of rare tags they find most of what "
    "the row copied does, which learns nothing and says each known tag that stands in the title. The text "
    "channel, tags of videos with titles like this one, finds more rare tags than any tagger that does not "
    "copy, since its sentence model has read the web and theirs have not. The first weights of OP-TSG were "
    "found on this data, test figures in sight; its rivals had no such care. That words of tags are whole, "
    "which is so in all rows alike, was found on validation videos.",
}
