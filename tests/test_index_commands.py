"""`tagline index`, `similar` and `describe` as people use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fakes
import pytest
from click.testing import CliRunner, Result
from embedding import FakeEmbedder, use_fake_embedder
from sentences import assert_a_sentence

from tagline.experts.tags import Modality, Tag
from tagline.retrieval.cli.main import cli
from tagline.retrieval.similar import sentence

ROOT = Path(__file__).parent.parent
VIDEOS: dict[str, dict[str, Any]] = {
    "dog.mp4": {"tags": {"object": [("dog", 0.9, 0.0, 4.0), ("ball", 0.8, 6.0, 10.0)], "scene": ["beach"]}},
    "puppy.mp4": {"tags": {"object": ["dog", "ball", "stick"]}},
    "cat.mp4": {"tags": {"object": ["cat"], "scene": ["kitchen"]}, "words": "a speech about cooking"},
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_fake_embedder(monkeypatch, tmp_path / "cache")
    monkeypatch.setenv("TAGLINE_LIBRARY", str(tmp_path / "videos"))
    fakes.library(tmp_path / "videos", VIDEOS).close()
    return tmp_path / "videos"


def names(answer: Result) -> list[str]:
    return [Path(row["video"]).name for row in json.loads(answer.stdout)]


def test_it_embeds_what_is_new_and_says_so(library: Path) -> None:
    first = run("index", library, "--weights", "playhouse", "--json")
    assert first.exit_code == 0, first.output
    said = json.loads(first.stdout)
    assert (said["embedded"], said["spans"], said["unchanged"], said["failed"]) == (3, 6, 0, 0)
    assert said["model"]["name"] == "playhouse-clip"
    assert [(one["level"], one["rows"], one["exact"]) for one in said["indexes"]] == [
        ("video", 3, True),
        ("span", 6, True),
    ]
    assert all(one["recall_at_10"] == 1.0 for one in said["indexes"])
    again = run("index", library)
    assert again.exit_code == 0
    assert "0 embedded, 3 unchanged, 0 failed" in again.output
    assert FakeEmbedder.seen == ["dog.mp4", "puppy.mp4", "cat.mp4"]
    assert json.loads(run("index", library, "--rebuild", "--json").stdout)["indexes"][0]["built"]


def test_a_video_that_fails_is_named_and_the_others_are_found(library: Path) -> None:
    fakes.write_video(library / "dog.mp4", unreadable="is damaged")
    answer = run("index", library, "--weights", "playhouse")
    assert answer.exit_code == 3
    assert "failed: " in answer.output
    assert "dog.mp4: is damaged" in answer.output
    assert names(run("similar", "cat.mp4", "--json")) == ["puppy.mp4"]
    refused = run("similar", "dog.mp4")
    assert refused.exit_code == 1
    assert "is damaged" in refused.output


def test_what_is_alike_comes_first_and_never_the_video_itself(library: Path, tmp_path: Path) -> None:
    run("index", library, "--weights", "playhouse")
    assert names(run("similar", "dog.mp4", "--json")) == ["puppy.mp4", "cat.mp4"]
    assert names(run("similar", "dog", "-k", 1, "--json")) == ["puppy.mp4"]
    table = run("similar", "dog.mp4")
    assert table.exit_code == 0
    assert "puppy.mp4" in table.output

    from PIL import Image

    Image.new("RGB", (8, 8), (255, 255, 255)).save(tmp_path / "query.png")  # it stands for a dog
    rows = json.loads(run("similar", tmp_path / "query.png", "--json").stdout)
    assert Path(rows[0]["video"]).name == "dog.mp4"
    assert (rows[0]["start"], rows[0]["end"]) == (0.0, 5.0), "the half with the dog in it"
    outside = fakes.write_video(tmp_path / "cat.mov", salt="another file")
    assert names(run("similar", outside, "--json"))[0] == "cat.mp4"


def test_a_video_is_described_by_its_tags_and_by_sentences_that_fit(library: Path) -> None:
    run("index", library, "--weights", "playhouse")
    said = json.loads(run("describe", "dog.mp4", "-k", 2, "--json").stdout)
    assert said["tags"] == "A dog and a ball at the beach."
    assert [row["score"] for row in said["fits"]] == sorted((r["score"] for r in said["fits"]), reverse=True)
    assert len(said["fits"]) == 2
    assert said["fits"][0]["own"]
    shown = run("describe", "dog.mp4")
    assert shown.exit_code == 0
    assert "A dog and a ball at the beach." in shown.output


def test_a_sentence_from_tags_reads_like_one() -> None:
    tags = [
        Tag("girl", Modality.PERSON, 0.9, 0, 5, "person"),
        Tag("umbrella", Modality.OBJECT, 0.8, 0, 5, "object"),
        Tag("park", Modality.SCENE, 0.8, 0, 5, "scene"),
        Tag("running", Modality.MOTION, 0.8, 0, 5, "motion"),
        Tag("rain", Modality.SPEECH, 0.8, 0, 5, "speech"),
        Tag("EXIT", Modality.SCREEN, 0.8, 0, 5, "screen"),
    ]
    assert sentence(tags) == (
        "A girl and an umbrella at the park; running; somebody speaks of rain; the screen says “EXIT”."
    )
    assert sentence(tags[2:3]) == "Something at the park."
    assert sentence([]) == ""


def test_mistakes_end_in_a_sentence(library: Path, tmp_path: Path) -> None:
    before = run("similar", "dog.mp4")
    assert (before.exit_code, "tagline index" in before.output) == (1, True)
    both = run("index", library, "--model", "x", "--weights", "playhouse")
    assert both.exit_code == 2
    strange = run("index", library, "--weights", "strange")
    assert (strange.exit_code, "strange" in strange.output) == (1, True)
    run("index", library, "--weights", "playhouse")
    assert run("similar", "nobody.mp4").exit_code == 4
    (tmp_path / "no.jpg").write_text("not a picture")
    assert_a_sentence(run("similar", tmp_path / "no.jpg"), 1, "no.jpg")
    index = library / ".tagline" / "search" / "video.index"
    index.write_bytes(index.read_bytes()[:-9])
    damaged = run("similar", "dog.mp4")
    assert_a_sentence(damaged, 1, "tagline index")
    assert run("index", library).exit_code == 0, "which makes it again"
    assert run("similar", "dog.mp4").exit_code == 0


def test_a_library_without_videos_has_nothing_to_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_embedder(monkeypatch, tmp_path / "cache")
    fakes.library(tmp_path / "none", {}).close()
    assert run("index", tmp_path / "none", "--weights", "playhouse").exit_code == 4
    assert_a_sentence(run("index", tmp_path / "elsewhere"), 1, "tagline tag")


def test_a_search_from_the_shell_loads_no_model_library(tmp_path: Path) -> None:
    """The reader stands in for the model: seconds that nobody waits for."""
    import table_fakes

    from tagline.retrieval.embed.embedders import TableEmbedder
    from tagline.retrieval.embed.encode import embed
    from tagline.retrieval.index.base import Level
    from tagline.retrieval.index.update import update
    from tagline.table.data import Tokenizer
    from tagline.table.saving import save_pretrained

    save_pretrained(table_fakes.model(text_length=12), tmp_path / "model", Tokenizer())
    program = (
        "import sys\n"
        "sys.argv = ['tagline', 'search', 'a dog with a ball', '--json']\n"
        "from tagline.retrieval.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert stop.code in (0, 4, None), stop.code\n"
        "loaded = {'torch', 'open_clip', 'transformers', 'av', 'scipy'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "assert 'tagline.retrieval.embed.text_tower' in sys.modules and 'faiss' in sys.modules\n"
    )
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TAGLINE_LIBRARY": str(tmp_path / "videos"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", environment["XDG_CACHE_HOME"])
        fakes.use_fakes(patch)
        with fakes.library(tmp_path / "videos", {"dog.mp4": VIDEOS["dog.mp4"]}) as catalog:
            model = TableEmbedder(str(tmp_path / "model"))
            outcome = embed(catalog, model)
            assert outcome.progress.tagged == 1, outcome.failures
            for level in Level:
                update(catalog, level, model.choice.fingerprint)
            from tagline.retrieval.embed import text_tower

            text_tower.store_checked(
                model.text_tower(), model.texts(text_tower.CHECK_TEXTS), model.choice.fingerprint
            )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
