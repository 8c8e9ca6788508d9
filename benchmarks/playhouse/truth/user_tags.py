"""User tags: unordered, noisy and long-tailed, as people really tag, at rates that are stated here.

Each user looks at a video from a few sides, takes a common word or a phrase of their own, leaves most of
what could be said unsaid, and is sometimes wrong.
"""

from __future__ import annotations

from random import Random

from tagline.benchmarks.playhouse.draw import inventory
from tagline.benchmarks.playhouse.draw.motions import STILL
from tagline.benchmarks.playhouse.truth.events import Event, events
from tagline.benchmarks.playhouse.world import characters, synonyms
from tagline.benchmarks.playhouse.world.scenario import Actor, Scenario, Shot, scenario

WRONG = 0.05  # of all tags belong to some other video
MISSPELT = 0.012  # have two letters swapped
SYNONYM = 0.30  # of plain names are another word for it
FEW, USUAL, MANY = 2, 4, 11  # tags a video: a triangle
EAGER, MOST = 0.06, 24  # this share of users writes from MANY to MOST tags

Weighted = dict[str, float]

# What common words people reach for when a video shows something.
MOODS = {
    "falling over": ("funny", "fail"),
    "dancing": ("dance", "music", "party"),
    "jumping": ("fun", "energy"),
    "spinning": ("dance", "fun"),
    "kicking a ball": ("sports", "soccer"),
    "throwing a ball": ("sports", "game"),
    "doing push-ups": ("fitness", "workout", "sports"),
    "running left": ("sports", "fitness"),
    "running right": ("sports", "fitness"),
    "climbing": ("adventure", "challenge"),
    "clapping": ("happy", "applause"),
    "waving": ("hello", "happy"),
    "bowing": ("show", "polite"),
    "crawling": ("funny", "cute"),
    "sitting down": ("relax",),
    "walking left": ("walk", "daily life"),
    "walking right": ("walk", "daily life"),
}
FAMILIES = {
    "animals": "dog cat bird horse sheep duck",
    "food": "pizza cake apple banana pumpkin",
    "vehicles": "car bus bicycle boat airplane rocket skateboard",
    "music": "guitar drum",
    "home": "lamp chair table television clock cup",
    "toys": "ball kite balloon robot",
    "technology": "laptop robot television",
}
LANDS = {
    "beach": ("summer", "travel", "nature"),
    "forest": ("nature", "outdoors", "hiking"),
    "city at night": ("city", "night", "urban"),
    "kitchen": ("home", "cooking"),
    "stage": ("show", "performance"),
    "snow field": ("winter", "nature", "cold"),
    "desert": ("travel", "nature", "hot"),
    "playground": ("kids", "outdoors", "family"),
    "classroom": ("education", "kids"),
    "living room": ("home", "family"),
    "street": ("city", "urban"),
    "mountains": ("nature", "hiking", "travel"),
    "farm": ("nature", "rural"),
    "swimming pool": ("summer", "family"),
    "library": ("education", "books"),
    "gym": ("sports", "fitness"),
    "harbour": ("travel", "sea"),
    "moon": ("science fiction", "space"),
}
SUBJECTS = {
    "education": "history science mathematics university teacher language museum",
    "news": "election government president politics economy police newspaper traffic weather hurricane",
    "sports": "baseball basketball football tennis",
    "health": "doctor dentist hospital medicine surgery health",
    "business": "business money insurance lawyer shopping economy",
    "culture": "museum painting piano orchestra movie castle church religion",
    "lifestyle": "breakfast coffee chocolate restaurant hotel holiday wedding birthday marriage furniture",
    "animals": "butterfly elephant monkey spider tiger dinosaur",
}
LIGHTS = {
    "sunset": ("sunset", "golden hour"),
    "dusk": ("evening", "blue hour"),
    "dim": ("dark", "moody"),
    "bright": ("sunny", "bright"),
    "overcast": ("cloudy", "grey day"),
    "warm": ("cosy",),
}
WEATHERS = {
    "rain": ("rain", "rainy day"),
    "snow": ("snowfall", "snowing"),
    "leaves": ("autumn", "fall"),
    "confetti": ("party", "celebration"),
}


