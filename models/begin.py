"""What a training that goes on begins with: the recipe's last model, as long as it is of the same network."""

from collections.abc import Callable
from typing import Final

from models.specification import read_model_specification
from models.trained import SPECIFICATION
from pipeline.storage.artifacts import NotMadeError, Store

WEIGHTS: Final = "model.safetensors"  # as `models.checkpoint` publishes them; importing that would import torch


def last_model(store: Store, partition: str, network: str, identify: Callable[[str | None], str]) -> str | None:
    """The identity of the model that a training goes on from; None where it begins anew.

    Once it is trained it is itself the last model. Asked for again it must not go on from itself, for ever: a last
    model that has the identity of the training asked for begins with what it began with.

    Args:
        store: whose.
        partition: of the model that is asked for.
        network: of that model.
        identify: the identity of that model, begun with the model of another identity or anew.
    """
    try:
        last = store.current("model", partition)
    except NotMadeError:
        return None
    begun: str | None = last.facts.get("begun")
    if last.identity == identify(begun):
        return begun
    told = read_model_specification(last.folder / SPECIFICATION)
    return last.identity if told.settings.network == network else None
