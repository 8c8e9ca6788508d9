"""Real clips with nothing but the starter: tagged, indexed and asked through the public API.

The clips are nobody's to publish, so they are named by options and stay where they are. Nothing is tuned
here: thresholds and weights of search are what ships.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagline.benchmarks.quality import house, tag_sheet, word_errors
from tagline.benchmarks.registry import repository
from tagline.experts import extras
from tagline.experts.weights.registry import WeightsMissing
from tagline.table.ranking import intervals

if TYPE_CHECKING:
    from tagline.retrieval.library import Library

SIGNALS: dict[str, tuple[str, ...]] = {
    "words": ("words",),
    "tags": ("tags",),
    "vectors": ("video", "span"),
}
COMPARED = {"pocketsphinx": "pocketsphinx", "whisper": "openai_whisper"}  # ASR backend: its key in the record
NONE = "none"  # where no clip answers a question
SHEET = 180  # tags to judge


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the name of the file that answers; None: no file does."""

    text: str
    file: str | None


def measure(options: dict[str, str]) -> dict[str, Any]:
    """clips=FOLDER (with QUESTIONS.tsv and CLIPS.tsv) videos=FOLDER audio=FOLDER captions=captions_msvd.json;
    sheet=FOLDER: write the tags there, to be judged; verdicts=FILE: of such a sheet; cost=yes: by expert;
    install=yes: what `pip install "tagline[starter]"` brings (needs a package index)."""
    from tagline import open as open_library
    from tagline.tagging.ml.config import BadConfig

    if "clips" not in options:
        raise BadConfig("this measurement wants a folder of clips: --set clips=FOLDER")
    clips = Path(options["clips"]).expanduser().resolve()
    folders = [clips, *(Path(options[key]).expanduser() for key in ("videos", "audio") if key in options)]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) / "library"
        made = in_a_process(work, folders, ())
        with closing(open_library(work)) as library:
            values: dict[str, Any] = {
                "torch_imported": made["torch"],
                "seconds_per_minute": round(made["cpu"] / made["minutes"], 1),
                "minutes": round(made["minutes"], 1),
            }
            details: dict[str, Any] = {}
            asked = questions(clips, Path(options["captions"]) if "captions" in options else None)
            found, details["questions"] = answers(library, asked)
            values |= found
            values |= tagged(library, clips, options)
            said, details["speech"] = heard(library, spoken_in(clips, folders), Path(temporary))
            values |= said
            if options.get("cost") == "yes":
                details["cpu_seconds_per_minute"] = cost(Path(temporary), library, folders, made["experts"])
    if "verdicts" in options:
        judged = tag_sheet.read_verdicts(Path(options["verdicts"]).expanduser())
        values |= {"tags_right": judged["right"], "tags_judged": judged["judged"]}
        details["verdicts"] = judged
    if options.get("install") == "yes":
        values |= starter_install()
    return {"values": values, "configuration": {"experts": made["experts"]}, "details": details}


# -- tagging and indexing, in a process of its own ---------------------------------------------------------


def in_a_process(work: Path, folders: Sequence[Path], only: Sequence[str]) -> dict[str, Any]:
    words = [str(work), ",".join(only), *map(str, folders)]
    program = [sys.executable, "-m", "tagline.benchmarks.quality.real_clips", *words]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def tag_and_index(work: Path, folders: Sequence[Path], only: Sequence[str]) -> dict[str, Any]:
    """CPU seconds of this process and its children, minutes of film and sound, and what ran."""
    from tagline import open as open_library

    work.mkdir(parents=True, exist_ok=True)
    with closing(open_library(work)) as library:
        library.tag(folders, only=only, device="cpu")
        cpu = cpu_seconds()
        if not only:
            library.index()
        minutes = sum(video.duration or 0.0 for video in library.videos()) / 60
        ran = sorted({run.expert for video in library.videos() for run in library.show(video).runs})
    found = {"cpu": cpu, "minutes": minutes, "experts": ran, "torch": "torch" in sys.modules}
    return {**found, "peak_mb": peak_megabytes()}


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    import resource

    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def peak_megabytes() -> float:
    """The most that this process held, and beside it the largest of its children."""
    import resource

    both = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(both) / (1e6 if sys.platform == "darwin" else 1e3)


