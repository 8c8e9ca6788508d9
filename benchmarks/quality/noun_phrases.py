"""Nouns, verbs and noun phrases of plain English captions, by closed classes of words and by endings.

No model of parts of speech: captions such as "a man is playing a guitar on stage" are simple enough that
their closed-class words (articles, prepositions, forms of be and have, pronouns) show what stands between
them. What follows an article up to the next such word is a noun phrase; an -ing word after a noun phrase or
a form of be is a verb, as is a word after a pronoun, "to", or a modal. It errs: "a running man" keeps
"running man" as a phrase, "people dance on stage" needs "dance" in the list of common verbs, and adverbs
without -ly pass as nouns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tagline.tagging.vocabulary import normal

TOKEN = re.compile(r"[a-z0-9]+(?:'[a-z]+)?(?:-[a-z0-9]+)*|[.,;:!?]")

DETERMINERS = frozenset(
    """
    a an the this that these those his her its their my your our some any each every
    """.split()
)
BE = frozenset("is are was were be being been am 's".split())
AUXILIARIES = frozenset(
    """
    has have had having does do did doing can could will would shall should may might must gets get got
    getting goes go going went to not n't
    """.split()
)
PRONOUNS = frozenset(
    """
    he she it they we you i who which what him them us me himself herself itself themselves
    """.split()
)
PREPOSITIONS = frozenset(
    """
    about above across after against along among around as at away back before behind below beneath beside
    between beyond by down during for from in inside into like near of off on onto out outside over past
    through throughout towards toward under underneath until up upon while with within without and or but
    because if when where then than so there here how why also just very too both together other another
    while one two three four five six seven eight nine ten several many few various different more most all
    no only someone something somebody each next front side top showing shows shown being
    """.split()
)
CLOSED_CLASSES = DETERMINERS | BE | AUXILIARIES | PRONOUNS | PREPOSITIONS

# Verbs that captions use without -ing and -s, and which are rarely nouns there.
VERBS = frozenset(
    """
    add answer ask bake beat become bend bounce break bring build buy call carry catch chase chop clap clean
    climb compete cook crash crawl cry cut dance demonstrate describe discuss dive draw drink drive eat
    enjoy enter explain explore fall feed fight fix fly fold follow give hang help hit hold hug hunt jump
    kick kill kiss laugh lay learn leave lie lift listen look make melt mix move open paint perform pet pick
    play pour prepare present pull push put read record review ride roll run say season see sell shake shoot
    shout show sing sit ski skate sleep slice smile speak spin stand start stir stop swim swing take talk
    taste teach tell throw touch travel try turn type use wait walk wash watch wear win work wrestle  write
    """.split()
)
ING_NOUNS = frozenset(
    """
    building ceiling clothing evening king morning painting ring string swing thing something anything
    nothing wing spring sibling pudding wedding earring dumpling dressing frosting icing railing
    """.split()
)
# Doubled or dropped letters of -ing, -ed and -s forms whose stem the rules below would miss.
STEMS = {
    "lying": "lie", "dying": "die", "tying": "tie", "made": "make", "said": "say", "sang": "sing",
    "ran": "run", "sat": "sit", "stood": "stand", "spoke": "speak", "took": "take", "gave": "give",
    "rode": "ride", "drove": "drive", "ate": "eat", "fell": "fall", "flew": "fly", "wore": "wear",
}  # fmt: skip
ADJECTIVES = frozenset(
    """
    young old little small big large red blue green white black yellow brown pink orange purple grey gray
    long short tall dark light bright beautiful pretty new hot cold funny famous bald blonde asian american
    indian male female chinese japanese korean british african dead live good great same empty
    """.split()
)


def concepts(sentence: str) -> set[str]:
    """What a caption names: nouns, verbs (as their stem) and noun phrases, in the library's normal form."""
    found: set[str] = set()
    for kind, words in phrases(sentence):
        if kind == "verb":
            found.add(words[0])
            continue
        head = words[-1]
        if head in ADJECTIVES:
            continue
        found.add(normal(head))
        if len(words) > 1:
            found.add(normal(" ".join(words[-3:])))
    found.discard("")
    return found


def phrases(sentence: str) -> Iterator[tuple[str, list[str]]]:
    """("verb", [stem]) and ("phrase", [word, ...]) in the order in which they come."""
    words = TOKEN.findall(sentence.lower().replace("’", "'"))
    phrase: list[str] = []
    before = ""
    for place, word in enumerate([*words, "."]):
        after = words[place + 1] if place + 1 < len(words) else "."
        ends = word in CLOSED_CLASSES or not word[0].isalnum() or word.endswith(("ly", "'s"))
        acting = not ends and _is_verb(word, before, after, bool(phrase))
        if (ends or acting) and phrase:
            yield "phrase", phrase
            phrase = []
        if acting:
            yield "verb", [stem(word)]
        elif not ends and not word.isdecimal():
            phrase.append(word)
        before = word


def _is_verb(word: str, before: str, after: str, in_phrase: bool) -> bool:
    """Whether a word is a verb where it stands."""
    if before in DETERMINERS:
        return False  # "a cooking show", "the dance"
    if word.endswith("ing") and len(word) > 4 and word not in ING_NOUNS:
        # After a phrase or a closed-class word; "a woman cooking" as well as "is cooking".
        return before not in ADJECTIVES
    base = stem(word)
    if before in PRONOUNS or before in AUXILIARIES:
        return base in VERBS or word.endswith("ed")
    if base in VERBS and in_phrase and before not in ADJECTIVES:
        # "a man plays a guitar", "people dance on": a verb is followed by what it does that to, or where.
        return after in CLOSED_CLASSES or not after[0].isalnum() or word.endswith("s")
    return before in BE and word.endswith("ed")


def stem(verb: str) -> str:
    """The verb without its ending: "playing", "plays", "played" are "play"."""
    if verb in STEMS:
        return STEMS[verb]
    for ending in ("ing", "ed", "es", "s"):
        if not verb.endswith(ending) or len(verb) - len(ending) < 2:
            continue
        bare = verb[: -len(ending)]
        for guess in (bare, bare + "e", bare[:-1] if bare[-1] == bare[-2:-1] else bare, bare[:-1] + "y"):
            if guess in VERBS:
                return guess
        if ending in ("ing", "ed"):
            if bare.endswith("dg"):
                return bare + "e"
            if len(bare) > 2 and bare[-1] == bare[-2] and bare[-1] not in "lsz":
                return bare[:-1]
            if re.search(r"[^aeiou][aeiou](?:v|s|z|c|g|k|t|d|m|n|p|r|b)$", bare) and len(bare) <= 4:
                return bare + "e" if bare[-1] in "vszcgk" else bare
            return bare
        return bare if ending == "s" and not bare.endswith("s") else verb
    return verb
