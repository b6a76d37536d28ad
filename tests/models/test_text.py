"""The transformer encoder: equal to the plain way, whatever the batches; pickles and strangers are refused."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import text as module
from models.text import EncoderError, Transformer, encoder_of, transformer_encoder
from pipeline.evidence.semantic import SemanticSettings
from pipeline.storage.shelf import Shelf, unpacked

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "rose", "petal", "##s", "car", "red", "the", ":", ",", "."]
TEXTS = ["rose", "the red rose", "petals . petals . petals", "car", "", "unheard", "the " * 40, "red car , red rose"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights, as `save_pretrained` writes one."""
    from transformers import BertConfig, BertModel, BertTokenizer  # noqa: PLC0415 - seconds, for this file alone

    made = tmp_path_factory.mktemp("bert")
    (made / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizer(vocab=str(made / "vocab.txt"))
    assert tokenizer.tokenize("Petals") == ["petal", "##s"]
    tokenizer.save_pretrained(made)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(made)
    return made


def plainly(folder: Path, texts: list[str], tokens: int) -> torch.Tensor:
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - as above

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    given = tokenizer(texts, padding="max_length", truncation=True, max_length=tokens, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**given).last_hidden_state
    rows = [row[mask.bool()].mean(dim=0) for row, mask in zip(hidden, given["attention_mask"], strict=True)]
    return torch.nn.functional.normalize(torch.stack(rows), dim=1)


@pytest.mark.parametrize(("strings", "tokens"), [(256, 4096), (2, 4096), (256, 5)])
def test_equals_padded_float32(folder: Path, monkeypatch: pytest.MonkeyPatch, strings: int, tokens: int) -> None:
    monkeypatch.setattr(module, "has_bfloat16", lambda _: False)
    monkeypatch.setattr(module, "BATCH_STRINGS", strings)
    monkeypatch.setattr(module, "BATCH_TOKENS", tokens)
    found = Transformer(folder, 12)(TEXTS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plainly(folder, TEXTS, 12), atol=1e-5)


def test_bfloat16_is_about_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_bfloat16", lambda _: True)
    found = Transformer(folder, 12)(TEXTS)
    assert (found * plainly(folder, TEXTS, 12).numpy()).sum(axis=1).min() > 0.995
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


def test_another_machine_loads_it_from_its_folder(folder: Path, tmp_path: Path) -> None:
    encoder = transformer_encoder(str(folder), 12)
    assert encoder.accelerated
    with Shelf(tmp_path).packed(encoder.open()) as data:
        assert len(data) < 1000  # no weights
        there = unpacked(data)
    np.testing.assert_array_equal(there(TEXTS), Transformer(folder, 12)(TEXTS))


def test_little_is_padding() -> None:
    lengths = np.array([3, 50, 4, 3, 49, 5])
    assert [list(batch) for batch in module._batches(lengths)] == [[1, 4, 5, 2, 0, 3]]
    lengths = np.repeat([64, 2], [100, 600])
    batches = list(module._batches(lengths))
    assert sorted(np.concatenate(batches).tolist()) == list(range(700))
    assert all(len(own) <= 256 and lengths[own].max() * len(own) <= 4096 for own in batches)


def test_longer_texts_are_cut_off_and_no_texts_are_none(folder: Path) -> None:
    encode = Transformer(folder, 5)
    np.testing.assert_array_equal(encode(["rose red car"]), encode(["rose red car petal petal"]))
    assert Transformer(folder, 500)(["the " * 600]).shape == (1, 16)  # the model itself reads 32
    assert encode([]).shape == (0, 16)


def test_identity_is_the_files_and_what_is_read(folder: Path, tmp_path: Path) -> None:
    first = transformer_encoder(str(folder), 12)
    assert first.identity == transformer_encoder(str(folder), 12).identity
    assert first.identity != transformer_encoder(str(folder), 13).identity
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert first.identity == transformer_encoder(str(tmp_path), 12).identity  # wherever it lies
    (tmp_path / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert first.identity != transformer_encoder(str(tmp_path), 12).identity
    assert first.open()(["rose"]).shape == (1, 16)


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(EncoderError, match=r"holds no safetensors.*write the model again with save_pretrained"):
        transformer_encoder(str(tmp_path), 12)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"holds no config\.json"):
        transformer_encoder(str(tmp_path), 12)


def test_the_hub_is_asked_for_one_commit_and_for_no_pickle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def snapshot(name: str, **told: Any) -> str:
        asked.append((name, told))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    for name in ("owner/model", "owner/model@main", "no/such/model", f"owner/model@{'a' * 39}", f"model@{'a' * 40}"):
        with pytest.raises(EncoderError, match="is no folder here, and no OWNER/MODEL@COMMIT: name a folder"):
            transformer_encoder(name, 12)
    assert asked == []
    assert transformer_encoder(f"owner/model@{'a' * 40}", 12).identity == transformer_encoder(str(folder), 12).identity
    ((name, told),) = asked
    assert (name, told["revision"]) == ("owner/model", "a" * 40)
    assert not any(fnmatch(file, pattern) for pattern in told["allow_patterns"] for file in ("a.bin", "a.py", "a.pt"))


def test_a_model_s_own_code_is_not_run(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = (folder / "config.json").read_text().replace('"bert"', '"own"')
    (tmp_path / "config.json").write_text(
        config.replace("{", '{"auto_map": {"AutoModel": "own.Own", "AutoConfig": "own.C"},', 1)
    )
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ValueError, match=r"trust_remote_code|does not recognize"):
        Transformer(tmp_path, 12)
    assert not (tmp_path / "ran").exists()


def test_the_built_in_encoder_is_no_transformer(folder: Path) -> None:
    assert encoder_of(SemanticSettings()) is None
    assert encoder_of(SemanticSettings(encoder=str(folder))) is not None
