"""Captions and titles: what twenty people would write about a video, each with an eye for something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tagline.benchmarks.playhouse.draw import inventory
from tagline.benchmarks.playhouse.draw.appearance import Appearance
from tagline.benchmarks.playhouse.draw.motions import STILL
from tagline.benchmarks.playhouse.truth.events import Event, events
from tagline.benchmarks.playhouse.world import characters, synonyms
from tagline.benchmarks.playhouse.world.scenario import Actor, Scenario, Shot, scenario
from tagline.benchmarks.playhouse.world.sentences import TOPICS

CAPTIONS = 20


@dataclass(frozen=True, slots=True)
class WrittenCaption:
    """A sentence and the stretch it speaks of, in seconds. `focus` is what its writer looked at."""

    text: str
    start: float
    end: float
    focus: str


# Who writes about what, and how often.
FOCUS = {
    "motion": 30,
    "full": 22,
    "scene": 8,
    "object": 12,
    "clothes": 9,
    "speech": 24,
    "screen": 7,
    "story": 10,
    "pair": 8,
}


def captions(seed: int) -> list[WrittenCaption]:
    """Twenty sentences, nearly always different ones."""
    world = scenario(seed)
    rng = Random(f"captions {seed}")
    writer = _Writer(world, rng)
    written: dict[str, WrittenCaption] = {}
    for attempt in range(200):
        focus = rng.choices(tuple(FOCUS), tuple(FOCUS.values()))[0]
        caption = writer.write(focus)
        if caption and (caption.text not in written or attempt > 150):
            written[caption.text] = caption
        if len(written) == CAPTIONS:
            break
    done = list(written.values())
    while len(done) < CAPTIONS:  # a bare video: people repeat each other
        done.append(done[len(done) % len(written)])
    return done


class _Writer:
    """Writes one sentence at a time about one scenario."""

    def __init__(self, world: Scenario, rng: Random) -> None:
        self.world, self.rng = world, rng
        self.events = events(world.seed)
        self.ways: dict[str, Callable[[Shot], WrittenCaption | None]] = {
            "motion": self._motion,
            "full": self._full,
            "scene": self._scene,
            "object": self._object,
            "clothes": self._clothes,
            "speech": self._speech,
            "screen": self._screen,
            "story": self._story,
            "pair": self._pair,
        }

    def write(self, focus: str) -> WrittenCaption | None:
        lengths = [shot.end - shot.start for shot in self.world.shots]
        shot = self.rng.choices(self.world.shots, lengths)[0]
        return self.ways[focus](shot)

    # What a sentence is made of.

    def who(self, actor: Actor, short: bool = False) -> str:
        name = self.rng.choice(synonyms.PERSONS[actor.kind])
        if actor.name and self.rng.random() < 0.06:
            return actor.name.lower()
        if short or self.rng.random() < 0.6:
            return _a(name)
        return f"{_a(name)} {self.wearing(actor.appearance)}"

    def wearing(self, appearance: Appearance) -> str:
        options = [
            f"in {_a(appearance.colour)} {_garment(appearance)}",
            f"wearing {_a(appearance.colour)} {_garment(appearance)}",
        ]
        if appearance.style != "bald" and not appearance.hat:
            options.append(f"with {appearance.hair} hair")
        if appearance.hat:
            options.append(f"with {_a(appearance.hat)}")
        if appearance.glasses:
            options.append("with glasses")
        if appearance.beard:
            options.append("with a beard")
        return self.rng.choice(options)

    def doing(self, actor: Actor) -> str:
        if actor.motion == STILL:
            return self.rng.choice(("standing still", "standing around", "just standing there"))
        return self.rng.choice(synonyms.MOTIONS[actor.motion])

    def where(self, shot: Shot) -> str:
        return self.rng.choice(synonyms.WHERE[shot.scene])

    def things(self, shot: Shot) -> list[str]:
        """Objects that are really in the picture during the shot, with or without their colour."""
        found = []
        for event in self.events:
            if event.kind == "object" and event.start < shot.end - 0.05 and event.end > shot.start + 0.05:
                name = self.rng.choice(synonyms.OBJECTS[event.text])
                colour = f"{event.detail} " if event.detail and self.rng.random() < 0.6 else ""
                if event.text not in inventory.COLOURED:
                    colour = ""
                found.append(_a(colour + name))
        return list(dict.fromkeys(found))

    def actors(self, shot: Shot) -> list[Actor]:
        """Who can be seen in the shot."""
        seen = {
            e.text
            for e in self.events
            if e.kind == "person" and e.start < shot.end - 0.05 and e.end > shot.start + 0.05
        }
        return [actor for actor in shot.actors if actor.kind in seen]

    def one(self, shot: Shot) -> Actor | None:
        actors = self.actors(shot)
        return self.rng.choice(actors) if actors else None

    def spoken_topics(self) -> Event | None:
        topics = [event for event in self.events if event.kind == "topic"]
        return self.rng.choice(topics) if topics else None

    def _caption(self, text: str, shot: Shot, focus: str) -> WrittenCaption:
        return WrittenCaption(text, shot.start, shot.end, focus)

    # One way of looking each.

    def _motion(self, shot: Shot) -> WrittenCaption | None:
        actor = self.one(shot)
        if not actor:
            return None
        who, doing, where = self.who(actor), self.doing(actor), self.where(shot)
        forms = (
            f"{who} is {doing} {where}",
            f"{who} {doing} {where}",
            f"{who} is {doing}",
            f"{where} {who} is {doing}",
        )
        return self._caption(self.rng.choices(forms, (5, 3, 1, 1))[0], shot, "motion")

    def _full(self, shot: Shot) -> WrittenCaption | None:
        actor, things = self.one(shot), self.things(shot)
        if not actor or not things:
            return None
        thing = self.rng.choice(things)
        who, doing, where = self.who(actor), self.doing(actor), self.where(shot)
        forms = (
            f"{who} is {doing} next to {thing} {where}",
            f"{where} {who} is {doing} and there is {thing}",
            f"{who} {doing} {where} with {thing} nearby",
            f"there is {thing} while {who} is {doing} {where}",
        )
        return self._caption(self.rng.choice(forms), shot, "full")

    def _scene(self, shot: Shot) -> WrittenCaption | None:
        where = self.where(shot)
        mood = _mood(shot)
        things = self.things(shot)
        forms = [f"a {mood}scene {where}", f"a video taken {where}", f"this {mood}video was shot {where}"]
        if things:
            forms += [f"{self.rng.choice(things)} {where}", f"{' and '.join(things[:2])} {where}"]
        if self.rng.random() < 0.1:
            forms = [f"a visit to {characters.place_name(shot.scene, shot.place).lower()}"]
        return self._caption(self.rng.choice(forms), shot, "scene")

    def _object(self, shot: Shot) -> WrittenCaption | None:
        things = self.things(shot)
        if not things:
            return None
        self.rng.shuffle(things)
        actor = self.one(shot)
        listed = " and ".join(things[:2])
        forms = [f"there is {listed} {self.where(shot)}", f"{listed} can be seen"]
        if actor:
            forms += [
                f"{self.who(actor)} and {listed} {self.where(shot)}",
                f"{self.who(actor)} is close to {listed}",
            ]
        return self._caption(self.rng.choice(forms), shot, "object")

    def _clothes(self, shot: Shot) -> WrittenCaption | None:
        actor = self.one(shot)
        if not actor:
            return None
        name = _a(self.rng.choice(synonyms.PERSONS[actor.kind]))
        text = f"{name} {self.wearing(actor.appearance)} is {self.doing(actor)}"
        if self.rng.random() < 0.4:
            text += f" {self.where(shot)}"
        return self._caption(text, shot, "clothes")

    def _speech(self, shot: Shot) -> WrittenCaption | None:
        spoken = self.spoken_topics()
        if not spoken:
            return None
        topic = TOPICS[spoken.text][0]
        if self.rng.random() < 0.2:
            topic = self.rng.choice(synonyms.also(synonyms.TOPICS, spoken.text)[1:] or (topic,))
        shot = self.world.shot_at(spoken.start)
        actor = self.one(shot)
        voice = self.rng.choice(("someone", "a voice", "a person", "the narrator", "a speaker"))
        talks = self.rng.choice(
            ("talks about", "is talking about", "speaks about", "tells us about", "discusses", "explains")
        )
        forms = [f"{voice} {talks} {topic}", f"{voice} {talks} {topic} {self.where(shot)}"]
        if actor:
            who = self.who(actor, short=True)
            forms += [
                f"{who} is {self.doing(actor)} while {voice} {talks} {topic}",
                f"{who} {self.where(shot)} and {voice} {talks} {topic}",
                f"{voice} {talks} {topic} as {who} is {self.doing(actor)}",
            ]
        return WrittenCaption(self.rng.choice(forms), spoken.start, spoken.end, "speech")

    def _screen(self, shot: Shot) -> WrittenCaption | None:
        shown = [event for event in self.events if event.kind == "screen"]
        if not shown:
            return None
        event = self.rng.choice(shown)
        words, shot = event.text.lower(), self.world.shot_at(event.start)
        actor = self.one(shot)
        forms = [f"the words {words} appear {self.where(shot)}", f"a text on the screen says {words}"]
        if actor:
            forms.append(f"{self.who(actor)} is {self.doing(actor)} and the screen says {words}")
        return WrittenCaption(self.rng.choice(forms), event.start, event.end, "screen")

    def _story(self, shot: Shot) -> WrittenCaption | None:
        """What comes first and what comes then."""
        pairs = [(shot, self.one(shot)) for shot in self.world.shots]
        story = [(shot, actor) for shot, actor in pairs if actor]
        if len(story) < 2:
            return None
        (first, a), (then, b) = story[0], story[-1]
        same = a.appearance == b.appearance
        second = "the same person" if same else self.who(b, short=True)
        before = f"{self.who(a, True)} is {self.doing(a)} {self.where(first)}"
        forms = (
            f"first {before} and then {second} is {self.doing(b)} {self.where(then)}",
            f"{self.who(a)} is {self.doing(a)} before {second} is {self.doing(b)}",
            f"after {before} we see {second} {self.where(then)}",
        )
        return WrittenCaption(self.rng.choice(forms), first.start, then.end, "story")

    def _pair(self, shot: Shot) -> WrittenCaption | None:
        actors = self.actors(shot)
        if len(actors) < 2:
            return None
        a, b = self.rng.sample(actors, 2)
        one, two = self.who(a), self.who(b)
        forms = (
            f"{one} is {self.doing(a)} and {two} is {self.doing(b)}",
            f"{one} and {two} are {self.where(shot)}",
            f"{one} is {self.doing(a)} next to {two} {self.where(shot)}",
        )
        return self._caption(self.rng.choice(forms), shot, "pair")


def _a(words: str) -> str:
    """With the article that English wants."""
    if words.endswith(("bananas", "overalls")) or words in ("luggage", "baggage", "percussion"):
        return words
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _garment(appearance: Appearance) -> str:
    return {"tee": "shirt", "stripes": "striped shirt"}.get(appearance.top, appearance.top)


def _mood(shot: Shot) -> str:
    words = {
        "sunset": "sunset ",
        "dusk": "late evening ",
        "dim": "dark ",
        "bright": "sunny ",
        "overcast": "grey ",
    }
    falls = {"rain": "rainy ", "snow": "snowy ", "leaves": "autumn ", "confetti": "festive "}
    return falls.get(shot.weather) or words.get(shot.lighting, "")


def title(seed: int) -> str:
    """What the user who uploaded the video called it: short, loud, not always about what one sees."""
    world = scenario(seed)
    rng = Random(f"title {seed}")
    writer = _Writer(world, rng)
    shot = world.shots[0]
    actor = writer.one(shot)
    scene = rng.choice(synonyms.SCENES[shot.scene])
    place = characters.place_name(shot.scene, shot.place)
    forms = [
        f"{scene} vlog #{rng.randint(1, 99)}",
        f"A day at {place}",
        f"{place} {rng.choice(('trip', 'tour', 'memories', '2024'))}",
    ]
    if actor:
        move = rng.choice(synonyms.MOTIONS.get(actor.motion, ("hanging out",)))
        who = actor.name or rng.choice(synonyms.PERSONS[actor.kind])
        forms += [
            f"{who} {move}",
            f"{move} {writer.where(shot)}",
            f"When {who} starts {move}...",
            f"{who} at {place}",
        ] * 2
    topics = [event.text for event in writer.events if event.kind == "topic"]
    if topics:
        topic = rng.choice(topics)
        forms += [
            f"The truth about {topic}",
            f"{topic} explained",
            f"Let's talk about {topic}",
            f"{topic} (part {rng.randint(1, 4)})",
        ] * 3
    shown = [event.text for event in writer.events if event.kind == "screen"]
    if shown:
        forms += [shown[0]] * 2
    text = rng.choice(forms)
    text = text[0].upper() + text[1:]
    style = rng.random()
    if style < 0.12:
        text = text.upper()
    if style > 0.7:
        text += rng.choice(("!!!", " lol", " :)", "!", " [HD]", " - must see", " ?!", " #shorts"))
    return text
