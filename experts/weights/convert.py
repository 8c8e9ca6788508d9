"""Turn a public pickle into safetensors, once, in a child process that may not do anything else.

The child reads with an unpickler of ours that calls nothing by its name (`pickles/unpickle.py`), in the
decoder's sandbox: it gets the pickle and the two files to write already open, and opens nothing more.
Only a detector of ultralytics needs torch, which builds its architecture to compare.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import tagline
from tagline.experts.decode import sandbox
from tagline.experts.printable import safe
from tagline.experts.weights import check

SECONDS = 900
OUTPUT_MOST = 4  # times the input, at most: halves become floats, nothing else grows
MEMORY = 3 << 30  # bytes beyond what the libraries take, and eight times the input
MADE = ("config.json", "model.safetensors")

# What a checkpoint becomes: settings for config.json, and tensors by name.
Contents = tuple[dict[str, Any], dict[str, Any]]


class ConvertFailed(Exception):
    """Why a pickle gave no safetensors, as one sentence for people."""


def convert(source: Path, folder: Path, form: str, name: str) -> None:
    """Write config.json and model.safetensors into `folder` from the pickle `source`."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _in_a_child(source, folder, form, name)
        for made in MADE:
            check.check_file(folder / made)
    except BaseException:
        for made in MADE:
            (folder / made).unlink(missing_ok=True)
        raise


