"""Configurations: presets are the papers', settings are checked, mistakes end in a sentence."""

from __future__ import annotations

import json

import pytest

from tagline.table import config
from tagline.table.config import ModelConfig, TableConfig, TagChoice, load_preset
from tagline.tagging.ml.config import BadConfig, as_dict, digest, from_dict, with_settings


@pytest.mark.parametrize("name", config.preset_names())
def test_a_preset_survives_being_written_down(name: str) -> None:
    found = load_preset(name)
    assert from_dict(TableConfig, json.loads(json.dumps(as_dict(found)))) == found


@pytest.mark.parametrize("name", config.preset_names())
def test_the_weights_of_a_preset_can_be_pulled(name: str) -> None:
    from tagline.experts.weights.registry import entries

    found = load_preset(name).train.weights
    assert found is None or found in entries()


@pytest.mark.parametrize(
    ("name", "text", "tag", "frames", "batch", "tokens", "speech"),
    [
        ("msrvtt", 32, 32, 12, 128, "eos", True),
        ("msvd", 32, 32, 12, 128, "eos", False),
        ("lsmdc", 32, 32, 12, 128, "eos", False),
        ("didemo", 64, 32, 32, 48, "all", True),
    ],
)
def test_the_presets_are_the_papers(
    name: str, text: int, tag: int, frames: int, batch: int, tokens: str, speech: bool
) -> None:
    found = load_preset(name)
    model, train = found.model, found.train
    assert (model.text_length, model.tag_length, model.frames) == (text, tag, frames)
    assert (train.batch, train.epochs, train.lr_towers, train.lr_fusion) == (batch, 5, 1e-7, 1e-4)
    assert (model.layers, model.heads, model.tag_tokens) == (4, 8, tokens)
    assert model.tags.modalities[:4] == ("object", "person", "scene", "motion")
    assert ("speech" in model.tags.modalities) == speech
    assert model.vtm
    assert model.mlm
    assert train.protocol == ("paragraph" if name == "didemo" else "single")


def test_tags_are_read_in_the_papers_order_however_they_were_named() -> None:
    found = TagChoice(modalities=("generated", "motion", "screen", "object"))
    assert found.modalities == ("object", "motion", "screen", "generated")


def test_settings() -> None:
    found = with_settings(
        load_preset("msrvtt"),
        [
            "frames=8",
            "train.batch=64",
            "modalities=speech,object",
            "weights=null",
            "residual=frame",
            "most=3",
        ],
    )
    assert found.model.frames == 8
    assert found.train.batch == 64
    assert found.model.tags == TagChoice(("object", "speech"), most=3)
    assert found.train.weights is None
    assert found.model.residual == "frame"
    assert with_settings(found, ["model.tags.modalities=[]"]).model.tags.modalities == ()
    assert with_settings(found, ["lr_towers=1"]).train.lr_towers == 1.0


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("frmes=8", "did you mean 'frames'"),
        ("frames", "key=value"),
        ("frames=many", "whole number"),
        ("frames=true", "whole number"),
        ("frames=0", "at least 1"),
        ("residual=sum", "one of mean, frame"),
        ("modalities=object,smell", "no modality 'smell'"),
        ("share=3", "no multiple of share"),
        ("validation=0.0", "between 0 and 1"),
        ("layers=0", "turn those off"),
    ],
)
def test_a_wrong_setting_is_refused_in_a_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(BadConfig, match=sentence):
        with_settings(load_preset("msrvtt"), [setting])


def test_unknown_keys_are_refused_and_never_ignored() -> None:
    with pytest.raises(BadConfig, match="no key 'auto_map'"):
        from_dict(ModelConfig, {"auto_map": {}})
    with pytest.raises(BadConfig, match="there is no preset 'msvrtt'"):
        load_preset("msvrtt")


def test_the_digest_knows_the_choice_of_tags() -> None:
    plain = as_dict(ModelConfig())
    assert digest(plain) == digest(as_dict(ModelConfig()))
    assert digest(plain) != digest(as_dict(ModelConfig(tags=TagChoice(most=7))))
