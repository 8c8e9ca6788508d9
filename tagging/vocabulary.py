"""One spelling for each tag: clean text, normal form, and how often a word is used."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache

from tagline.experts.tags import Modality

LONGEST = 120  # characters of a tag

# Raise whenever `normal` may give another form: catalogs then write theirs anew when opened.
VERSION = 1

# What was read or written stays as it stands there: "EXIT SIGNS" on a door is not an exit sign.
AS_WRITTEN = frozenset({Modality.SCREEN, Modality.TITLE})

# Different words for one thing, after plural forms are folded. Only pairs that no video tells apart.
SAME = {
    "aeroplane": "airplane",
    "automobile": "car",
    "bike": "bicycle",
    "cell phone": "phone",
    "cellphone": "phone",
    "cellular telephone": "phone",
    "kid": "child",
    "mobile phone": "phone",
    "motor bike": "motorcycle",
    "motorbike": "motorcycle",
    "photograph": "photo",
    "pushbike": "bicycle",
    "smart phone": "phone",
    "smartphone": "phone",
    "sofa": "couch",
    "telephone": "phone",
    "television": "tv",
    "television set": "tv",
    "tv monitor": "tv",
    "tvmonitor": "tv",
}

IRREGULAR = {
    "brownies": "brownie",
    "buses": "bus",
    "busses": "bus",
    "calves": "calf",
    "canoes": "canoe",
    "children": "child",
    "cookies": "cookie",
    "feet": "foot",
    "geese": "goose",
    "halves": "half",
    "heroes": "hero",
    "hobbies": "hobby",
    "hoes": "hoe",
    "hooves": "hoof",
    "horseshoes": "horseshoe",
    "knives": "knife",
    "leaves": "leaf",
    "lives": "life",
    "loaves": "loaf",
    "men": "man",
    "mice": "mouse",
    "mosquitoes": "mosquito",
    "movies": "movie",
    "pies": "pie",
    "people": "person",
    "potatoes": "potato",
    "scarves": "scarf",
    "selfies": "selfie",
    "sheaves": "sheaf",
    "shelves": "shelf",
    "shoes": "shoe",
    "smoothies": "smoothie",
    "snowmen": "snowman",
    "teeth": "tooth",
    "thieves": "thief",
    "ties": "tie",
    "toes": "toe",
    "tomatoes": "tomato",
    "tornadoes": "tornado",
    "volcanoes": "volcano",
    "wives": "wife",
    "wolves": "wolf",
    "women": "woman",
    "zombies": "zombie",
}

# Words that end in s and are no plurals, or whose singular means something else.
_NO_PLURAL = """
    always andes angeles arms arkansas athens atlas badlands bahamas bangs barracks bellows billiards
    binoculars blues brussels canvas chaos charades christmas clogs clothes cosmos customs darts dominoes
    dungarees gas glasses goggles goods grits headquarters hercules hives james jeans kansas leggings lens
    los mars measles mercedes netherlands news oats overalls pajamas pants pliers pyjamas rhinoceros ruins
    santos scissors series shears shorts species sports stairs sunglasses suspenders texas thanks thermos
    tights times tongs trousers tweezers underclothes vegas wales yes
"""
NO_PLURAL = frozenset(_NO_PLURAL.split())


def clean(text: str, limit: int = LONGEST) -> str:
    """Text that can be shown, stored and written anywhere: NFKC, one line, no controls, capped.

    "" if nothing is left; a caller leaves such a tag out.
    """
    folded = unicodedata.normalize("NFKC", text)
    kept = (
        " " if _splits(c) else c for c in folded if unicodedata.category(c) not in ("Cf", "Cs", "Co", "Cn")
    )
    return " ".join("".join(kept).split())[:limit].rstrip()


def _splits(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp", "Zs")


@lru_cache(maxsize=65_536)
def normal(text: str, modality: Modality | None = None) -> str:
    """The form under which tags are counted and compared.

    Upper and lower case, underscores, plural forms and plain synonyms no longer differ:
    normal("Traffic_Lights") == "traffic light". Text on the screen and titles keep their words.
    Applying it twice gives the same as applying it once.
    """
    form = clean(clean(text).casefold())
    if modality in AS_WRITTEN:
        return form
    form = " ".join(form.replace("_", " ").split()).strip(" .,;:!?\"'") or form
    form = SAME.get(form, form)
    *before, last = form.split(" ")
    if before and before[0].endswith("ing"):
        return form  # nobody is "washing hand"
    form = " ".join([*before, singular(last)])
    return SAME.get(form, form)


def singular(word: str) -> str:
    """The singular of an English noun, or the word itself where a rule would hurt it."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) <= 3 or word in NO_PLURAL or not word.isascii() or not word.isalpha():
        return word
    if word.endswith(("ss", "us", "is", "ics", "ias")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


class Band(StrEnum):
    """How often a tag is used. The papers call the first band common."""

    FREQUENT = "frequent"
    RARE = "rare"
    NOVEL = "novel"  # never seen where the vocabulary was counted


class Vocabulary:
    """Tags and how often each is used, split as the OP-TSG paper splits them.

    The frequent tags are the fewest that together make up `share` of all uses; the rest are rare.
    Ties are broken by the text, so that the split does not depend on the order of counting.
    """

    def __init__(self, counts: Mapping[str, int], *, share: float = 0.9) -> None:
        self.counts: Counter[str] = Counter()
        for text, count in counts.items():
            if count > 0:
                self.counts[normal(text)] += count
        self.frequent = self._head(share)

    @classmethod
    def count(cls, texts: Iterable[str], *, share: float = 0.9) -> Vocabulary:
        """Count texts as they come, one use each."""
        return cls(Counter(texts), share=share)

    def band(self, text: str) -> Band:
        form = normal(text)
        if form not in self.counts:
            return Band.NOVEL
        return Band.FREQUENT if form in self.frequent else Band.RARE

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and normal(text) in self.counts

    def __len__(self) -> int:
        return len(self.counts)

    def _head(self, share: float) -> frozenset[str]:
        wanted = share * self.counts.total()
        head: set[str] = set()
        reached = 0
        for text, count in sorted(self.counts.items(), key=lambda item: (-item[1], item[0])):
            if reached >= wanted:
                break
            head.add(text)
            reached += count
        return frozenset(head)
