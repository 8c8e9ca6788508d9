"""The person expert: man, woman, boy or girl, by a detector trained on Open Images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tagline.experts.objects import DetectorExpert, DetectorSettings
from tagline.experts.tags import Modality
from tagline.experts.weighed import labels

# The Open Images classes that say who a person is; the detector knows some 600, the rest is left out.
PERSON_CLASSES = tuple(labels("persons"))


@dataclass(frozen=True)
class PersonSettings(DetectorSettings):
    """As of any detector. Its samplings are those of the object expert, so frames are decoded once."""

    only: tuple[str, ...] = PERSON_CLASSES


class PersonExpert(DetectorExpert):
    """Persons. One who is taken for a man in one frame and a boy in the next gives both tags: the
    number of frames and the scores say which is likelier.
    """

    name: ClassVar[str] = "person"
    modality: ClassVar[Modality] = Modality.PERSON
    Settings: ClassVar[type] = PersonSettings
