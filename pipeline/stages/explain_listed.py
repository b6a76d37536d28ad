"""What is told of one image beside the evidence: its listing, the words it shares with classes, its manifests' rows."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from pipeline.evidence.vocabulary import vocabulary
from pipeline.records import LISTING, MANIFEST
from pipeline.report.explanation import Listed, RecipeVerdict, TextMatch
from pipeline.report.image_view import ImageView
from pipeline.report.matched import matched
from pipeline.stages.explain_find import Found
from pipeline.stages.explain_place import Crawl, row_of
from pipeline.stages.texts import read_class_words, read_frequencies
from pipeline.storage.artifacts import NotMadeError, Store
from pipeline.storage.tables import count_rows, iterate_table, read_table

READ: Final = 20_000  # characters of a text in which words are looked for
_FOLD: Final = re.compile(r"\.fold-\d+$")  # a manifest that leaves a part of the images out


def read_listing(crawl: Crawl, row: int) -> Listed:
    """A row of a listing with the words of its class and query."""
    folder = crawl.listing.folder
    own: dict[str, Any] = row_of(folder / "listing", row, LISTING.names)
    catalogue = read_table(folder / "classes", ("class_index", "wnid", "lemmas", "gloss"))
    kind = catalogue.filter(pc.equal(catalogue["class_index"], own["class_index"])).to_pylist()[0]
    names = kind["lemmas"] or [kind["wnid"]]
    return Listed(
        image_id=own["image_id"],
        crawl=own["crawl"],
        path=own["path"],
        split=own["split"],
        class_index=own["class_index"],
        class_name=names[0],
        other_names=tuple(names[1:]),
        gloss=kind["gloss"] or "",
        query=_query(crawl, own["query_id"]),
        source=own["source"],
        rank=own["rank"],
        title=own["title"] or "",
        description=own["description"] or "",
        tags=tuple(own["tags"] or ()),
    )


def _query(crawl: Crawl, query_id: int | None) -> str | None:
    """What was searched for, or None where nobody knows; the queries are streamed."""
    folder = crawl.listing.table("queries")
    if query_id is None or not folder.exists():
        return None
    for batch in iterate_table(folder, ("query_id", "text")):
        own = batch.filter(pc.equal(batch["query_id"], query_id))
        if own.num_rows:
            return str(own["text"][0].as_py())
    return None


def read_matches(store: Store, crawls: Sequence[Crawl], listed: Listed, view: ImageView) -> tuple[TextMatch, ...]:
    """The words that its text shares with its class, and with the other class that its text matches best.

    Args:
        store: where the words of the texts are counted, or not.
        crawls: all of them.
        listed: the image.
        view: what is known of it.
    """
    known = vocabulary(read_class_words(crawls[0].listing))
    try:
        counted = read_frequencies([store.current("texts", crawl.listing.partition) for crawl in crawls])
    except NotMadeError:
        counted = None
    if counted is not None and len(counted[0]) != known.size:  # of another catalogue
        counted = None
    fields = {"title": listed.title, "description": listed.description, "tags": ", ".join(listed.tags)}
    fields = {name: text[:READ] for name, text in fields.items()}
    classes = [listed.class_index]
    classes += [view.number("keyword_class")] if view.named_other("keyword_class") else []
    return tuple(TextMatch(view.names[label], matched(fields, label, known, counted)) for label in classes)


def read_recipes(
    store: Store, crawls: Sequence[Crawl], found: Found, listed: Listed, names: Sequence[str]
) -> tuple[tuple[RecipeVerdict, ...], list[str]]:
    """What every recipe that has a manifest made of the image, and the recipes whose manifests are of other images.

    A manifest has the rows of all listings one after another, so that the image's is known by its number.

    Args:
        store: where the manifests are current.
        crawls: all of them.
        found: the image.
        listed: the same.
        names: of all classes.
    """
    row = sum(count_rows(crawl.listing.table("listing")) for crawl in crawls[: found.crawl]) + found.row
    verdicts, stale = [], []
    for recipe in store.partitions("manifest"):
        if _FOLD.search(recipe):
            continue
        try:
            own: dict[str, Any] = row_of(store.current("manifest", recipe).table("manifest"), row, MANIFEST.names)
        except IndexError:  # it ends before
            own = {"image_id": None}
        if own["image_id"] == listed.image_id:
            verdicts.append(_verdict(recipe, own, listed.class_index, names))
        else:
            stale.append(recipe)
    return tuple(verdicts), stale


def _verdict(recipe: str, own: Mapping[str, Any], label: int, names: Sequence[str]) -> RecipeVerdict:
    suggested = own["suggested_class"]
    return RecipeVerdict(
        recipe=recipe,
        weight=own["weight"],
        repeats=own["repeats"],
        stage=own["stage"],
        kept=own["kept"],
        trained_as=names[own["class_index"]] if own["class_index"] != label else None,
        suggested=names[suggested] if suggested is not None else None,
        reason=own["reason"],
    )


def read_settled(store: Store, image_id: int, names: Sequence[str]) -> str | None:
    """What a person found of the image, in words, or None where nobody looked; the verdicts are streamed."""
    try:
        folder = store.current("settled").table("settled")
    except NotMadeError:
        return None
    for batch in iterate_table(folder):
        own = batch.filter(np.equal(batch["image_id"].to_numpy(), image_id)).to_pylist()
        if own:
            if own[0]["right"]:
                found = "found the label right"
            elif own[0]["class_index"] is None:
                found = "found the label wrong"
            else:
                found = f"found the label wrong: it is {names[own[0]['class_index']]}"
            twin = "" if own[0]["told_on"] == image_id else ", looking at a file with the same bytes"
            return f"A person {found}{twin}. That outranks all evidence."
    return None
