"""Who and what is popular in the playhouse, and what appears in test videos only."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from random import Random

from tagline.benchmarks.playhouse.draw.appearance import PERSONS, Appearance, random_appearance
from tagline.benchmarks.playhouse.draw.inventory import OBJECTS, PLACES_PER_SCENE, SCENES
from tagline.benchmarks.playhouse.draw.motions import MOTIONS
from tagline.benchmarks.playhouse.world.sentences import TOPICS

CHARACTERS_PER_KIND = 30

# What one finds in a scene more often than elsewhere.
USUAL = {
    "beach": "ball umbrella boat kite dog bird bottle",
    "forest": "bird flower bench dog bicycle umbrella",
    "city at night": "car bus bicycle traffic-cone cat suitcase",
    "kitchen": "cup bottle pizza cake apple banana table chair",
    "stage": "guitar drum chair lamp robot box",
    "snow field": "dog bird skateboard box lamp",
    "desert": "horse bottle car rocket kite",
    "playground": "ball bicycle bench kite balloon skateboard",
    "classroom": "book chair apple laptop clock",
    "living room": "television lamp cat book clock teddy-bear flower",
    "street": "car bus bicycle bench traffic-cone dog umbrella",
    "mountains": "horse sheep flower kite bicycle",
    "farm": "horse sheep duck pumpkin ladder dog",
    "swimming pool": "duck ball umbrella chair bottle",
    "library": "book lamp laptop chair cup clock",
    "gym": "ball skateboard bottle bench clock",
    "harbour": "boat suitcase box bird bench",
    "moon": "rocket robot balloon box clock",
}
WATER_SCENES = ("beach", "swimming pool", "harbour")


@dataclass(frozen=True, slots=True)
class Character:
    """A person known by name: always looks the same, wherever they turn up."""

    name: str
    appearance: Appearance
    test_only: bool


_FIRST = {
    "man": """
        Arno Bruno Caspar Dorian Egon Fabio Gustav Hugo Ivo Jasper Kurt Lorenz Milo Nestor Oskar
        Pavel Quentin Ruben Silvan Tibor Urs Viktor Waldo Xaver Yannis Zoltan Anton Bela Corvin
        Darius
    """,
    "woman": """
        Agnes Bianca Clara Dalia Elvira Flora Greta Helga Irma Judith Karla Ludmila Mirjam Nadja
        Olga Paula Renata Selma Thea Ursina Valeria Wanda Xenia Yvette Zelda Anouk Britta Corinna
        Delia Edda
    """,
    "boy": """
        Andri Benno Carlo Dino Emil Finn Gian Hannes Ilja Joris Kimi Leo Matti Nino Ole Pino Rico
        Sami Timo Ueli Vito Wim Xeno Yuri Zeno Aldo Bibo Cosmo Dario Elio
    """,
    "girl": """
        Amelie Bibi Cleo Dora Ella Fanny Gina Hanni Ida Jule Kaja Lilo Mila Nora Oona Pia Rosa Sina
        Tilda Una Vera Wilma Xandra Ylva Zita Alma Betti Cora Dani Elin
    """,
}
_SECOND = """
    Ash Birch Cove Dune Elm Fern Gale Heath Isle Juniper Knoll Lark Moss North Oaks Pine Quill Reed
    Stone Thorn Umber Vale Wren Yarrow Zephyr Brook Crane Drift Ember Frost
"""
_PLACE = """
    Amber Blue Coral Dusty Echo Fallow Golden Hollow Ivory Jade Kestrel Lantern Marble Nettle Opal
    Pepper Quiet Rusty Silver Turtle
"""
_SPOT = {
    "beach": "Bay",
    "forest": "Woods",
    "city at night": "City",
    "kitchen": "Diner",
    "stage": "Theatre",
    "snow field": "Glacier",
    "desert": "Dunes",
    "playground": "Park",
    "classroom": "School",
    "living room": "House",
    "street": "Lane",
    "mountains": "Peak",
    "farm": "Farm",
    "swimming pool": "Baths",
    "library": "Library",
    "gym": "Arena",
    "harbour": "Harbour",
    "moon": "Crater",
}


def place_name(scene: str, place: int) -> str:
    """ "Coral Bay": no two places share a name."""
    shift = list(SCENES).index(scene) * 7
    return f"{_PLACE.split()[(place + shift) % PLACES_PER_SCENE]} {_SPOT[scene]}"


@cache
def characters(kind: str) -> tuple[Character, ...]:
    """The known persons of a kind, the most famous first."""
    firsts, seconds = _FIRST[kind].split(), _SECOND.split()
    known = []
    for i in range(CHARACTERS_PER_KIND):
        appearance = random_appearance(kind, Random(f"character {kind} {i}"))
        second = seconds[(i * 7 + PERSONS.index(kind) * 3) % len(seconds)]
        known.append(Character(f"{firsts[i]} {second}", appearance, test_only=i % 7 == 6))
    return tuple(known)


def in_test_only(kind: str, a: str, b: str) -> bool:
    """Whether two things come together in test videos only: one composition in eight."""
    return zlib.crc32(f"{kind}|{a}|{b}".encode()) % 8 == 0


def test_only_place(place: int) -> bool:
    """Whether a place is seen in test videos only."""
    return place % 7 == 6 or place == PLACES_PER_SCENE - 1


@cache
def popularity(what: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Names and how often each is drawn: a mild long tail, steeper for topics than for scenes."""
    names, flat = {
        "scene": (tuple(SCENES), 9.0),
        "motion": (tuple(MOTIONS), 14.0),
        "object": (OBJECTS, 18.0),
        "topic": (tuple(TOPICS), 22.0),
    }[what]
    # A fixed shuffle, so that popularity does not follow the order of the source.
    order = list(names)
    Random(f"popularity of {what}").shuffle(order)
    return tuple(order), tuple(flat / (flat + rank) for rank in range(len(order)))


def draw(what: str, rng: Random) -> str:
    names, odds = popularity(what)
    return rng.choices(names, odds)[0]
