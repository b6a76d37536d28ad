"""A user's own weights as the start of a training: what fits is taken, what does not is told."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from models.extractor import read_weights
from models.networks import Classifier

_SHOWN_NAMES = 4  # of tensors in a sentence
_WRAPPERS = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put before every name


def take_weights(network: Classifier, path: Path) -> list[str]:
    """Set the network's weights to those of a file, wherever name and shape agree; the rest stays as it is.

    The file may name tensors as we do or as the network's library does; the last layer stays fresh where the file has
    other classes.

    Returns:
        Sentences for people: how much was taken, what stayed fresh, what the file has besides.

    Raises:
        ValueError: the file is damaged, holds other things than weights, or is another network's: less than half of
            the backbone's numbers were found in it.
    """
    found = _renamed(read_weights(path), network.head_elsewhere)
    own = network.state_dict()
    wanted = {name: each for name, each in own.items() if not name.endswith("num_batches_tracked")}
    taken = {name for name, each in wanted.items() if name in found and found[name].shape == each.shape}
    _check_kinship(wanted, taken, path)
    network.load_state_dict({name: found[name] for name in own if name in taken}, strict=False)
    sentences = [f"{len(taken)} of the network's {len(wanted)} tensors are taken from {path.name}"]
    fresh = sorted(set(wanted) - taken)
    shaped = sorted(name for name in fresh if name in found)
    absent = sorted(set(fresh) - set(shaped))
    surplus = sorted(set(found) - set(own))
    for names, what in (
        (shaped, "of another shape there, so begun anew"),
        (absent, "not there, so begun anew"),
        (surplus, "not of this network, so left out"),
    ):
        if names:
            more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
            sentences.append(f"{what}: {', '.join(names[:_SHOWN_NAMES])}{more}")
    return sentences


def _renamed(weights: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    """Tensors under our names, whichever names the file has."""
    bare = {}
    for name, tensor in weights.items():
        for wrapper in _WRAPPERS:
            name = name.removeprefix(wrapper)  # noqa: PLW2901 - one wrapper after the other
        bare[name] = tensor
    if any(name.startswith("backbone.") for name in bare):
        return bare
    last = f"{head}."
    return {
        f"head.{name.removeprefix(last)}" if name.startswith(last) else f"backbone.{name}": tensor
        for name, tensor in bare.items()
    }


def _check_kinship(wanted: Mapping[str, Tensor], taken: set[str], path: Path) -> None:
    backbone = {name: each.numel() for name, each in wanted.items() if name.startswith("backbone.")}
    share = sum(size for name, size in backbone.items() if name in taken) / sum(backbone.values())
    if share < 0.5:
        raise ValueError(
            f"training.weights: {path} has the weights of another network: only {share:.0%} of this one's fit it"
        )
