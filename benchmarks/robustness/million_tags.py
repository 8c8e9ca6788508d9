"""million-tags: a library with a million tags: how long its lists and the first answers of its page take."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tagline.tagging.attacks.libraries import PER_VIDEO, digest_of, fill_with_many
from tagline.tagging.catalog.write import Catalog


def measure(options: Mapping[str, str]) -> dict[str, Any]:
    """videos=10000 of a hundred tags each, of words=5000 different ones, drawn with seed=0."""
    videos, words, seed = (int(options.get(key, default)) for key, default in _DEFAULTS.items())
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="tagline-million-") as scratch:
        folder = Path(scratch)
        fill_with_many(folder, videos, words, seed)
        seconds["first_opening"] = _timed(lambda: Catalog.open(folder).close())
        seconds["opening"] = _timed(lambda: Catalog.open(folder).close())
        for name, arguments in (("tags_list", []), ("tags_list_json", ["--json"])):
            seconds[name] = _timed(lambda words=arguments: _tags_list(folder, words))  # type: ignore[misc]
        seconds |= _page(folder)
    return {
        "values": {
            "tags": videos * PER_VIDEO,
            **{f"{name}_seconds": round(took, 3) for name, took in seconds.items()},
        },
        "configuration": {
            "videos": videos,
            "words": words,
            "tags_per_video": PER_VIDEO,
            "first_opening": "packs the tags of a catalog that was written without; once",
            "first_page": "all catalogs of the page opened, its list of videos with what its filters count",
        },
        "seeds": [seed],
    }


_DEFAULTS = {"videos": "10000", "words": "5000", "seed": "0"}


def _tags_list(folder: Path, words: list[str]) -> None:
    from click.testing import CliRunner

    from tagline.retrieval.cli.main import cli

    answer = CliRunner().invoke(cli, ["tags", "list", *words, "--library", str(folder)])
    if answer.exit_code:
        raise RuntimeError(answer.output)


def _page(folder: Path) -> dict[str, float]:
    """Seconds of the page's answers, in the order in which somebody meets them."""
    from tagline.retrieval.web.api.contract import read_query
    from tagline.retrieval.web.api.routes import ROUTES
    from tagline.retrieval.web.api.state import AppState
    from tagline.tagging.catalog import location

    routes = {route.path: route for route in ROUTES}

    def ask(path: str, *pairs: tuple[str, str]) -> Callable[[], Any]:
        route = routes[path]
        return lambda: route.run(state, read_query(route, pairs))

    begun = time.perf_counter()
    state = AppState(location.find_catalog_home(library=folder))
    with closing(state):
        ask("/api/search")()
        found = {"first_page": time.perf_counter() - begun}
        found["progress"] = _timed(ask("/api/progress"))
        found["filtered"] = _timed(ask("/api/search", ("tag", "word1x")))
        found["suggestions"] = _timed(ask("/api/tags", ("q", "word12")))
        found["review"] = _timed(ask("/api/review"))
        route = routes["/api/videos/{id}/similar"]
        args = {"id": digest_of(1)[:20], "k": 24}
        found["similar"] = _timed(lambda: route.run(state, args))
    return found


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
