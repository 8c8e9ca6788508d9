"""Whether this installation can do its work: versions, devices, weights, space; and what to do if not.

Whatever may be broken is asked in a process of its own, so that a library that crashes when it is loaded
costs one line of the answer.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from tagline.experts.extras import first_missing
from tagline.tagging.printable import safe

OK, NOTE, BROKEN = "ok", "note", "broken"
PATIENCE = 120.0  # seconds for a library to be loaded; the first time may take long
SPACE_CRITICAL, SPACE_LOW = 1 << 30, 5 << 30  # bytes of free space

# FFmpeg's decoders before this PyAV had a hole that a video could use.
SAFE_PYAV = (18, 1)
CODECS = ("h264", "hevc", "av1", "vp9", "vp8", "mpeg4", "mpeg2video", "aac", "mp3", "opus")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `remedy` says what to do where the state is not ok."""

    topic: str
    state: str  # OK; NOTE: works, and could do more; BROKEN: needed, and does not work
    finding: str
    fix: str = ""
    more: dict[str, Any] = field(default_factory=dict)  # for programs


def examine(library: str | None = None) -> list[Check]:
    """Everything, in the order in which it is told. Slow libraries are asked side by side."""
    with ThreadPoolExecutor(2) as pool:
        decoder, torch = pool.submit(_guarded, decoding), pool.submit(_guarded, torch_devices)
        first = [*_guarded(program), *_guarded(machine), *_guarded(isolation), *_guarded(database)]
        rest = [*_guarded(packages), *_guarded(starter), *_guarded(expert_checks)]
        rest += _guarded(lambda: space(library))
        return [*first, *decoder.result(), *torch.result(), *rest]


def _guarded(look: Callable[[], Iterable[Check]]) -> list[Check]:
    """A check that itself fails is a finding, too."""
    try:
        return list(look())
    except Exception as error:
        name = getattr(look, "__name__", "check").strip("<>")
        return [Check(name, BROKEN, f"could not be checked ({type(error).__name__}: {error})", "report this")]


def program() -> Iterator[Check]:
    try:
        version = metadata.version("tagline")
    except metadata.PackageNotFoundError:
        yield Check("tagline", NOTE, "runs from its source, not installed", "pip install . in its folder")
    else:
        yield Check("tagline", OK, version)
    enough = sys.version_info >= (3, 11)
    remedy = "" if enough else "install Python 3.11 or newer"
    yield Check(
        "python", OK if enough else BROKEN, platform.python_version(), remedy, {"path": sys.executable}
    )


def machine() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    finding = f"{cores} core{'s' if cores > 1 else ''} of {platform.machine()}"
    try:
        import psutil

        memory = psutil.virtual_memory()
        finding += f", {format_bytes(memory.available)} of {format_bytes(memory.total)} memory free"
    except (ImportError, OSError):
        pass
    yield Check("machine", OK, finding, more={"cores": cores, "system": platform.platform()})


def isolation() -> Iterator[Check]:
    """What the kernel keeps a decoder from that a video has taken over."""
    from tagline.experts.decode import landlock, sandbox, syscalls

    more = {"seccomp": syscalls.offered(), "landlock": landlock.version()}
    if lacking := sandbox.lacking():
        yield Check("isolation", NOTE, lacking, "Linux 5.13 or newer with both on has all of it", more)
    else:
        finding = f"the decoder is locked in by a filter of system calls and landlock {more['landlock']}"
        yield Check("isolation", OK, finding, more=more)


def database() -> Iterator[Check]:
    from tagline.tagging.catalog.schema import has_fulltext

    if has_fulltext():
        yield Check("sqlite", OK, f"{sqlite3.sqlite_version} with FTS5")
        return
    yield Check(
        "sqlite",
        BROKEN,
        f"{sqlite3.sqlite_version}, without FTS5, which the catalog needs",
        "use a Python whose SQLite has FTS5, such as that of python.org or of uv",
    )


