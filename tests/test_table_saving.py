"""A saved folder is all that a user needs; a wrong one is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from table_fakes import model, pictures

from tagline.experts.weights import check
from tagline.table import saving
from tagline.table.config import TagChoice
from tagline.table.data import Tokenizer
from tagline.table.saving import NotAModel, from_pretrained, save_pretrained
from tagline.tagging.ml.config import BadConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_pretrained(model(), tmp_path / "m", Tokenizer(), results={"validation_t2v_r1": 47.123})
    return tmp_path / "m"


def test_what_is_loaded_is_what_was_saved(folder: Path) -> None:
    saved, before = from_pretrained(folder), model().eval()
    ids = saved.tokenizer(["a dog runs on the beach", "!"], 8)
    assert torch.equal(ids, Tokenizer()(["a dog runs on the beach", "!"], 8))
    with torch.no_grad():
        assert torch.equal(saved.model.encode_texts(ids), before.encode_texts(ids))
        frames, tags = pictures(2), saved.tokenizer(["dog, beach", ""], 6)
        found, wanted = (
            saved.model.encode_videos(frames, None, tags),
            before.encode_videos(frames, None, tags),
        )
        assert torch.equal(found.vectors, wanted.vectors)
    assert saved.model.settings == before.settings
    assert not saved.model.training
    assert saved.results == {"validation_t2v_r1": 47.123}
    assert saved.fingerprint == saving.fingerprint(folder)


def test_the_card_says_what_it_reads_and_how_good_it_is(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "object, speech; at most 8 of each" in card
    assert "| validation_t2v_r1 | 47.12 |" in card
    assert "from_pretrained" in card


def test_the_folder_passes_the_same_checks_as_foreign_weights(folder: Path) -> None:
    check.check_path(folder)


def test_the_fingerprint_knows_weights_and_choice_of_tags(tmp_path: Path) -> None:
    def mark(name: str, **changes: Any) -> str:
        return save_pretrained(model(**changes), tmp_path / name, Tokenizer())

    same = {mark("a"), mark("b")}
    assert len(same) == 1
    assert mark("c", seed=1) not in same
    assert mark("d", tags=TagChoice(("object", "speech"), most=3)) not in same


def change(folder: Path, **keys: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"kind": "other"}, "is no TABLE model"),
        ({"version": 99}, "newer tagline"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"surprise": 1}, "surprise"),
        ({"model": {"architecture": {"text_cfg": {"hf_model_name": "evil/model"}}}}, "hf_model_name"),
        ({"model": {"frames": 3, "trust": True}}, "no key 'trust'"),
    ],
)
def test_a_config_that_is_not_ours_is_refused(folder: Path, keys: dict[str, Any], sentence: str) -> None:
    change(folder, **keys)
    with pytest.raises(BadConfig, match=sentence):
        from_pretrained(folder)


def test_weights_that_do_not_fit_are_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state.pop("residual")
    save_file(state, folder / "model.safetensors")
    with pytest.raises(NotAModel, match="does not fit its configuration \\(residual\\)"):
        from_pretrained(folder)
    save_file({**state, "residual": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(NotAModel, match="does not fit its configuration \\(residual\\)"):
        from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(NotAModel, match="pickle"):
        from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotAModel):
        from_pretrained(folder)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="there is no folder"):
        from_pretrained(tmp_path / "nothing")


def test_pushing_sends_what_the_folder_holds_and_makes_the_repository_private(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: dict[str, Any] = {}

    class Hub:
        def __init__(self, token: str | None = None) -> None:
            calls["token"] = token

        def create_repo(self, name: str, **keywords: Any) -> None:
            calls["create"] = (name, keywords)

        def upload_folder(self, **keywords: Any) -> str:
            calls["upload"] = keywords
            return "address"

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert saving.push_to_hub(folder, "me/mine", token="t") == "address"
    assert calls["create"] == ("me/mine", {"private": True, "exist_ok": True})
    # Either of the two tokenizers may be there.
    other = {saving.CLIP_VOCABULARY, saving.OWN_TOKENIZER} - {p.name for p in folder.iterdir()}
    assert set(calls["upload"]["allow_patterns"]) - other == {p.name for p in folder.iterdir()}
    with pytest.raises(check.UnsafeWeights):
        saving.push_to_hub(folder.parent, "me/mine")
