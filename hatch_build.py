"""Refuses an editable install of a checkout whose links to the rooms are not links."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Links(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" and not (Path(self.root) / "tagline" / "experts").is_dir():
            raise RuntimeError(
                "this checkout has no symbolic links, and an editable install needs them: clone it with "
                "`git clone -c core.symlinks=true` (on Windows in developer mode), or use `pip install .`"
            )
