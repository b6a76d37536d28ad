"""A trained model as files that go elsewhere: weights, specification, classes, and graphs that other programs run.

A graph takes pictures as they are stored, uint8 [B, S, S, 3] in RGB, and gives logits, float32 [B, C]: what is
subtracted and divided is inside. It is run on stored pictures before it is handed out, and must say what the network
says.
"""

import importlib.util
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.checkpoint import WEIGHTS, load_model
from models.networks import Classifier, normalise
from models.specification import ModelSpecification
from models.trained import CLASSES, SPECIFICATION, Trained
from pipeline.storage.atomic import atomic_file, publish_json

Format = Literal["safetensors", "torchscript", "onnx"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
GRAPHS: Final[dict[Format, str]] = {"torchscript": "model.torchscript.pt", "onnx": "model.onnx"}
#: Of logits, beside a share as large of their size: what the order of float32 sums may change, and nothing more.
TOLERANCE: Final = 1e-4
CHECKED: Final = 16  # stored pictures that a graph is compared on
_ONNX_NEEDS: Final = ("onnx", "onnxscript", "onnxruntime")
Pixels = npt.NDArray[np.uint8]


class Deployed(nn.Module):
    """A network with its preprocessing; the numbers of that are buffers, so that they go where the network goes."""

    shift: Tensor
    scale: Tensor

    def __init__(self, network: Classifier, told: ModelSpecification) -> None:
        """`told`: the numbers of the preprocessing."""
        super().__init__()
        self.network = network
        self.register_buffer("shift", torch.tensor(told.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("scale", torch.tensor(told.std).view(1, 3, 1, 1) * 255)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits [B, C] of uint8 pictures [B, S, S, 3]."""
        images = (pixels.permute(0, 3, 1, 2).float() - self.shift) / self.scale
        logits: Tensor = self.network(images)
        return logits


def check_format(form: str) -> Format:
    """The format of that name.

    Raises:
        ValueError: there is none, or what it takes is not installed.
    """
    if form not in FORMATS:
        raise ValueError(f"format {form!r}: there are {', '.join(FORMATS)}")
    lacking = [name for name in _ONNX_NEEDS if importlib.util.find_spec(name) is None]
    if form == "onnx" and lacking:
        raise ValueError(f"ONNX takes {', '.join(lacking)}, not installed here: pip install {' '.join(lacking)}")
    return form


def check_single(trained: Trained) -> None:
    """Raises ValueError where a name means several networks; the message tells which."""
    if len(trained.networks) != 1:
        members = ", ".join(path.parent.name for path in trained.networks)
        raise ValueError(f"{trained.name} is several networks: export each of {members}, or a student that it taught")


def write_model(trained: Trained, form: Format, folder: Path, pixels: Pixels) -> float | None:
    """Weights, specification and classes, and a graph where one is asked for.

    Args:
        trained: a single network.
        form: what beside the weights.
        folder: it is written to.
        pixels: uint8 [n, S, S, 3], stored pictures that a graph is compared on; at least one where there is a graph.

    Returns:
        The largest difference between the logits of graph and network; None where there is no graph.

    Raises:
        ValueError: it is an ensemble, or the graph says other than the network.
    """
    check_single(trained)
    (source,) = trained.networks
    for name in (WEIGHTS, SPECIFICATION):
        with atomic_file(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)
    publish_json(folder / CLASSES, [_told(number, trained) for number in range(len(trained.classes))])
    network, specification = load_model(folder)
    if form == "safetensors":
        return None
    deployed = Deployed(network, specification).eval()
    with torch.inference_mode():
        images = normalise(torch.from_numpy(pixels), specification.mean, specification.std)
        wanted = network(images).numpy()
    path = folder / GRAPHS[form]
    with atomic_file(path) as temporary:
        run = (_write_torchscript if form == "torchscript" else _write_onnx)(deployed, temporary, pixels)
        return _compare(path, wanted, run)


def _told(number: int, trained: Trained) -> dict[str, Any]:
    label = trained.classes[number]
    return {"class_index": number, "wnid": label.wnid, "names": list(label.names), "gloss": label.gloss}


def _compare(path: Path, wanted: npt.NDArray[np.float32], run: Callable[[slice], npt.NDArray[np.float32]]) -> float:
    """The largest difference, over batches of two sizes: a graph must not have learned one by heart."""
    parts = [slice(0, 1), slice(1, len(wanted))] if len(wanted) > 1 else [slice(0, 1)]
    found = np.concatenate([run(part) for part in parts])
    away = np.abs(found - wanted)
    if not (away <= TOLERANCE * (1 + np.abs(wanted))).all():
        raise ValueError(f"{path.name} says other than the network: logits differ by up to {away.max():.3g}")
    return float(away.max())


def _write_torchscript(deployed: Deployed, path: Path, pixels: Pixels) -> Callable[[slice], npt.NDArray[np.float32]]:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", FutureWarning)  # newer torch prefers torch.export, which C++ cannot run alone
        torch.jit.save(torch.jit.trace(deployed, torch.from_numpy(pixels[:1])), path)  # type: ignore[no-untyped-call]
        graph = torch.jit.load(path)  # type: ignore[no-untyped-call]

    def run(part: slice) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(graph(torch.from_numpy(pixels[part])).numpy())

    return run


def _write_onnx(deployed: Deployed, path: Path, pixels: Pixels) -> Callable[[slice], npt.NDArray[np.float32]]:
    import onnxruntime  # type: ignore[import-not-found]  # noqa: PLC0415 - nobody else needs it

    batch = torch.export.Dim("batch", min=1)
    torch.onnx.export(
        deployed,
        (torch.from_numpy(np.repeat(pixels[:1], 2, axis=0)),),
        path,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes=({0: batch},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda part: np.asarray(session.run(["logits"], {"pixels": pixels[part]})[0])