def _in_a_child(source: Path, folder: Path, form: str, name: str) -> None:
    start = (
        f"import sys; sys.path.insert(0, {str(Path(tagline.__file__).resolve().parents[1])!r}); "
        "from tagline.experts.weights import convert; convert.child(*sys.argv[1:])"
    )
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        said = stack.enter_context(tempfile.TemporaryFile())
        files: list[BinaryIO] = [stack.enter_context(source.open("rb"))]
        files += [stack.enter_context((folder / made).open("wb")) for made in MADE]
        handles = [file.fileno() for file in files]
        # -I: nothing of the user's is imported; -B: nothing is left beside the programs.
        command = [sys.executable, "-I", "-B", "-c", start, *map(str, handles), str(os.getpid()), form, name]
        try:
            done = subprocess.run(
                command,
                env=_environment(home),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                pass_fds=handles,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise ConvertFailed(f"{source.name} was not converted within {SECONDS} seconds") from error
        if done.returncode != 0:
            raise ConvertFailed(f"{source.name} cannot be converted: {_last_line(said)}")


@contextlib.contextmanager
def converted(weights: Path, form: str) -> Iterator[Path]:
    """The weights themselves, or, for a pickle of the user's own, a folder with what it was converted to."""
    if weights.suffix not in check.PICKLES:
        yield weights
        return
    with tempfile.TemporaryDirectory() as folder:
        convert(weights, Path(folder), form, weights.stem)
        yield Path(folder)


def _last_line(said: BinaryIO) -> str:
    """What the child said last. It read a stranger's file, so this is text to be made harmless as well."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - 4096))
    lines = [line for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1].strip()[:300] if lines else "the child died"
    return safe(last)


def child(source: str, config: str, model: str, parent: str, form: str, name: str) -> None:
    """What the child process does. Runs nowhere else. Its files are descriptors."""
    sandbox.ignore_interrupts()
    sandbox.die_with(int(parent))
    _load_all(form)
    with (
        os.fdopen(int(source), "rb") as pickle,
        os.fdopen(int(config), "wb") as about,
        os.fdopen(int(model), "wb") as tensors,
    ):
        _guard(os.fstat(pickle.fileno()).st_size, [pickle.fileno(), about.fileno(), tensors.fileno()])
        try:
            write(READERS[form](pickle, name), about, tensors)
        except Exception as error:  # whatever a broken file brings about
            from tagline.experts.pickles.unpickle import Refused

            kind = "it " if isinstance(error, Refused) else ""
            lines = str(error).strip().splitlines() or [type(error).__name__]
            sys.exit(f"{kind}{lines[0][:300]}")


def write(contents: Contents, about: BinaryIO, tensors: BinaryIO) -> None:
    """Settings and tensors as the two files that every converted pickle becomes."""
    from safetensors.numpy import save

    tensors.write(save(contents[1], metadata={"format": "pt"}))
    about.write((json.dumps(contents[0], indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def _load_all(form: str) -> None:
    """Do once on something small what will be done: libraries open files when they are first used."""
    import pickle
    import zipfile

    import numpy as np

    from tagline.experts.pickles.checkpoint import read_checkpoint

    tiny = io.BytesIO()
    with zipfile.ZipFile(tiny, "w") as archive:
        archive.writestr("tiny/data.pkl", pickle.dumps({"a": 1}, 2))
    read_checkpoint(tiny)
    write(({"name": "tiny"}, _tensors({"a": np.ones((2, 2)).T}, tiny)), io.BytesIO(), io.BytesIO())
    if form == "yolo":
        import torch

        from tagline.experts.vision import pickled, yolo

        torch.set_num_threads(1)
        torch.backends.mkldnn.set_flags(False)  # it writes programs at run time, for nothing here
        assert pickled.NAMES
        backbone = [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]]]
        yolo.build_yolo({"nc": 1, "backbone": backbone, "head": [[[0, 1, 2], 1, "Detect", ["nc"]]]})


def _environment(home: str) -> dict[str, str]:
    """Nothing of the user's: no tokens, no proxies, no settings of libraries."""
    needed = ("PATH", "LANG", "SYSTEMROOT", "LD_LIBRARY_PATH")
    return {
        **{key: os.environ[key] for key in needed if key in os.environ},
        "HF_HUB_OFFLINE": "1",
        "HOME": home,
        "TMPDIR": home,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def _guard(size: int, keep: Sequence[int]) -> None:
    """From here on: no network, no programs, no writing but into what is open, little time and memory."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_MOST * size + (1 << 20),) * 2)
    sandbox.limit_memory(MEMORY + 8 * size)
    sandbox.limit_cpu(SECONDS)
    sandbox.confine(keep)

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN):
            raise PermissionError(f"the pickle tried {event}, which weights have no need of")

    sys.addaudithook(refuse)  # where the kernel has no such filter


# Audit events, by how their names begin.
FORBIDDEN = (
    *("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty."),
    *("os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "shutil."),
    *("urllib.", "http.", "ftplib.", "smtplib.", "webbrowser."),
)


def _state(file: BinaryIO, name: str) -> Contents:
    """A table of tensors, or one inside {"model_state": …}.

    safetensors sorts its tensors. Whoever fills a graph of other names by their order finds it in "order".
    """
    from tagline.experts.pickles.checkpoint import read_checkpoint

    found = read_checkpoint(file)
    for key in ("model_state", "state_dict", "model_state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    tensors = _tensors(found, file)
    return {"name": name, "order": list(tensors)}, tensors


def _whisper(file: BinaryIO, name: str) -> Contents:
    """Whisper's own: {"dims": {…}, "model_state_dict": {…}}."""
    from tagline.experts.pickles.checkpoint import read_checkpoint
    from tagline.experts.pickles.unpickle import Refused

    found = read_checkpoint(file)
    dims = found.get("dims") if isinstance(found, dict) else None
    if not isinstance(dims, dict) or not all(type(key) is str and type(dims[key]) is int for key in dims):
        raise Refused("holds no listener of Whisper's")
    config = {"name": name.removeprefix("whisper-"), "dims": dims}
    return config, _tensors(found.get("model_state_dict"), file)


def _yolo(file: BinaryIO, name: str) -> Contents:
    """An ultralytics checkpoint, as float32."""
    import numpy as np

    from tagline.experts.pickles.checkpoint import read_checkpoint
    from tagline.experts.vision import pickled, yolo

    found = pickled.read_pickled(read_checkpoint(file, pickled.NAMES))
    config = yolo.config_of(found)
    floats = {
        key: value.astype(np.float32) if value.dtype.kind == "f" else value
        for key, value in found.tensors.items()
    }
    return config, _tensors(floats, file)


READERS: dict[str, Callable[[BinaryIO, str], Contents]] = {
    "yolo": _yolo,
    "whisper": _whisper,
    "state": _state,
}


def _tensors(found: Any, file: BinaryIO) -> dict[str, Any]:
    """Tensors that share nothing, if that is what they are and they are not much more than the file."""
    import numpy as np

    from tagline.experts.pickles.unpickle import Refused, shown

    if not isinstance(found, dict) or not found:
        raise Refused("holds no table of tensors")
    for key, value in found.items():
        if type(key) is not str or not isinstance(value, np.ndarray):
            raise Refused(f"has something under {shown(key)} that is no tensor")
    if sum(value.nbytes for value in found.values()) > OUTPUT_MOST * file.seek(0, os.SEEK_END):
        raise Refused("would become far larger than it is")
    return {key: value.copy(order="C") for key, value in found.items()}
