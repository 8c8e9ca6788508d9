"""The measurement `soak` in small: files are tagged, indexed, searched and served, and memory is watched."""

from __future__ import annotations

import pytest

from tagline.benchmarks.registry import measurements
from tagline.benchmarks.robustness import soak


@pytest.mark.timeout(180)
def test_a_library_that_grows_is_tagged_searched_and_served() -> None:
    record = soak.measure({"files": "9", "minutes": "0.05", "slices": "3"})
    values = record["values"]
    assert (values["files"], values["indexed"]) == (9, 9), "all differ"
    assert values["searches"] >= 2
    assert values["answers"] > 0
    assert values["errors"] == 0
    assert set(measurements.AIMS["soak"]) <= set(values)


def test_growth_compares_the_last_quarter_with_the_second() -> None:
    assert soak.growth([10, 10, 100, 100, 100, 100, 110, 110]) == pytest.approx(0.1)
    assert soak.growth([50, 100, 100, 100]) == 0.0
    assert soak.growth([100]) == 0.0
