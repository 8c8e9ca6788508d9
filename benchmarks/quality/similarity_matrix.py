"""`evaluation` and `query-bank`: metrics, and the gain of QB-Norm, on a real similarity matrix."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SIZE = 1000
HALVES = 40
REAL_MATRIX = Path("matrices", "msrvtt_titles_matrix.npy")  # in the data folder; rows are texts


def measure_evaluation(options: dict[str, str]) -> dict[str, Any]:
    """Wall seconds of all figures with dual softmax and intervals, from the matrix to the last interval.

    matrix=FILE.npy (rows are texts); without it the real matrix of the data folder that TAGLINE_TEST_DATA
    names; without both a made-up one of the same size, which can be timed but proves nothing else.
    """
    from tagline.table.ranking import evaluate

    if "matrix" in options or os.environ.get("TAGLINE_TEST_DATA"):
        scores, name = load_matrix(options)
    else:
        scores, name = _made_up_matrix(), "made up"
    runs = int(options.get("runs", "5"))
    taken = []
    for _ in range(runs):
        begun = time.perf_counter()
        found = evaluate(scores, temperature=100.0, resamples=1000)
        taken.append(time.perf_counter() - begun)

    values: dict[str, Any] = {
        "seconds": round(max(taken), 3)
    }  # the slowest run: the bound holds for every one
    for way, figures in (("t2v", found.t2v), ("v2t", found.v2t)):
        for figure in ("r1", "r5", "r10", "mdr", "mnr"):
            values[f"{way}_{figure}"] = round(getattr(figures, figure), 3)
    assert found.dual is not None
    values["t2v_r1_dual"] = round(found.dual.t2v.r1, 3)
    values["v2t_r1_dual"] = round(found.dual.v2t.r1, 3)
    return {
        "values": values,
        "configuration": {"matrix": name, "shape": list(scores.shape), "resamples": 1000, "runs": runs},
        "seeds": [0],
        "details": found.as_dict(),
    }


def measure_qb_norm(options: Mapping[str, str]) -> dict[str, Any]:
    """Options: matrix=FILE.npy (rows are texts, the diagonal is right), halves, seed."""
    from tagline.retrieval.query.qb_norm import QB_NORM_METHODS, QBNorm

    stored, name = load_matrix(options)
    scores = stored.astype(np.float64)
    halves, seed = int(options.get("halves", HALVES)), int(options.get("seed", 0))
    fixed = {method: QBNorm(method) for method in QB_NORM_METHODS if method != "plain"}
    fixed["inverted_whole"] = QBNorm("inverted", damping=1.0)
    gains: dict[str, list[float]] = {}
    chosen: dict[str, int] = {}
    for half in range(halves):
        order = np.random.default_rng([seed, half]).permutation(len(scores))
        probe_rows, live = np.sort(order[: len(scores) // 2]), np.sort(order[len(scores) // 2 :])
        found, setting = one_half(scores, probe_rows, live, fixed)
        for key, gain in found.items():
            gains.setdefault(key, []).append(gain)
        settings = f"{setting.method} {setting.temperature:.0f} × {setting.damping}"
        chosen[settings] = chosen.get(settings, 0) + 1
    means = {key: float(np.mean(values)) for key, values in gains.items()}
    return {
        "values": {
            "gain": round(means["fitted"], 2),
            "plain_r1": round(means.pop("plain"), 2),
            **{f"gain_{key}": round(value, 2) for key, value in means.items() if key != "fitted"},
        },
        "configuration": {
            "matrix": name,
            "shape": list(scores.shape),
            "halves": halves,
            "fixed": {"temperature": QBNorm().temperature, "damping": QBNorm().damping},
        },
        "seeds": [seed],
        "details": {
            "deviation": {key: round(float(np.std(values)), 2) for key, values in gains.items()},
            "chosen": dict(sorted(chosen.items(), key=lambda pair: -pair[1])),
        },
    }


def one_half(
    scores: npt.NDArray[Any], probes: npt.NDArray[Any], live: npt.NDArray[Any], fixed: Mapping[str, Any]
) -> tuple[dict[str, float], Any]:
    """Gains over plain by method, and the setting that the bank chose. bank, live: rows of the scores."""
    from tagline.retrieval.query.qb_norm import normalise
    from tagline.retrieval.tune.fit import fit_qb_norm

    known, queries = scores[probes], scores[live]
    plain = _r1(queries, live)
    found = {"plain": plain}
    for key, setting in fixed.items():
        found[key] = _r1(normalise(queries, known, setting), live) - plain
    setting = fit_qb_norm(known, probes)
    found["fitted"] = _r1(normalise(queries, known, setting), live) - plain
    # Without the bank's videos among the candidates. The bank then has no right answers, so the setting is
    # the one that was fixed beforehand.
    places = np.arange(len(live))
    right = normalise(queries[:, live], known[:, live], fixed["inverted"])
    found["strangers"] = _r1(right, places) - _r1(queries[:, live], places)
    return found, setting


def _r1(scores: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    from tagline.table.ranking import metrics, ranks

    return metrics(ranks(scores, right)).r1


def load_matrix(options: Mapping[str, str]) -> tuple[npt.NDArray[np.floating[Any]], str]:
    """The square matrix of matrix=FILE.npy, else of the data folder, with its name."""
    folder = os.environ.get("TAGLINE_TEST_DATA")
    if "matrix" not in options and not folder:
        raise ValueError("say which matrix: --set matrix=FILE.npy, or TAGLINE_TEST_DATA=FOLDER")
    path = Path(options["matrix"]) if "matrix" in options else Path(folder or "") / REAL_MATRIX
    scores = np.load(path, allow_pickle=False)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"{path.name} must be square, with right answers on the diagonal")
    return scores, path.name


def _made_up_matrix() -> npt.NDArray[np.float32]:
    return (np.random.default_rng(0).normal(size=(SIZE, SIZE)) + 3 * np.eye(SIZE)).astype(np.float32)
