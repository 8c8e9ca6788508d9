"""The cost beside another checkout: whose code runs, in which order, and that both did the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagline.benchmarks.speed import cost
from tagline.tagging.ml.config import BadConfig

PROGRAM = """
import json
from {rooms}experts import decoder
print("some output")
print(json.dumps({{"seconds": 1.5, "work": decoder.WORK, "code": decoder.__file__}}))
"""


def checkout(folder: Path, inside: str = "", work: str = "stand-in") -> Path:
    place = folder / inside / "experts"
    place.mkdir(parents=True)
    for package in (place, *([place.parent] if inside else [])):
        (package / "__init__.py").touch()
    (place / "decoder.py").write_text(f"WORK = {work!r}\n")
    return folder


@pytest.mark.parametrize(
    ("inside", "rooms"), [("", ""), ("tagline", "tagline."), ("src/tagline", "tagline.")]
)
def test_the_other_checkouts_own_code_runs(tmp_path: Path, inside: str, rooms: str) -> None:
    """Though this one is installed in the environment that runs both."""
    found = cost.Checkout.at(checkout(tmp_path / "other", inside, work=inside))
    assert found.rooms == rooms
    assert found.run(PROGRAM, home=tmp_path) == (1.5, inside)


def test_rooms_at_the_top_that_are_installed_under_one_name_have_that_name(tmp_path: Path) -> None:
    """In a checkout of today `experts/` stands at the top, and `tagline/experts` is a link to it."""
    house = checkout(tmp_path / "house", "tagline")
    decode = house / "tagline" / "experts" / "decode"
    decode.mkdir()
    (decode.parent / "decoder.py").rename(decode / "decoder.py")
    (house / "experts").symlink_to("tagline/experts")
    assert cost.Checkout.at(house).rooms == "tagline."


def test_code_from_anywhere_else_is_no_measurement(tmp_path: Path) -> None:
    found = cost.Checkout(tmp_path, tmp_path, "tagline.")  # nothing lies here, so the installed one answers
    installed = PROGRAM.replace("experts import decoder", "experts.decode import decoder")
    with pytest.raises(RuntimeError, match="that ran"):
        found.run(installed.replace("decoder.WORK", "0"), home=tmp_path)
    with pytest.raises(RuntimeError, match="WORK"):
        found.run(installed, home=tmp_path)


def test_who_begins_changes_and_the_first_round_does_not_count(tmp_path: Path) -> None:
    ours, other = (cost.Checkout.at(checkout(tmp_path / name)) for name in ("ours", "other"))
    begun: list[str] = []

    def work(one: cost.Checkout) -> tuple[float, str]:
        begun.append(one.folder.name)
        return float(len(begun)), "done"

    assert cost.in_turn((ours, other), 2, work) == ([3.0, 6.0], [4.0, 5.0])
    assert begun == ["other", "ours", "ours", "other", "other", "ours"]
    with pytest.raises(RuntimeError, match="did different things"):
        cost.in_turn((ours, other), 1, lambda one: (1.0, one.folder.name))


def test_a_baseline_must_be_named_and_be_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="--set baseline=FOLDER"):
        cost.measure({})
    with pytest.raises(BadConfig, match="is no checkout of tagline"):
        cost.measure({"baseline": str(tmp_path)})
