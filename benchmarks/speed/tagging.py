"""Tagging: a run with all experts against a plain script that gives the same models the same frames.

Each side runs in a process of its own, with its models loaded and one video done before the clock
starts. Where no weights are here, both get the same untrained ones, of real sizes.

What makes the difference is told by the details: CPU seconds and seconds by stage on both sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS: dict[str, dict[str, Any]] = {
    "object": {"confidence": 0.5},
    "person": {"confidence": 0.5},
    # Untrained, the two judges agree on little: with a trained pair these would be no findings.
    "scene": {"confidence": 0.02, "within": 50, "min_frames": 1},
    "motion": {"confidence": 0.2},
    "speech": {"backend": "whisper", "language": "en"},
    "screen": {},
}
# Which of a stage's weights each setting names.
GIVEN = {
    "object": {"weights": "object"},
    "person": {"weights": "person"},
    "scene": {"classifier": "classifier", "clip": "clip"},
    "motion": {"weights": "motion"},
    "speech": {"weights": "whisper"},
    "screen": {},
}
SCORE_TOLERANCE = 0.02  # a score this close to its threshold may fall on either side of it
VIDEOS_COMPARED = 3  # videos on which the tags are compared


def measure(options: dict[str, str]) -> dict[str, Any]:
    """`videos` (24), `seconds` of each (10), `batch` (8), `precision` ("auto"), `only`: experts by name.

    The plain script computes in float32, as its libraries do by themselves.
    """
    from tagline.benchmarks.speed import tagging_inputs

    count, seconds = int(options.get("videos", 24)), float(options.get("seconds", 10))
    inputs = tagging_inputs.build(count + 1, seconds, seed=1)
    order = {
        "videos": [str(path) for path in inputs.videos[1:]],
        "warm_up": str(inputs.videos[0]),
        "weights": inputs.weights,
        "batch": int(options.get("batch", 8)),
        "experts": _present(options.get("only")),
        "precision": options.get("precision", "auto"),
    }
    ours = _in_a_process("ours", order)
    plain = _in_a_process("plain", order)
    check = _in_a_process("check", order)
    return {
        "values": {
            "speedup": round(plain["seconds"] / ours["seconds"], 3),
            "cpu_ratio": round(plain["cpu"] / ours["cpu"], 3),
            "same_tags": check["compared"] > 0 and not check["differing"],
            "overhead_share": round(ours["overhead_share"], 4),
            "bound_by": ours["bound_by"],
            "videos_per_minute": round(60 * count / ours["seconds"], 2),
        },
        "configuration": {
            "videos": count,
            "seconds_each": seconds,
            "batch": order["batch"],
            "experts": order["experts"],
            "precision": order["precision"],
            "settings": SETTINGS,
            "untrained_weights": inputs.untrained,
        },
        "seeds": [1],
        "details": {"ours": ours, "plain": plain, "check": check},
    }


def make_experts(order: dict[str, Any]) -> dict[str, Any]:
    """The experts of an order, loaded, by name."""
    from tagline.experts.base import build_expert

    made = {}
    for name in order["experts"]:
        given = {setting: order["weights"][role] for setting, role in GIVEN[name].items()}
        if name in ("scene", "motion"):
            given["precision"] = order["precision"]
        made[name] = build_expert(name, {**SETTINGS[name], **given})
        made[name].load("cpu")
    return made


def cpu_seconds() -> float:
    """Of this process and its children, running ones included."""
    import psutil

    me = psutil.Process()
    return float(sum(sum(each.cpu_times()[:4]) for each in (me, *me.children(recursive=True))))


def run_panel(order: dict[str, Any]) -> dict[str, Any]:
    """Our side: the panel over all videos."""
    from tagline.experts.footage import Work
    from tagline.experts.panel import Failed, Panel

    experts = make_experts(order)
    panel = Panel(list(experts.values()), batch=order["batch"])
    panel._loaded.update(experts)
    names = tuple(experts)
    for _ in panel.run([Work(Path(order["warm_up"]), names)]):
        pass
    with _model_clock() as spent:
        cpu, begun = cpu_seconds(), time.perf_counter()
        tags = dict.fromkeys(names, 0)
        for seen in panel.run(Work(Path(path), names) for path in order["videos"]):
            for name, report in seen.reports.items():
                if isinstance(report, Failed):
                    raise RuntimeError(f"{name} failed on {seen.path.name}: {report.reason}")
                tags[name] += len(report.tags)
        wall = time.perf_counter() - begun
        cpu = cpu_seconds() - cpu
    # Speech and screen keep their own time: for them the whole of their call is their model's.
    whole = sum(panel.timing.experts.get(name, 0.0) for name in ("speech", "screen"))
    stages = {**panel.timing.experts, "decoding": panel.timing.waiting}
    return {
        "seconds": wall,
        "cpu": cpu,
        "stages": stages,
        "in_models": {"seeing": spent[0], "speech and screen": whole},
        "overhead_share": 1 - (spent[0] + whole) / wall,
        "bound_by": max(stages, key=lambda name: stages[name]),
        "tags": tags,
    }


def run_script(order: dict[str, Any]) -> dict[str, Any]:
    """The other side: the plain script over all videos."""
    from tagline.benchmarks.baselines.tagging_script import TaggingScript

    plain = TaggingScript(order["weights"], make_experts(order))
    plain.video(Path(order["warm_up"]))
    plain.seconds.clear()
    cpu, begun = cpu_seconds(), time.perf_counter()
    tags = [plain.video(Path(path)) for path in order["videos"]]
    wall = time.perf_counter() - begun
    return {
        "seconds": wall,
        "cpu": cpu_seconds() - cpu,
        "stages": dict(plain.seconds),
        "tags": {name: sum(len(each[name]) for each in tags) for name in order["experts"]},
    }


@contextmanager
def _model_clock() -> Iterator[list[float]]:
    """Seconds in which a model of the seeing experts computes; what they prepare and sort is not in it."""
    from tagline.experts import devices

    spent = [0.0]
    plain = devices.inference

    @contextmanager
    def timed(*arguments: Any, **keywords: Any) -> Iterator[None]:
        begun = time.perf_counter()
        with plain(*arguments, **keywords):
            yield
        spent[0] += time.perf_counter() - begun

    devices.inference = timed  # type: ignore[assignment]
    try:
        yield spent
    finally:
        devices.inference = plain


def check(order: dict[str, Any]) -> dict[str, Any]:
    """Both sides on the very same frames: which tags differ."""
    from tagline.benchmarks.baselines.tagging_script import TaggingScript
    from tagline.experts.decode.decoder import Decoder
    from tagline.experts.footage import Sampling, distinct_samplings

    experts = make_experts(order)
    plain = TaggingScript(order["weights"], experts)
    needs: tuple[Sampling, ...] = distinct_samplings(
        need for expert in experts.values() for need in expert.needs
    )
    compared, near, read_otherwise, differing = 0, 0, 0, []
    with Decoder(jobs=1) as decoder:
        for path in order["videos"][:VIDEOS_COMPARED]:
            footage = decoder.read(Path(path), needs)
            for name in experts:
                ours = experts[name]([footage])[0].tags
                theirs = getattr(plain, f"tag_{name}")(_same_frames(name, experts[name], footage))
                compared += len(ours)
                for text, score in _unlike(ours, theirs):
                    if name == "screen" and _same_line(text, ours, theirs):
                        read_otherwise += 1
                    elif any(
                        abs(score - threshold) < SCORE_TOLERANCE for threshold in _thresholds(experts[name])
                    ):
                        near += 1
                    else:
                        differing.append(f"{Path(path).name}: {name} {text} {score:.3f}")
            footage.close()
    return {
        "compared": compared,
        "near_the_threshold": near,
        "lines_read_with_another_letter": read_otherwise,
        "differing": differing,
    }


def _same_frames(name: str, expert: Any, footage: Any) -> Any:
    """What our expert saw, in the form in which the plain script takes it."""
    import numpy as np
    import torch

    from tagline.benchmarks.baselines.tagging_script import ReadVideo

    if name == "speech":
        return np.array(footage.sound)
    view = footage.view(expert.needs[0])
    if name == "screen":
        return ReadVideo(
            [frame[..., ::-1].copy() for frame in view.frames], view.times, footage.facts.duration
        )
    if name != "motion":
        return ReadVideo(list(view.frames), view.times, footage.facts.duration)
    windows = footage.windows(expert.sampling)
    frames = [torch.from_numpy(window.frames.copy()).permute(3, 0, 1, 2).float() for window in windows]
    starts = np.array([window.times[0] for window in windows])
    return ReadVideo(frames, starts, footage.facts.duration)


def _thresholds(expert: Any) -> list[float]:
    settings = expert.settings
    return [
        getattr(settings, name)
        for name in ("confidence", "confidence_alone", "min_score")
        if hasattr(settings, name)
    ]


def _same_line(text: str, ours: list[Any], theirs: list[Any]) -> bool:
    """Whether both sides have this line of text, but for a letter or a space.

    A recogniser pads the lines that it reads together to one width, which moves a letter now and then.
    """
    from tagline.experts.screen import line_key, same_line

    return all(any(same_line(line_key(text), line_key(tag.text)) for tag in side) for side in (ours, theirs))


def _unlike(ours: list[Any], theirs: list[Any]) -> list[tuple[str, float]]:
    """Texts that only one side has, with their best score."""
    scores: list[dict[str, float]] = [{}, {}]
    for side, tags in zip(scores, (ours, theirs), strict=True):
        for tag in tags:
            side[tag.text] = max(tag.score, side.get(tag.text, 0.0))
    one, other = scores
    return [(text, {**one, **other}[text]) for text in sorted(one.keys() ^ other.keys())]


def _present(only: str | None) -> list[str]:
    """The experts that can be asked here."""
    from importlib.util import find_spec

    from tagline.experts.base import BUILT_IN

    chosen = only.split(",") if only else list(BUILT_IN)
    return [name for name in chosen if find_spec(BUILT_IN[name].partition(":")[0]) is not None]


def _in_a_process(part: str, order: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "order.json"
        file.write_text(json.dumps(order), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "tagline.benchmarks.speed.tagging", part, str(file)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    asked, order_file = sys.argv[1:]
    given_order = json.loads(Path(order_file).read_text(encoding="utf-8"))
    print(json.dumps({"ours": run_panel, "plain": run_script, "check": check}[asked](given_order)))
