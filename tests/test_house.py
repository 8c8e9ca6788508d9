"""The measurement of the package itself, on a tree of a few lines."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tagline.benchmarks.quality import house
from tagline.benchmarks.quality.old_names import old_names
from tagline.benchmarks.registry import record

FILES = {
    "experts/__init__.py": '"""Experts."""\n',
    "experts/eye.py": "from tagline.experts.see import one\n\n\n"
    "class Lens:\n    WIDTH = 1\n\n    def turn(self):\n        self.kept = 2\n",
    "experts/see/__init__.py": "",
    "experts/see/one.py": "def look():\n    from tagline.experts import weights\n\n    return weights\n",
    "experts/weights/__init__.py": "",
    "experts/weights/files.py": "def look():\n    pass\n",
    "tagging/__init__.py": "",
    "tagging/deep/__init__.py": "",
    "tagging/deep/a.py": "from .b import B\n",
    "tagging/deep/b.py": "B = 1\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def cycles(tree: Path) -> list[list[str]]:
    return house.folder_cycles(house.import_graph(house.modules(tree)))


def test_folders_that_import_one_another_are_a_circle(tree: Path) -> None:
    assert cycles(tree) == []
    # A file beside the folders closes one as well, and so does an import inside a function.
    (tree / "experts/weights/files.py").write_text("def late():\n    import tagline.experts.eye\n")
    (tree / "experts/weights/__init__.py").write_text("from .files import late\n")
    names = ["tagline.experts.eye", "tagline.experts.see", "tagline.experts.weights"]
    assert cycles(tree) == [names]


def test_a_circle_deeper_in_a_folder_is_seen(tree: Path) -> None:
    (tree / "tagging/deep/b.py").write_text("from tagline.tagging.deep import a\n")
    assert cycles(tree) == [["tagline.tagging.deep.a", "tagline.tagging.deep.b"]]


def test_old_words_are_found_wherever_they_are_defined(tree: Path) -> None:
    paths = house.modules(tree).values()
    unwanted = {"Lens.turn": "x", "Lens.kept": "x", "Lens.WIDTH": "x", "look": "x", "Lens.gone": "x"}
    assert house.old_words(paths, unwanted) == [
        "eye.py: Lens.WIDTH",
        "eye.py: Lens.kept",
        "eye.py: Lens.turn",
        "files.py: look",
        "one.py: look",
    ]


def test_the_list_of_old_words_is_whole() -> None:
    names = old_names()
    assert names["Lessons"] == "tagging.generator.data" or names["Lessons"] == "table.batches"
    assert len(names) > 140
    assert all(name.replace(".", "_").isidentifier() for name in names)


def test_names_that_several_modules_define_and_how_full_folders_are(tree: Path) -> None:
    repeated = house.repeated_names(house.modules(tree))
    assert repeated == {"look": ["tagline.experts.see.one", "tagline.experts.weights.files"]}
    assert house.folder_sizes(tree)["experts"] == 3


def test_what_is_called_needs_an_example() -> None:
    def plain() -> None:
        """Only words."""

    def shown() -> None:
        """Words and how it is used.

        shown()

            shown()
        """

    class Held:
        """A value."""

    assert [house.is_documented(one) for one in (plain, shown, Held)] == [False, True, True]


def test_what_a_wheel_puts_beside_other_packages(tmp_path: Path) -> None:
    wheel = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as content:
        for name in ("tagline/__init__.py", "experts/x.py", "x-1.dist-info/METADATA"):
            content.writestr(name, "")
    assert house.installed_packages(wheel) == {"tagline", "experts"}


def test_it_is_one_of_the_measurements() -> None:
    assert record.MEASUREMENTS["house"][0] == f"{house.__name__}:measure"