def cost(work: Path, library: Library, folders: Sequence[Path], experts: Sequence[str]) -> dict[str, float]:
    """CPU seconds a minute: of FFmpeg decoding all that there is, and of each expert with what it decodes."""
    begun, seconds = cpu_seconds(), 0.0
    for video in library.videos():
        plain_decode(Path(video.paths[0]))
        seconds += video.duration or 0.0
    found = {"plain decode": round((cpu_seconds() - begun) / (seconds / 60), 2)}
    for name in experts:
        made = in_a_process(work / f"only-{name}", folders, (name,))
        found[name] = round(made["cpu"] / made["minutes"], 2)
    return found


def starter_install() -> dict[str, Any]:
    """Size and time of the starter's libraries, with all that the base asks for, in an empty environment."""
    root = repository.checkout("the wheel is made of")
    with tempfile.TemporaryDirectory() as temporary:
        wheel = house.build_wheel(root, Path(temporary))
        made = house.install(f"{wheel}[starter]", root, Path(temporary) / "empty")
    return {"install_mb": made.megabytes, "install_seconds": made.seconds}


def plain_decode(path: Path) -> int:
    """Decode all of a file that can be read, on one thread; how many pictures and pieces of sound that is."""
    import av

    count = 0
    with suppress(av.FFmpegError), av.open(str(path)) as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        for stream in streams:
            stream.codec_context.thread_count = 1
        for _ in container.decode(streams):
            count += 1
    return count


# -- questions -------------------------------------------------------------------------------------------


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened, delimiter="\t"))


def questions(clips: Path, captions: Path | None) -> list[Question]:
    """Those of QUESTIONS.tsv, and captions: of every clip whose name ends in a key of their file."""
    rows = rows_of(clips / "QUESTIONS.tsv")
    found = [
        Question(row["question"], None if row["file"] == NONE else Path(row["file"]).name) for row in rows
    ]
    if captions is not None:
        known = json.loads(captions.expanduser().read_text(encoding="utf-8"))
        for clip in sorted(clips.iterdir()):
            found += [
                Question(text, clip.name) for key in known if clip.stem.endswith(key) for text in known[key]
            ]
    return found


