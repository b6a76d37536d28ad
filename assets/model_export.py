"""`winnow export-model`: a trained network as a folder that goes elsewhere, with a card that tells what it is."""

from pathlib import Path

import numpy as np
from rich.console import Console

from assets.settings import recorded_settings
from models.card import Card, SplitScore, card_text
from models.export import CHECKED, Format, check_format, check_single, write_model
from models.specification import read_model_specification
from models.trained import SPECIFICATION, Trained, find_trained
from pipeline.export.folder import publish_folder
from pipeline.intervals import shares_of, sureties
from pipeline.records import SPLITS
from pipeline.stages.summary import judged_by
from pipeline.storage.arrays import ArrayShards
from pipeline.storage.artifacts import Store, identity, inputs_of
from pipeline.storage.atomic import publish_bytes
from pipeline.storage.draft import Draft, Facts
from pipeline.storage.tables import count_rows

CARD = "README.md"
CODE_VERSION = "1"


def export_model(store: Store, model: str, folder: Path, form: str, console: Console) -> None:
    """Write weights, specification, classes, card and, where asked for, a graph that other programs run.

    Args:
        store: where the model lies.
        model: a recipe, perhaps with "@seed".
        folder: to write; it must be empty or not be there yet.
        form: one of models.export.FORMATS.
        console: of the terminal.

    Raises:
        ValueError: there is no such format or what it takes is not there, something else stands in the folder, the
            model is an ensemble, or the graph says other than the network.
        LookupError: the store holds no such model.
    """
    chosen = check_format(form)
    trained = find_trained(store, model, recorded_settings(store).seeds[0])
    check_single(trained)
    made_of = [store.current("model", trained.name)]
    if trained.name in store.partitions("predictions"):
        made_of.append(store.current("predictions", trained.name))

    def build(draft: Draft) -> Facts:
        difference = write_model(trained, chosen, draft.folder, _stored_pictures(store))
        publish_bytes(draft.folder / CARD, card_text(_card(store, trained, chosen, difference)).encode())
        return {"name": trained.name, "format": chosen}

    wanted = identity("model-export", CODE_VERSION, {"format": chosen}, inputs_of(made_of))
    export = publish_folder(folder, wanted, store.root / "locks", build)
    console.print(f"model: {export.folder}{'' if export.made else ', as it stood'}", highlight=False, soft_wrap=True)


def _stored_pictures(store: Store) -> np.ndarray:
    """uint8 [n, S, S, 3]: a few of the pictures that networks were trained on."""
    crawls = store.partitions("images")
    pixels = ArrayShards([store.current("images", crawl).table("pixels") for crawl in crawls])
    filled = next((shard for shard in pixels.shards if len(shard)), pixels.shards[0])
    return np.array(filled[:CHECKED])


def _card(store: Store, trained: Trained, form: Format, difference: float | None) -> Card:
    recipe = recorded_settings(store).known_recipes().get(trained.name.partition("@")[0])
    listings = [store.current("listing", crawl) for crawl in store.partitions("listing")]
    return Card(
        name=trained.name,
        recipe=recipe.summary if recipe else "The settings of the store no longer know this recipe.",
        crawls=[
            f"{each.partition}: {each.facts['listed']:,} pictures listed ({_splits(each.facts)})" for each in listings
        ],
        images=count_rows(store.current("model", trained.name).table("margins")),
        specification=read_model_specification(trained.networks[0] / SPECIFICATION),
        scores=_scores(store, trained.name),
        classes=trained.classes,
        form=form,
        difference=difference,
    )


def _splits(facts: dict[str, dict[str, int]]) -> str:
    return ", ".join(f"{facts['splits'].get(split, 0):,} {split}" for split in SPLITS)


def _scores(store: Store, name: str) -> list[SplitScore]:
    """Of the clean splits that the model has predicted, test first."""
    if name not in store.partitions("predictions"):
        return []
    judged = judged_by(store.current("predictions", name))
    return [
        SplitScore(
            split=split,
            images=len(own),
            metrics=sureties({name: shares_of([own])}, baseline="")[name].metrics,
            log_loss=float(own.surprise.mean()),
            calibration_error=own.calibration_error,
        )
        for split, own in sorted(judged.items())
    ]
