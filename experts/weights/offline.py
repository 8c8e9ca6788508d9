"""No hub while weights are loaded: settings that came with a folder may name a repository."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def offline() -> Iterator[None]:
    """Hugging Face's library, and what fetches through it (transformers, timm, open_clip), finds no network.

    What lies in the hub's cache is still found. One thread at a time: the switch is the whole process's.
    """
    from huggingface_hub import constants

    with _lock:
        before = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before
