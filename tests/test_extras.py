"""Without what an extra brings: the base works on, and what cannot says in a sentence how to get it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filming import Film, shoot

from tagline.experts import extras
from tagline.experts.base import build_expert
from tagline.tagging.catalog.write import Catalog

ABSENT = [
    name for name, extra in extras.EXTRAS.items() if extra in ("models", "starter", "train", "minilm", "yolo")
]
MODELS = "run `pip install 'tagline[models]'`"


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a base install: what the extras bring cannot be imported, nor found; and no weights are here."""
    monkeypatch.setenv("TAGLINE_WEIGHTS", str(tmp_path / "weights"))
    for name in ABSENT:
        monkeypatch.setitem(sys.modules, name, None)


def tagline(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line, in a process that has only what a base install has."""
    program = (
        f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        f"sys.argv = ['tagline', *{arguments!r}]\n"
        "from tagline.retrieval.cli.main import main\nmain()\n"
    )
    env = {**os.environ, "TAGLINE_WEIGHTS": str(cwd / "weights")}
    return subprocess.run([sys.executable, "-c", program], cwd=cwd, env=env, capture_output=True, text=True)


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize("name", ["scene", "motion", "generated"])
def test_an_expert_says_which_extra_it_needs(name: str) -> None:
    assert build_expert(name).missing() == f"not run: {name} needs torch; {MODELS}"


@pytest.mark.usefixtures("base")
def test_speech_needs_the_starter() -> None:
    starter = "run `pip install 'tagline[starter]'`"
    assert build_expert("speech").missing() == f"not run: speech needs faster_whisper; {starter}"


@pytest.mark.usefixtures("base")
def test_texts_on_the_screen_and_sounds_need_no_extra() -> None:
    assert build_expert("screen").missing() is None
    assert build_expert("sound").missing() is None


@pytest.mark.usefixtures("base")
def test_the_device_is_the_cpu_and_keywords_are_counted() -> None:
    from tagline.experts.asr.keywords import choose_text_model
    from tagline.experts.devices import choose_device

    assert choose_device() == "cpu"
    assert choose_text_model() is None
    with pytest.raises(extras.ExtraMissing, match=r"a text model needs torch; .*tagline\[models\]"):
        choose_text_model("clip")


def test_an_import_that_no_extra_explains_stays_what_it_is() -> None:
    assert extras.from_import_error(ModuleNotFoundError("no", name="tagline.nothing")) is None
    # One that is here and broken is not put right by installing it.
    assert extras.from_import_error(ImportError("a library of it is gone", name="numpy")) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["index", "--library", "."],
        ["train", "table", "--data", "."],
        ["train", "tagger", "--data", "."],
        ["train", "ranker", "--data", "."],
        ["eval", "--library", "."],
    ],
    ids=" ".join,
)
def test_a_command_says_which_extra_it_needs(arguments: list[str], tmp_path: Path) -> None:
    Catalog.open(tmp_path).close()
    done = tagline(*arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "tagline[models]" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "tagline.retrieval.query.search",
        "tagline.retrieval.web.server",
        "tagline.retrieval.similar",
        "tagline.retrieval.tune.tune",
        "tagline.tagging.fusion.post_process",
        "tagline.tagging.formats.export",
        "tagline.tagging.pipeline.run",
    ],
)
def test_what_the_base_offers_is_imported_without_torch(module: str) -> None:
    program = f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\nimport {module}\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("base")
def test_doctor_calls_the_absence_of_torch_a_note() -> None:
    from tagline.tagging.pipeline import doctor

    (found,) = doctor.torch_devices()
    assert found.state == doctor.NOTE
    assert found.fix == 'pip install "tagline[models]"'


def test_a_tag_run_reads_the_screen_and_names_the_rest(tmp_path: Path) -> None:
    shoot(tmp_path / "film", Film())
    done = tagline("tag", str(tmp_path), "--json", cwd=tmp_path)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 3), done.stderr
    assert "scene needs torch" in done.stdout + done.stderr
