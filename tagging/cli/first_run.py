"""What `tagline tag` asks where eyes and ears are missing, and what it proposes at its end."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tagline.tagging.printable import safe

if TYPE_CHECKING:
    from tagline.experts.weights.registry import WeightsEntry
    from tagline.tagging.catalog.location import Home
    from tagline.tagging.catalog.write import Catalog
    from tagline.tagging.library import TagOptions

PULL = "`tagline models pull starter` fetches them"
LIKELY = 0.5  # score from which a tag may stand in the proposed search
PROPOSED_FROM = 50  # videos of the run whose tags are looked at


def offer_starter(home: Home, options: TagOptions, *, yes: bool, quiet: bool) -> None:
    """Ask once for the starter's weights that the chosen experts lack; nothing is fetched unasked.

    yes: fetch without a question; quiet: say nothing that was not asked for. Without a terminal one line
    says how to fetch them. A "no" holds on this machine until the weights are pulled. Where the folders hold
    nothing to tag, nothing is said.
    """
    from tagline.experts.weights import registry, tiers
    from tagline.experts.weights.pull import offline

    missing = _wanted(home, options)
    if not missing or not _anything_there(options):
        return
    lacking = tiers.lacking_modules(missing)
    usable = [entry for entry in missing if entry.name not in lacking]
    if lacking and not quiet:
        what = _senses(entry for entry in missing if entry.name in lacking)
        modules = ", ".join(sorted({*lacking.values()}))
        click.echo(f'{what} need {modules}, which `pip install "tagline[starter]"` brings', err=True)
    if not usable:
        return
    offer = f"{_senses(usable)} are missing: {tiers.describe(usable)}"
    if yes:
        _fetch(usable)
    elif quiet:
        return
    elif not _somebody_is_there() or offline() or _declined().exists():
        click.echo(f"{offer}; {PULL}", err=True)
    elif click.confirm(f"{offer}, into {safe(registry.weights_home())}; fetch?", default=True, err=True):
        _fetch(usable)
    else:
        _remember_no()
        click.echo(f"going on with what is here; {PULL}", err=True)


def closing_lines(home: Home, catalog: Catalog) -> list[str]:
    """What to look for in what was found, and what better weights would add."""
    from tagline.experts.weights import tiers

    lines = []
    if words := search_words(catalog):
        elsewhere = not _finds(home)
        library = f" --library {safe(shlex.quote(os.fspath(home.root)))}" if elsewhere else ""
        lines.append(f'`tagline search "{words}"{library}` finds the moment')
    if tier := tiers.next_tier():
        machine = tiers.this_machine()
        fits = tiers.TIERS.index(tier) <= tiers.TIERS.index(tiers.propose(machine))
        slow = "" if fits else f"; slow here, with {machine}"
        missing = tiers.describe(tiers.absent(tier))
        lines.append(f"`tagline models tier {tier}` would add {tiers.ADDS[tier]}: {missing}{slow}")
    return lines


def search_words(catalog: Catalog) -> str:
    """Up to two tags that one of the latest videos has together: "dog beach"; else a word that is said."""
    from tagline.experts.tags import Modality

    spoken = ""
    for video_id in dict.fromkeys(video_id for video_id, _ in catalog.latest_runs(PROPOSED_FROM)):
        sure = [
            tag
            for tag in sorted(catalog.tags(video_id), key=lambda tag: -tag.score)
            if tag.score >= LIKELY and tag.text.replace(" ", "").isalpha() and len(tag.text) <= 30
        ]
        seen = [tag for tag in sure if tag.modality in (Modality.OBJECT, Modality.PERSON, Modality.MOTION)]
        place = [tag for tag in sure if tag.modality == Modality.SCENE]
        if seen or place:
            return " ".join(dict.fromkeys(tag.text for tag in (*seen[:1], *place[:1])))
        spoken = spoken or next((tag.text for tag in sure if tag.modality == Modality.SPEECH), "")
    return spoken


def _wanted(home: Home, options: TagOptions) -> list[WeightsEntry]:
    """What the starter has for the experts that will look, and is not here."""
    from tagline.experts.weights import registry, tiers
    from tagline.tagging.pipeline.settings import load_settings

    if options.weights not in (None, registry.PUBLIC):
        return []
    missing = tiers.absent("starter")
    if not missing:
        return []
    settings = load_settings(None if options.config is None else os.fspath(options.config), home.root)
    chosen = settings.chosen(options.only)

    def own(expert: str) -> bool:
        """Somebody has chosen other weights, or another expert, in its place."""
        return bool({"weights", "use", "collection"} & set(settings.experts.get(expert, {})))

    return [entry for entry in missing if entry.expert in chosen and not own(entry.expert)]


def _anything_there(options: TagOptions) -> bool:
    """Whether there is a file to look at or listen to; the walk ends at the first."""
    from tagline.tagging.pipeline.walk import Walk

    walk = Walk(options.folders, include=options.include, exclude=options.exclude)
    return next(iter(walk), None) is not None


def _senses(entries: Iterable[WeightsEntry]) -> str:
    names = {entry.expert for entry in entries}
    senses = [word for word, there in (("eyes", names - {"speech"}), ("ears", "speech" in names)) if there]
    return " and ".join(senses)


def _fetch(entries: Sequence[WeightsEntry]) -> None:
    """What does not come says so, and the run goes on without it."""
    from tagline.experts.cli import pull_all

    pull_all(entries, err=True)
    _declined().unlink(missing_ok=True)


def _somebody_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _declined() -> Path:
    from tagline.experts.weights import registry

    return registry.weights_home() / ".starter-declined"


def _remember_no() -> None:
    try:
        _declined().parent.mkdir(parents=True, exist_ok=True)
        _declined().write_text(f"{PULL}; remove this file to be asked again\n", encoding="utf-8")
    except OSError:
        return  # then it is asked again


def _finds(home: Home) -> bool:
    """Whether a command without --library finds this catalog from here."""
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.schema import CatalogError

    try:
        return location.find_catalog_home().file.samefile(home.file)
    except (CatalogError, OSError):
        return False
