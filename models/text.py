"""Any transformer of Hugging Face as a text encoder: mean of its last hidden states, length 1.

Strings are encoded with others of about their length, so that little of a batch is padding, and in bfloat16 where the
hardware multiplies it. Only safetensors are read, and no code of a model's own is run.
"""

import hashlib
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.gang import has_bfloat16
from pipeline.evidence.semantic import BUILT_IN, Encoder, SemanticSettings
from pipeline.storage.artifacts import identity

CODE_VERSION: Final = "1"
#: Tokens of one batch, padding counted.
BATCH_TOKENS: Final = 4096
#: Strings of one batch, however short.
BATCH_STRINGS: Final = 256
#: The files of a model that its vectors depend on, and all that is fetched of one on the hub.
_READ: Final = ("*.json", "*.safetensors", "*.txt", "*.model")
_ON_THE_HUB: Final = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")
_REMEDY: Final = (
    'name a folder that save_pretrained wrote, a model on the hub with the 40 digits of its commit, or "lsa"'
)

Floats = npt.NDArray[np.float32]


class EncoderError(ValueError):
    """The named encoder cannot be used; the message says why and what to do."""


def encoder_of(settings: SemanticSettings) -> Encoder | None:
    """The transformer that the settings name, for `make_semantic`; None where they name the built-in encoder.

    Raises:
        EncoderError: there is no such folder or model, or its weights are not safetensors.
    """
    return None if settings.encoder == BUILT_IN else transformer_encoder(settings.encoder, settings.tokens)


def transformer_encoder(name: str, tokens: int) -> Encoder:
    """The encoder that `semantic.encoder` names.

    Args:
        name: a folder that `save_pretrained` wrote, or OWNER/MODEL@COMMIT on the hub, which is fetched once.
        tokens: of a string that are read, the model's own marks among them.

    Raises:
        EncoderError: there is no such folder or model, or its weights are not safetensors.
    """
    folder = Path(name) if Path(name).is_dir() else _fetched(name)
    _check(folder, name)
    files = sorted({path for pattern in _READ for path in folder.glob(pattern)})
    told = {"tokens": tokens, "bfloat16": has_bfloat16(_device())}
    own = identity("transformer", CODE_VERSION, told, [f"{path.name} {_sha256(path)}" for path in files])
    return Encoder(own, lambda: Transformer(folder, tokens), accelerated=True)


class Transformer:
    """A loaded model. Calling it encodes strings; threads wait for each other, as a forward pass has every core."""

    def __init__(self, folder: Path, tokens: int) -> None:
        """Load the model in `folder`, whose strings are cut off at so many tokens."""
        from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - seconds; only where a transformer is asked for

        self._made_of = folder, tokens
        self._device = _device()
        self._bfloat16 = has_bfloat16(self._device)
        told: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **told)
        model = AutoModel.from_pretrained(
            folder, use_safetensors=True, dtype=torch.bfloat16 if self._bfloat16 else torch.float32, **told
        )
        self._model = model.to(self._device).eval()
        self._width = int(model.config.hidden_size)
        self._tokens = min(tokens, getattr(model.config, "max_position_embeddings", tokens))
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another machine loads the model itself, from the same folder."""
        return Transformer, self._made_of

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(len(texts), D) vectors of length 1."""
        vectors = np.zeros((len(texts), self._width), np.float32)
        if not texts:
            return vectors
        with self._lock, torch.inference_mode():
            ids = self._tokenizer(list(texts), truncation=True, max_length=self._tokens)["input_ids"]
            lengths = np.array([len(own) for own in ids])
            for chosen in _batches(lengths):
                vectors[chosen] = self._forward([ids[i] for i in chosen])
        return vectors

    def _forward(self, ids: Sequence[Sequence[int]]) -> Floats:
        longest = max(len(own) for own in ids)
        padded = torch.full((len(ids), longest), self._tokenizer.pad_token_id or 0)  # (B, T)
        mask = torch.zeros((len(ids), longest), dtype=torch.long)
        for row, own in enumerate(ids):
            padded[row, : len(own)] = torch.tensor(own)
            mask[row, : len(own)] = 1
        mask = mask.to(self._device)
        hidden = self._model(input_ids=padded.to(self._device), attention_mask=mask).last_hidden_state  # (B, T, D)
        weight = mask.unsqueeze(-1).float()
        mean = (hidden.float() * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        found: Floats = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return found


def _batches(lengths: npt.NDArray[np.integer[Any]]) -> Iterator[npt.NDArray[np.int64]]:
    """Positions of strings of about one length, the longest first; each batch within the limits."""
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        size = min(BATCH_STRINGS, max(1, BATCH_TOKENS // max(int(lengths[order[first]]), 1)))
        yield order[first : first + size]
        first += size


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _fetched(name: str) -> Path:
    """The files of a model on the hub as they were at one commit: a name alone could become another model overnight."""
    named = _ON_THE_HUB.fullmatch(name)
    if named is None:
        raise EncoderError(f"semantic.encoder: {name!r} is no folder here, and no OWNER/MODEL@COMMIT: {_REMEDY}")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only where a model on the hub is asked for
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415 - same

    try:
        return Path(snapshot_download(named[1], revision=named[2], allow_patterns=list(_READ)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise EncoderError(f"semantic.encoder: the hub does not give {name!r} ({error}): {_REMEDY}") from None


def _check(folder: Path, name: str) -> None:
    """Refuse a folder that is no model, or that only holds pickles: reading those would run what they say."""
    if not (folder / "config.json").exists():
        raise EncoderError(f"semantic.encoder: {name} holds no config.json: name a folder that save_pretrained wrote")
    if not list(folder.glob("*.safetensors")):
        raise EncoderError(
            f"semantic.encoder: {name} holds no safetensors, and weights in pickles are not read, because reading a "
            "pickle runs what it says: write the model again with save_pretrained"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
