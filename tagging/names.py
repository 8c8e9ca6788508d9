"""Words of file and folder names, which people chose to find their videos by."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import PurePath

MAX_NAMES = 8  # files of one video whose names are read
MAX_CHARACTERS = 500  # of the words of one name


def name_words(path: str | bytes) -> str:
    """The words of a file's name and of the folders above it, "2023/BirthdayParty_at_home.mp4" as
    "2023 BirthdayParty Birthday Party at home".

    They end at signs, between letters and digits, and where a capital follows a small letter. A word that
    is taken apart in this way is there as a whole, too: an iPhone is one. Of an absolute path, which lies
    outside the library, only the file counts: who names their home folder says nothing of a video.
    """
    pure = PurePath(os.fsdecode(path))
    folders = () if pure.is_absolute() else pure.parts[:-1]
    found: list[str] = []
    for part in (*folders, pure.stem):
        for word in re.findall(r"[^\W_]+", part):
            split = _split(word)
            found += split if len(split) == 1 else [word, *split]
    return " ".join(dict.fromkeys(found))[:MAX_CHARACTERS]


def _split(word: str) -> list[str]:
    """ "IMGParty12" as IMG, Party, 12."""
    cuts = [0]
    for place, (one, next_one) in enumerate(pairwise(word), 1):
        follows = word[place + 1 : place + 2]
        if (
            one.isdigit() != next_one.isdigit()
            or (one.islower() and next_one.isupper())
            or (one.isupper() and next_one.isupper() and follows.islower())
        ):
            cuts.append(place)
    return [word[begin:end] for begin, end in pairwise([*cuts, len(word)])]