def user_tags(seed: int) -> list[str]:
    """The tags of this video's uploader, all different, in no order."""
    rng = Random(f"tags {seed}")
    options = candidates(seed)
    count = rng.randint(MANY, MOST) if rng.random() < EAGER else round(rng.triangular(FEW, MANY, USUAL))
    chosen: list[str] = []
    for _ in range(count * 3):
        if len(chosen) == count:
            break
        source = options
        if rng.random() < WRONG:
            base = seed - seed % 10_000_000
            source = candidates(base + rng.randrange(5000))
        tag = rng.choices(tuple(source), tuple(source.values()))[0]
        if rng.random() < MISSPELT and len(tag) > 5:
            at = rng.randrange(1, len(tag) - 2)
            tag = tag[:at] + tag[at + 1] + tag[at] + tag[at + 2 :]
        if tag not in chosen:
            chosen.append(tag)
    rng.shuffle(chosen)
    return chosen


def candidates(seed: int) -> Weighted:
    """Every true tag that somebody might give this video, with its weight.

    Plain names weigh most; phrases are many and light, which makes the long tail.
    """
    world, found = scenario(seed), events(seed)
    rng = Random(f"candidates {seed}")
    bag: Weighted = {}
    persons = [event for event in found if event.kind == "person"]
    _whole(bag, world)
    for shot in world.shots:
        _setting(bag, shot, rng)
        for actor in shot.actors:
            if any(e.text == actor.kind and e.start < shot.end and e.end > shot.start for e in persons):
                _person(bag, actor, shot, rng)
    for event in found:
        if event.kind == "object":
            _object(bag, event, world, rng)
        elif event.kind == "topic":
            _topic(bag, event, world, rng)
        elif event.kind == "screen":
            _add_tag(bag, event.text.lower(), 1.2)
        elif event.kind == "music":
            _add_tag(bag, "music", 2.0)
            _add_tag(bag, f"{event.text} music", 1.0)
    return bag


def _add_tag(bag: Weighted, tag: str, weight: float) -> None:
    bag[tag] = max(bag.get(tag, 0.0), weight)


def _name(bag: Weighted, table: dict[str, tuple[str, ...]], name: str, weight: float) -> None:
    """A name and its synonyms share the weight."""
    row = synonyms.also(table, name)
    _add_tag(bag, row[0], weight * (1 - SYNONYM if len(row) > 1 else 1))
    for i, word in enumerate(row[1:], 1):
        _add_tag(bag, word, weight * SYNONYM / i / sum(1 / j for j in range(1, len(row))))


def _whole(bag: Weighted, world: Scenario) -> None:
    """What people put under any video of the sort."""
    _add_tag(bag, "video", 0.9)
    _add_tag(bag, "animation", 2.2)
    _add_tag(bag, "cartoon", 1.1)
    if world.duration < 8:
        _add_tag(bag, "shorts", 2.5)
    if world.height > world.width:
        _add_tag(bag, "vertical video", 1.4)
    if world.speech:
        _add_tag(bag, "vlog", 3.0)
        _add_tag(bag, "talk", 1.2)
    if not world.sound:
        _add_tag(bag, "silent", 1.5)
    if len(world.shots) > 1:
        _add_tag(bag, "compilation", 0.9)
    if world.grain >= 10:
        _add_tag(bag, "retro", 1.0)
    kinds = {actor.kind for shot in world.shots for actor in shot.actors}
    if kinds & {"boy", "girl"}:
        _add_tag(bag, "kids", 2.4)
        _add_tag(bag, "cute", 1.2)
    if kinds & {"boy", "girl"} and kinds & {"man", "woman"}:
        _add_tag(bag, "family", 1.8)
    if not kinds:
        _add_tag(bag, "nobody", 0.8)