def decoding() -> Iterator[Check]:
    """The FFmpeg that PyAV has really loaded, and where from."""
    found = run_isolated(_PYAV_PROBE.replace("CODECS", repr(CODECS)))
    if isinstance(found, str):
        yield Check("video", BROKEN, f"PyAV cannot be loaded ({found})", "pip install --force-reinstall av")
        return
    finding = f"PyAV {found['version']} with FFmpeg {found['ffmpeg']}"
    more = {key: found[key] for key in ("libraries", "files")}
    if _numbers(found["version"]) < SAFE_PYAV:
        yield Check(
            "video", BROKEN, f"{finding}, whose decoders are not safe", 'pip install -U "av>=18.1"', more
        )
    elif found["absent"]:
        absent = ", ".join(found["absent"])
        yield Check("video", NOTE, f"{finding}, which cannot decode {absent}", "pip install -U av", more)
    else:
        yield Check("video", OK, finding, more=more)
    foreign = [file for file in found["files"] if "av.libs" not in file and f"{os.sep}av{os.sep}" not in file]
    if foreign:
        yield Check(
            "ffmpeg",
            NOTE,
            f"is not the one that comes with PyAV, but {safe(foreign[0])}",
            "keep it up to date yourself, or pip install --force-reinstall av",
        )


_PYAV_PROBE = """
import av, json, re
wanted = CODECS
files = []
try:
    maps = open("/proc/self/maps", errors="replace").read()
    files = sorted(set(re.findall(r"(/.*libav(?:codec|format)[^/\\n]*)$", maps, re.M)))
except OSError:
    pass
def has(name):
    try:
        return bool(av.codec.Codec(name, "r"))
    except Exception:
        return False
answer = {
    "version": av.__version__,
    "ffmpeg": str(av.ffmpeg_version_info),
    "libraries": {name: ".".join(map(str, v)) for name, v in av.library_versions.items()},
    "files": files,
    "absent": [name for name in wanted if not has(name)],
}
"""


def torch_devices() -> Iterator[Check]:
    """torch, and what it can compute on. The base does without it."""
    if first_missing(["torch"]):
        finding = "not here: the starter looks and listens without it; boxes, motion and CLIP need it"
        yield Check("torch", NOTE, finding, 'pip install "tagline[models]"')
        return
    found = run_isolated(_TORCH_PROBE)
    if isinstance(found, str):
        remedy = "pip install --force-reinstall torch torchvision"
        yield Check("torch", BROKEN, f"cannot be loaded ({found})", remedy)
        return
    yield Check("torch", OK, f"{found['version']}, {found['threads']} threads")
    if found["devices"]:
        for number, (name, memory) in enumerate(found["devices"]):
            yield Check("accelerator", OK, f"{name}, {format_bytes(memory)} (cuda:{number})")
    elif found["mps"]:
        yield Check("accelerator", OK, "Apple GPU (mps)")
    elif found["driver"]:
        yield Check(
            "accelerator",
            NOTE,
            "there is an NVIDIA driver, but torch sees no GPU",
            f"install a torch that fits the driver (this one is built for CUDA {found['cuda'] or 'none'})",
        )
    else:
        yield Check("accelerator", OK, "none; everything runs on the CPU")


_TORCH_PROBE = """
import os, shutil, torch
devices = []
if torch.cuda.is_available():
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        devices.append((about.name, about.total_memory))
answer = {
    "version": torch.__version__,
    "threads": torch.get_num_threads(),
    "cuda": torch.version.cuda,
    "devices": devices,
    "mps": torch.backends.mps.is_available(),
    "driver": os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None,
}
"""


def run_isolated(program: str) -> dict[str, Any] | str:
    """Run a few lines that set `answer`, in a process of their own; what went wrong, if they fail.

    With -P, so that a file called torch.py among somebody's videos is not what is loaded.
    """
    tail = "\nimport json, sys\nsys.stdout.write('\\n' + json.dumps(answer))\n"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-B", "-c", program + tail],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {PATIENCE:.0f} seconds"
    except OSError as error:
        return str(error.strerror)
    if done.returncode < 0:
        return f"the process died of signal {-done.returncode}"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed without a word"])[-1][:300]
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return "it gave no answer"
    return answer