def answers(library: Library, asked: Sequence[Question]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How soon the right file comes, by all signals and by each alone, and what is answered at all."""
    from tagline.retrieval.query.candidates import searcher_of
    from tagline.retrieval.query.search import answer

    searcher = searcher_of(library.catalog)
    names = {video.id: [Path(path).name for path in video.paths] for video in library.videos()}
    with_answer = [one.file for one in asked if one.file is not None]
    groups = np.unique(with_answer, return_inverse=True)[1].tolist()
    values: dict[str, Any] = {"questions": len(with_answer), "candidates": len(names)}
    details = []
    for way, signals in {"": None, **SIGNALS}.items():
        places, refused, answered_none = [], 0, 0
        for one in asked:
            found = answer(library.catalog, one.text, len(names), searcher=searcher, signals=signals)
            if one.file is None:
                answered_none += found.answered
                row: dict[str, Any] = {"answered": found.answered}
            else:
                files = [names[hit.video.id] for hit in found.hits]
                place = next((n for n, some in enumerate(files, 1) if one.file in some), None)
                # What is not found at all stands in the middle of what is left.
                places.append(place or (len(files) + 1 + len(names)) / 2)
                refused += not found.answered
                row = {"file": one.file, "place": place, "answered": found.answered}
            if not way:  # places alone: the questions are not ours to write down
                details.append(row)
        prefix = f"{way}_" if way else ""
        values |= {f"{prefix}{key}": figure for key, figure in rank_figures(np.array(places), groups).items()}
        if not way:
            values |= {"refused": round(refused / len(places), 3), "answered_none": answered_none}
    return values, details


def rank_figures(places: npt.NDArray[np.float64], groups: Sequence[int]) -> dict[str, Any]:
    """R@1, R@5 and mean reciprocal rank, 0..1, with intervals over files."""
    sure = intervals(places, groups)
    found: dict[str, Any] = {
        "r1": round(float(np.mean(places < 2)), 3),
        "r5": round(float(np.mean(places < 6)), 3),
        "mrr": round(float(np.mean(1 / places)), 3),
    }
    for key in ("r1", "r5"):
        found[f"{key}_interval"] = [round(float(edge) / 100, 3) for edge in (sure[key].low, sure[key].high)]
    return found


# -- tags and words ----------------------------------------------------------------------------------------


def tagged(library: Library, clips: Path, options: Mapping[str, str]) -> dict[str, Any]:
    """The share of clips that show or say anything and have a tag; the sheet, if it is wanted."""
    wanted = {row["file"] for row in rows_of(clips / "CLIPS.tsv") if row["shows"] or row["said"]}
    reports = {path: library.show(video) for video in library.videos() for path in video.paths}
    with_tags = {Path(path).name for path, report in reports.items() if report.tags}
    tags = [
        tag_sheet.SheetTag(str(path), tag) for path, report in sorted(reports.items()) for tag in report.tags
    ]
    if "sheet" in options:
        tag_sheet.write_sheet(tag_sheet.choose(tags, SHEET), Path(options["sheet"]).expanduser())
    return {
        "clips_with_a_tag": round(len(wanted & with_tags) / len(wanted), 3),
        "clips": len(wanted),
        "tags": len(tags),
    }


def heard(library: Library, spoken: Mapping[str, str], work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Word error rates of the starter's listener, whose words the library has, and of those compared with.

    spoken: by the name of a file, what is said in it.
    """
    words = words_heard(library, spoken)
    pairs = {name: (spoken[name], words[name]) for name in sorted(words)}
    values = {"wer_starter": _rounded(pairs.values()), "wer_files": len(pairs)}
    # Figures alone: what is said in the clips is not ours to write down.
    details: dict[str, Any] = {"starter": {name: _rounded([pair]) for name, pair in pairs.items()}}
    files = [path for video in library.videos() for path in video.paths if Path(path).name in spoken]
    for backend, key in COMPARED.items():
        try:
            theirs = heard_by(backend, files, spoken, work / backend)
        except (extras.ExtraMissing, WeightsMissing) as missing:
            details[key] = str(missing)
            continue
        values[f"wer_{key}"] = _rounded([(spoken[name], theirs[name]) for name in sorted(theirs)])
    return values, details


def heard_by(backend: str, files: Sequence[str], spoken: Mapping[str, str], work: Path) -> dict[str, str]:
    """What another ASR backend hears, by the name of the file. Raises ExtraMissing or WeightsMissing."""
    from tagline import open as open_library
    from tagline.experts.asr.backends import choose_backend

    choose_backend(backend)  # says what is missing
    work.mkdir(parents=True)
    config = work / "tagline.toml"
    config.write_text(f'[experts.speech]\nbackend = "{backend}"\n', encoding="utf-8")
    with closing(open_library(work)) as library:
        library.tag(files, only=("speech",), config=config, device="cpu")
        return words_heard(library, spoken)


def words_heard(library: Library, names: Collection[str]) -> dict[str, str]:
    """The transcript of each of these files, by its name."""
    return {
        Path(path).name: " ".join(word.text for word in library.show(video).words)
        for video in library.videos()
        for path in video.paths
        if Path(path).name in names
    }


def spoken_in(clips: Path, folders: Sequence[Path]) -> dict[str, str]:
    """What is said in the clips that say anything, and in files with a text of their name beside them."""
    found = {row["file"]: row["said"] for row in rows_of(clips / "CLIPS.tsv") if row["said"]}
    for folder in folders:
        texts = {path.stem: path for path in folder.glob("*.txt")}
        found |= {
            path.name: texts[path.stem].read_text(encoding="utf-8")
            for path in folder.iterdir()
            if path.stem in texts and path.suffix != ".txt"
        }
    return found


def _rounded(pairs: Iterable[tuple[str, str]]) -> float | None:
    rate = word_errors.word_error_rate(pairs)
    return None if rate is None else round(rate, 3)


if __name__ == "__main__":
    place, chosen, *given = sys.argv[1:]
    only_these = tuple(filter(None, chosen.split(",")))
    print(json.dumps(tag_and_index(Path(place), [Path(one) for one in given], only_these)))
