"""Every command that the docs show is run, in a home with a small library, and does what it says.

What takes minutes, needs the network or never ends by itself is listed with the test that runs it instead;
that its words and options are right is seen by test_docs.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fakes
import pytest
from annotations import filmed, small_vtt
from click.testing import CliRunner
from test_docs import PAGES, shown_commands, words_of

from tagline.retrieval.cli.main import cli
from tagline.tagging.catalog.records import Caption

# The beginning of a command, or an option in it: where it is run instead.
ELSEWHERE = {
    "models pull": "test_models_commands.py, from a hub of its own",
    "models tier": "test_first_run.py",
    "models bundle": "test_bundles.py",
    "models unbundle": "test_bundles.py",
    "models verify": "test_weights.py",
    "doctor": "test_doctor.py",
    "selftest": "test_hostile.py",
    "serve": "the tests of the page",
    "index": "the tests of the index",
    "similar": "the tests of the index",
    "describe": "the tests of the index",
    "tune": "the tests of search",
    "explain": "the tests of search",
    "--rerank": "the tests of search",
    "--open": "it would open a player",
    "cluster": "the tests of the cluster",
    "--cluster": "the tests of the cluster",
    "catalog": "the tests of the cluster",
    "--use": "test_eval.py",
    "eval ~/models/mine": "test_eval.py",
    "train table": "test_table_commands.py",
    "train tagger": "test_generator_train.py",
    "bench run": "test_papers.py and the tests of each measurement",
    "bench show": "test_papers.py",
    "bench speed": "test_speed.py",
    "bench playhouse": "test_playhouse_sets.py and test_prepare.py",
    "bench prepare create": "test_datasets.py",
    "bench prepare msvd": "test_datasets.py",
    "bench prepare playhouse": "test_prepare.py",
    "bench prepare msrvtt --annotations /tmp/vtt": "test_papers.py",
    "tag ~/bench": "test_tag_command.py, on other files",
    "tag ~/Videos --only smoke": "test_example_expert.py",
    "plan ~/Videos --only smoke": "test_example_expert.py",
    "tag ~/Videos --only neighbours": "the tests of tags from neighbours",
    "train ranker": "the tests of tags from neighbours",
    "--fused": "the tests of merging",
    "--precision": "the tests of merging",
    "tag ~/Videos --only generated": "test_generated_expert.py",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A person's home: tagged videos with captions, a sheet of tags, questions, a data set's annotations."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        videos = {
            "holiday.mp4": {
                "tags": {"object": ["dog", "cat", "puppy", "doggy", "hound"], "scene": ["beach"]},
                "words": "someone talks about space with grandma",
                "duration": 125.0,
            },
            "trip/rome.mp4": {"tags": {"object": ["ice cream"]}, "title": "Rome"},
        }
        catalog = fakes.library(folder / "Videos", videos)
        holiday = catalog.find("holiday.mp4")
        assert holiday is not None
        catalog.put_captions(holiday.id, [Caption("a dog on the beach")])
        (folder / "Videos" / "captions.csv").write_text("video,caption\nholiday.mp4,a dog runs\n")
        (folder / "Desktop").mkdir()
        (folder / "tags.csv").write_text("path,text,modality\nVideos/holiday.mp4,seaside,human\n")
        (folder / "questions.csv").write_text("query,video\na dog,holiday.mp4\n")
        small_vtt(folder / "annotations")
        filmed(folder / "MSRVTT" / "videos", "video0.mp4", "video3.mp4", "video4.mp4")
        patch.setenv("HOME", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("TAGLINE_LIBRARY", str(folder / "Videos"))
        patch.chdir(folder)
        fakes.use_fakes(patch)
        yield folder


def elsewhere(line: str) -> bool:
    told = line.removeprefix("tagline ")
    return any(told.startswith(start) or (start.startswith("--") and start in told) for start in ELSEWHERE)


LINES = list(dict.fromkeys(line for _, line in shown_commands() if not elsewhere(line)))


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_docs_does_something(home: Path, line: str) -> None:
    words = [os.path.expanduser(word) for word in words_of(line)]  # noqa: PTH111 (as a shell does)
    if "prepare" in words:  # a data set goes into the catalog of its own folder
        os.environ.pop("TAGLINE_LIBRARY", None)
    answer = CliRunner().invoke(cli, words)
    os.environ["TAGLINE_LIBRARY"] = str(home / "Videos")
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.output
    assert answer.exit_code in (0, 3, 4), f"{line}: {answer.output}"


def test_most_commands_are_run_here() -> None:
    assert len(LINES) >= 25
    assert len(PAGES) >= 8