def packages() -> Iterator[Check]:
    """What the base installation asks for, and which extras are here; from the package's own list."""
    try:
        requirements = metadata.requires("tagline") or []
    except metadata.PackageNotFoundError:
        return
    absent, here = [], {}
    extras: dict[str, list[str]] = {}
    for line in requirements:
        name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        wanted_by = re.search(r"extra == ['\"]([^'\"]+)['\"]", line)
        if wanted_by is not None:
            extras.setdefault(wanted_by.group(1), []).append(name)
        elif (version := _version(name)) is None:
            absent.append(name)
        else:
            here[name] = version
    if absent:
        remedy = f"pip install {' '.join(absent)}"
        yield Check("packages", BROKEN, f"not installed: {', '.join(absent)}", remedy, {"versions": here})
    else:
        yield Check("packages", OK, f"all {len(here)} are here", more={"versions": here})
    extras.pop("all", None)  # the sum of the others
    for extra, own in extras.items():
        if extra != "models":  # another extra may contain it
            own = [name for name in own if name not in extras.get("models", [])]
        lacking = [name for name in own if _version(name) is None]
        if lacking:
            yield Check(
                "extra", NOTE, f"{extra}: {', '.join(lacking)} not here", f'pip install "tagline[{extra}]"'
            )
        else:
            yield Check("extra", OK, f"{extra}: {', '.join(f'{name} {_version(name)}' for name in own)}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def starter() -> Iterator[Check]:
    """Whether eyes and ears are here: the libraries of the extra, and the weights."""
    from tagline.experts.weights import tiers

    lacking = sorted({*tiers.lacking_modules(tiers.entries_of("starter")).values()})
    missing = tiers.absent("starter")
    if lacking:
        finding = f"{', '.join(lacking)} not here"
        yield Check("eyes and ears", NOTE, finding, 'pip install "tagline[starter]"', {"modules": lacking})
    if missing:
        names = [entry.name for entry in missing]
        finding = f"the weights {', '.join(names)} are not here: {tiers.describe(missing)}"
        yield Check("eyes and ears", NOTE, finding, "tagline models pull starter", {"weights": names})
    if not lacking and not missing:
        yield Check("eyes and ears", OK, "the starter's libraries and weights are here")


def expert_checks() -> Iterator[Check]:
    """Each expert: whether it can look here and now, else why not. Reads no weights."""
    from tagline.experts.base import available_experts, build_expert
    from tagline.experts.weights import registry, tiers

    working = 0
    for name in available_experts():
        try:
            missing = build_expert(name).missing()
        except Exception as error:  # another package's expert may fail in any way
            missing = f"cannot be set up ({type(error).__name__}: {error})"
        working += missing is None
        if missing is None:
            yield Check("expert", OK, f"{name}: ready")
        else:
            finding, _, remedy = missing.partition("; ")
            yield Check("expert", NOTE, f"{name}: {finding}", remedy)
    if not working:
        yield Check("experts", BROKEN, "none of them can run", "tagline models pull starter")
    entries = registry.entries().values()
    here = [e for e in entries if registry.local_folder(e) is not None or tiers.in_package(e)]
    names = ", ".join(entry.name for entry in here) or "none"
    yield Check(
        "weights",
        OK,
        f"{len(here)} of {len(entries)} are here: {names}",
        more={"here": [entry.name for entry in here], "absent": [e.name for e in entries if e not in here]},
    )


def space(library: str | None = None) -> Iterator[Check]:
    """The library, and room where things are written."""
    from tagline.experts.weights import registry
    from tagline.tagging.catalog import location
    from tagline.tagging.catalog.schema import CatalogError
    from tagline.tagging.catalog.write import Catalog

    try:
        where = location.find_catalog_home(library=library)
        with Catalog.open(where, create=False) as catalog:
            videos = catalog.counts().videos
        yield Check("library", OK, f"{safe(where.file)}, {videos} video{'' if videos == 1 else 's'}")
        yield _room("room for the library", where.file)
    except location.NoCatalog:
        yield Check("library", NOTE, "none here or above", "tagline tag FOLDER makes one")
    except CatalogError as error:
        yield Check("library", BROKEN, str(error), "see above, or name another with --library")
    yield _room("room for weights", registry.weights_home())
    yield _room("room for the cache", registry.hub_cache())
    yield _room("room for temporary files", Path(tempfile.gettempdir()))


def _room(topic: str, path: Path) -> Check:
    there = next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))
    free = shutil.disk_usage(there).free
    finding = f"{format_bytes(free)} free for {safe(path)}"
    more = {"path": safe(path), "free": free}
    if not os.access(there, os.W_OK):
        return Check(topic, NOTE, f"{safe(there)} cannot be written to", "change its rights", more)
    if free < SPACE_CRITICAL:
        return Check(topic, BROKEN, finding, "make room", more)
    return Check(
        topic, NOTE if free < SPACE_LOW else OK, finding, "make room" if free < SPACE_LOW else "", more
    )


def format_bytes(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("bytes", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GB" if count < 1024 else f"{count / 1024:.1f} TB"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
