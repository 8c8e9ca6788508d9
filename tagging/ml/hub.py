"""What all models that are folders share: weights to and from a file, folders to and from the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from tagline.tagging.catalog import approvals
from tagline.tagging.ml.config import BadConfig
from tagline.tagging.printable import safe


def save_weights(model: nn.Module, path: Path) -> None:
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})


def load_weights(model: nn.Module, path: Path, refusal: type[BadConfig]) -> None:
    """Raises the refusal if a tensor is missing, too many or of another shape."""
    state = load_file(path)
    wanted = {key: value.shape for key, value in model.state_dict().items()}
    wrong = sorted(key for key in wanted | state if key not in state or state[key].shape != wanted.get(key))
    if wrong:
        raise refusal(f"{path} does not fit its configuration ({wrong[0]}); save it again")
    model.load_state_dict(state)


def folder_of(
    name: str | Path,
    revision: str | None,
    files: Sequence[str],
    command: str,
    refusal: type[BadConfig],
    *,
    needed: Sequence[str],
) -> Path:
    """The folder of this name, or these files of the hub's repository; `command` makes such folders.

    The hub is asked for names that the user has approved alone, and only for what is not here already: a
    name may come from a catalog that a stranger made.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    wanted = partial(snapshot_download, str(name), revision=revision, allow_patterns=list(files))
    try:
        with suppress(LocalEntryNotFoundError):
            here = Path(wanted(local_files_only=True))
            if all((here / file).is_file() for file in needed):
                return here
        if not approvals.is_approved(str(name)):
            raise refusal(
                f"the model {safe(name)} is not on this machine, and the hub is not asked for a model that "
                f"nobody approved; if you trust it, run `tagline approve {safe(name)}`"
            )
        return Path(wanted())
    except refusal:
        raise
    except HFValidationError:
        raise refusal(f"there is no folder {name}; name one that `{command}` wrote") from None
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise refusal(f"there is no folder {name}, and the hub did not give it: {reason}") from error


def push(folder: Path, repository: str, files: Sequence[str], *, private: bool, token: str | None) -> str:
    """Upload these files of a folder to the hub; returns their address."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    api.create_repo(repository, private=private, exist_ok=True)
    return str(api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=list(files)))


def results_table(results: Mapping[str, Any]) -> list[str]:
    """A card's lines with the figures among the results; none if there are none."""
    flat = {key: value for key, value in results.items() if isinstance(value, int | float)}
    if not flat:
        return []
    return [
        "",
        "| measured on held-out videos | |",
        "|---|---|",
        *(f"| {key} | {value:.4g} |" for key, value in flat.items()),
    ]