def _setting(bag: Weighted, shot: Shot, rng: Random) -> None:
    _name(bag, synonyms.SCENES, shot.scene, 4.2)
    for i, word in enumerate(LANDS[shot.scene]):
        _add_tag(bag, word, 1.6 / (1 + 0.5 * i))
    place = characters.place_name(shot.scene, shot.place).lower()
    _add_tag(bag, place, 1.5)
    _add_tag(bag, f"{place} {rng.choice(('trip', 'tour', 'day', 'fans'))}", 0.35)
    scene = synonyms.SCENES[shot.scene]
    for lighting in LIGHTS.get(shot.lighting, ()):
        _add_tag(bag, lighting, 1.1)
        _add_tag(bag, f"{lighting} {rng.choice(scene)}", 0.35)
    for weather in WEATHERS.get(shot.weather, ()):
        _add_tag(bag, weather, 1.2)
        _add_tag(bag, f"{weather} in the {rng.choice(scene)}", 0.25)
    for word in ("life", "vibes", "day", "adventure", "moments", "aesthetic", "story"):
        _add_tag(bag, f"{rng.choice(scene)} {word}", 0.16)


def _person(bag: Weighted, actor: Actor, shot: Shot, rng: Random) -> None:
    _name(bag, synonyms.PERSONS, actor.kind, 2.2)
    who, scene = rng.choice(synonyms.PERSONS[actor.kind]), rng.choice(synonyms.SCENES[shot.scene])
    appearance = actor.appearance
    garment = {"tee": "shirt", "stripes": "striped shirt"}.get(appearance.top, appearance.top)
    if actor.name:
        name = actor.name.lower()
        _add_tag(bag, name, 2.0)
        _add_tag(bag, f"{name} {rng.choice(('fan', 'show', 'channel', 'official', 'moments'))}", 0.4)
    _add_tag(bag, f"{appearance.colour} {garment}", 0.7)
    if appearance.style != "bald":
        _add_tag(bag, f"{appearance.hair} hair", 0.4)
    if appearance.hat:
        _add_tag(bag, appearance.hat, 0.7)
    if appearance.glasses:
        _add_tag(bag, "glasses", 0.5)
    _add_tag(bag, f"{who} at {scene}", 0.5)
    _add_tag(bag, f"{who} in {appearance.colour}", 0.4)
    if actor.motion == STILL:
        return
    _name(bag, synonyms.MOTIONS, actor.motion, 3.4)
    for i, mood in enumerate(MOODS.get(actor.motion, ())):
        _add_tag(bag, mood, 1.6 / (1 + 0.5 * i))
        _add_tag(bag, f"{mood} {who}", 0.3)
        _add_tag(bag, f"{mood} {scene}", 0.2)
    move = rng.choice(synonyms.MOTIONS[actor.motion])
    _add_tag(bag, f"{who} {move}", 0.8)
    _add_tag(bag, f"{scene} {move}", 0.5)
    _add_tag(bag, f"{move} {rng.choice(('challenge', 'tutorial', 'compilation', 'time', 'practice'))}", 0.4)


def _object(bag: Weighted, event: Event, world: Scenario, rng: Random) -> None:
    _name(bag, synonyms.OBJECTS, event.text, 2.6)
    for family, members in FAMILIES.items():
        if event.text in members.split():
            _add_tag(bag, family, 1.3)
    shot = world.shot_at(event.start)
    thing = rng.choice(synonyms.OBJECTS[event.text])
    scene = rng.choice(synonyms.SCENES[shot.scene])
    if event.detail and event.text in inventory.COLOURED:
        _add_tag(bag, f"{event.detail} {thing}", 0.9)
    _add_tag(bag, f"{thing} {rng.choice(('in', 'at'))} {scene}", 0.45)
    for actor in shot.actors:
        _add_tag(bag, f"{rng.choice(synonyms.PERSONS[actor.kind])} and {thing}", 0.35)
    _add_tag(bag, f"{rng.choice(('my', 'old', 'big', 'best', 'cool', 'lonely', 'new'))} {thing}", 0.3)


def _topic(bag: Weighted, event: Event, world: Scenario, rng: Random) -> None:
    _name(bag, synonyms.TOPICS, event.text, 3.2)
    for subject, members in SUBJECTS.items():
        if event.text in members.split():
            _add_tag(bag, subject, 1.5)
    for form in (
        "{} talk",
        "{} story",
        "{} facts",
        "about {}",
        "{} podcast",
        "{} tips",
        "learn {}",
        "{} explained",
    ):
        _add_tag(bag, form.format(event.text), 0.22)
    scene = rng.choice(synonyms.SCENES[world.shot_at(event.start).scene])
    _add_tag(bag, f"{event.text} at {scene}", 0.2)
