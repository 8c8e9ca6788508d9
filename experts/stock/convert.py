"""Turn a public pickle into safetensors, once, in a child process that may not do anything else.

The child reads with torch's restricted unpickler, which knows tensors and plain containers. YOLO files
hold whole modules; for them it also knows the classes of layers, and only those.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from experts.stock import safe

SECONDS = 900
OUTPUT_MOST = 4  # times the input, at most: halves become floats, nothing else grows


class ConvertFailed(Exception):
    """Why a pickle gave no safetensors, as one sentence for people."""


def convert(source: Path, folder: Path, form: str, name: str) -> None:
    """Write config.json and model.safetensors into `folder` from the pickle `source`."""
    folder.mkdir(parents=True, exist_ok=True)
    start = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
        "from experts.stock import convert; convert.child(*sys.argv[1:])"
    )
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-I", "-c", start, str(source), str(folder), form, name]
        try:
            done = subprocess.run(
                command, env=_environment(home), cwd=home, capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired as error:
            raise ConvertFailed(f"{source.name} was not converted within {SECONDS} seconds") from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise ConvertFailed(f"{source.name} cannot be converted: {said[-1] if said else 'the child died'}")
    for made in ("config.json", "model.safetensors"):
        safe.check_file(folder / made)


def child(source: str, folder: str, form: str, name: str) -> None:
    """What the child process does. Runs nowhere else."""
    import torch  # before the guard: loading libraries opens files and maps memory

    torch.set_num_threads(1)
    if form == "yolo":
        from experts.seeing.yolo import ultralytics

        ultralytics()
    readers = {"yolo": _yolo, "whisper": _whisper, "state": _state}
    _guard(Path(source).stat().st_size)
    try:
        readers[form](Path(source), Path(folder), name)
    except Exception as error:
        lines = str(error).strip().splitlines()
        sys.exit(f"{type(error).__name__}: {lines[0][:300] if lines else ''}")


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


def _guard(size: int) -> None:
    """From here on: no network, no programs, little time and little disk."""
    import ctypes

    try:
        import resource
    except ImportError:  # Windows has no such limits; the restricted unpickler and the hook remain
        resource = None  # type: ignore[assignment]
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_MOST * size + (1 << 20),) * 2)
        resource.setrlimit(resource.RLIMIT_AS, ((64 << 30) + 16 * size,) * 2)
    if sys.platform == "linux":
        new_user, new_net = 0x10000000, 0x40000000
        library = ctypes.CDLL(None, use_errno=True)
        # An empty network namespace; not every machine lets a user have one, so the hook says no as well.
        library.unshare(new_net) == 0 or library.unshare(new_user | new_net)

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN):
            raise PermissionError(f"the pickle tried {event}, which weights have no need of")

    sys.addaudithook(refuse)


# Audit events, by how their names begin.
FORBIDDEN = (
    *("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty."),
    *("os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "shutil."),
    *("urllib.", "http.", "ftplib.", "smtplib.", "webbrowser."),
)


def _load(source: Path, allowed: list[Any] | None = None) -> Any:
    import torch

    with torch.serialization.safe_globals(allowed or []):
        return torch.load(source, map_location="cpu", weights_only=True)


def _state(source: Path, folder: Path, name: str) -> None:
    """A table of tensors, or one inside {"model_state": …}."""
    found = _load(source)
    for key in ("model_state", "state_dict", "model_state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    _save(found, {"name": name}, folder)


def _whisper(source: Path, folder: Path, name: str) -> None:
    """Whisper's own: {"dims": {…}, "model_state_dict": {…}}."""
    found = _load(source)
    dims = {str(key): int(value) for key, value in found["dims"].items()}
    _save(found["model_state_dict"], {"name": name.removeprefix("whisper-"), "dims": dims}, folder)


def _yolo(source: Path, folder: Path, name: str) -> None:
    """An ultralytics checkpoint: the averaged model if there is one, else the model."""
    from experts.seeing.yolo import save_yolo

    found = _load(source, _layers(source))
    model = found.get("ema") or found["model"]
    size = (found.get("train_args") or {}).get("imgsz", 640)
    save_yolo(model.float(), folder, imgsz=int(max(size) if isinstance(size, list | tuple) else size))


def _layers(source: Path) -> list[Any]:
    """The classes that the file names, if each is a layer of torch or ultralytics."""
    import importlib

    import torch

    allowed: list[Any] = []
    for full in torch.serialization.get_unsafe_globals_in_checkpoint(source):
        if full in ("builtins.getattr", "__builtin__.getattr"):
            allowed.append((_method, full))
            continue
        module, _, attribute = full.rpartition(".")
        kind = None
        if module.startswith(("torch.nn.modules.", "ultralytics.nn.")):
            kind = getattr(importlib.import_module(module), attribute, None)
        if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
            raise ValueError(f"it names {full}, which is no layer")
        allowed.append(kind)
    return allowed


def _method(owner: Any, name: str) -> Any:
    """What `getattr` may be in a checkpoint: a layer's own method, kept as an attribute, not called."""
    import torch

    layer = owner if isinstance(owner, type) else type(owner)
    if not issubclass(layer, torch.nn.Module) or name.startswith("_"):
        raise ValueError(f"it reaches for {name} of {layer.__name__}")
    return getattr(owner, name)


def _save(tensors: Any, config: dict[str, Any], folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    plain = {}
    for key, value in tensors.items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(f"{key} is no tensor")
        plain[str(key)] = value.detach().clone().contiguous()  # a copy: shared memory is not kept
    save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
