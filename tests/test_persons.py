"""The person expert: man, woman, boy or girl, and nothing else of what the detector knows."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import seeing

from tagline.experts.objects import PERSON_CLASSES, ObjectExpert, PersonExpert
from tagline.experts.tags import Modality

# Looked for, not imported: it must be imported the careful way.
pytestmark = pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is an extra")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeing.detector(tmp_path_factory.mktemp("yolo"))


def test_only_persons_are_told_and_all_of_them(folder: Path) -> None:
    person = PersonExpert(weights=str(folder), confidence=0.2)
    everything = ObjectExpert(weights=str(folder), confidence=0.2)
    person.load("cpu")
    everything.load("cpu")
    videos = seeing.videos([person])
    for narrow, wide in zip(person(videos), everything(videos), strict=True):
        assert narrow.sightings == [s for s in wide.sightings if s.text in PERSON_CLASSES]
        assert {tag.modality for tag in narrow.tags} <= {Modality.PERSON}
    assert any(report.tags for report in person(videos))


def test_weights_without_persons_are_refused_in_a_sentence(tmp_path: Path) -> None:
    person = PersonExpert(weights=str(seeing.detector(tmp_path, ["dog", "kite"])))
    with pytest.raises(ValueError, match="know none of its classes"):
        person.load("cpu")


def test_the_four_kinds_and_the_public_weights() -> None:
    assert PERSON_CLASSES == ("man", "woman", "boy", "girl")
    assert "yolov8n-oiv7" in (PersonExpert().missing() or "yolov8n-oiv7")
