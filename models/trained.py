"""Which networks a name means: those of the store, by recipe, seed or ensemble, or one exported to a folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.stages.ensemble import ENSEMBLES, combiner, current_ensemble
from pipeline.storage.artifacts import NotMadeError, Store, seeded
from pipeline.storage.atomic import read_json
from pipeline.storage.tables import read_table

SPECIFICATION = "specification.json"
CLASSES = "classes.json"
Combine = Callable[[npt.NDArray[np.floating[Any]]], npt.NDArray[np.float16]]


@dataclass(frozen=True)
class ClassLabel:
    """One class as it is told to people; the words are a crawl's and untrusted."""

    wnid: str  # WordNet id, or the folder's or label's name
    names: tuple[str, ...]  # most usual first
    gloss: str

    @property
    def name(self) -> str:
        """What it is mostly called."""
        return self.names[0] if self.names else self.wnid


@dataclass(frozen=True)
class Trained:
    """What is needed to name pictures: networks, how they are combined, and the classes they know."""

    name: str  # recipe@seed, or the folder
    networks: tuple[Path, ...]  # folders of weights and specification, one a member
    combine: Combine | None  # None: a single network
    classes: tuple[ClassLabel, ...]


def find_trained(store: Store, name: str, seed: int) -> Trained:
    """The model that a name means.

    Args:
        store: where models lie.
        name: a recipe or an ensemble, perhaps with "@seed"; or the folder of an exported model.
        seed: where the name tells none.

    Raises:
        NotMadeError: there is none of that name; the message tells which there are.
        ValueError: an ensemble is older than its members, or the folder is no exported model.
    """
    recipe, _, told = name.partition("@")
    partition = name if told else seeded(recipe, seed)
    if recipe in ENSEMBLES:
        return _ensemble(store, partition)
    if partition in store.partitions("model"):
        return Trained(partition, (store.current("model", partition).folder,), None, classes_of(store))
    if (Path(name) / SPECIFICATION).exists():
        return exported(Path(name))
    there = [each for each in store.partitions("model") if ".fold-" not in each]
    there += [each for each in store.partitions("predictions") if each.rpartition("@")[0] in ENSEMBLES]
    raise NotMadeError(
        f"{store.root} holds no model {partition} and {name} is no folder of an exported one; there are: "
        f"{', '.join(there) or 'none yet'}"
    )


def exported(folder: Path) -> Trained:
    """A model that `winnow export-model` wrote.

    Raises:
        ValueError: the list of its classes is missing or broken.
    """
    try:
        told = read_json(folder / CLASSES)
        classes = tuple(ClassLabel(str(one["wnid"]), tuple(map(str, one["names"])), str(one["gloss"])) for one in told)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{folder / CLASSES}: no list of classes as `winnow export-model` writes it: {error}"
        ) from None
    return Trained(str(folder), (folder,), None, classes)


def classes_of(store: Store) -> tuple[ClassLabel, ...]:
    """The store's catalogue in the order of class_index.

    Raises:
        NotMadeError: the store knows no crawl.
    """
    crawls = store.partitions("listing")
    if not crawls:
        raise NotMadeError(f"{store.root} holds no crawl yet: run `winnow run` first")
    listing = store.current("listing", crawls[0])
    rows = read_table(listing.table("classes"), ("class_index", "wnid", "lemmas", "gloss")).sort_by("class_index")
    return tuple(ClassLabel(row["wnid"], tuple(row["lemmas"] or ()), row["gloss"] or "") for row in rows.to_pylist())


def _ensemble(store: Store, partition: str) -> Trained:
    name, _, seed = partition.rpartition("@")
    found = store.current("predictions", partition)
    if current_ensemble(store, name, int(seed)) is None:
        raise ValueError(f"{partition} is older than its members: bring it up to date with `winnow run`")
    networks = tuple(store.current("model", member).folder for member in found.facts["members"])
    return Trained(partition, networks, combiner(found), classes_of(store))
