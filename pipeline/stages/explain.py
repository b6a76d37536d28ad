"""Everything the store knows of one image, put together in words and pictures, as one page.

What it costs, however many images there are: a pass over the ids of the listings (8 bytes an image) to find the image
where an id is told, over their paths otherwise, and one more over the ids to find its neighbours; the footers of the
tables; and of each table the row groups that hold the image, its class or a picture shown. Features are read of its
cluster and density level alone. Memory holds one class.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.evidence_tables import EVIDENCE
from pipeline.report.explanation import DEFECT_WORDS, Explanation, verdict_words
from pipeline.report.image_sayings import SAYINGS
from pipeline.report.image_sentences import SILENT
from pipeline.report.image_view import tell_all
from pipeline.report.render import counted, render_explanation, words
from pipeline.report.sheets import Sheet, SheetSettings, contact_sheet, data_uri
from pipeline.stages.explain_evidence import read_moves, read_view
from pipeline.stages.explain_find import Found, find_image
from pipeline.stages.explain_listed import read_listing, read_matches, read_recipes, read_settled
from pipeline.stages.explain_pictures import (
    double_rows,
    double_sheet,
    mate_sheets,
    neighbour_sheet,
    pixels_of,
)
from pipeline.stages.explain_place import Crawl, Mates, class_mates, row_of
from pipeline.stages.report_inputs import catalogue_of
from pipeline.stages.standing import fitted_sources
from pipeline.storage.arrays import open_array
from pipeline.storage.artifacts import WHOLE, Artifact, NotMadeError, Store
from pipeline.storage.atomic import publish_bytes

FOLDER: Final = "explain"  # in the store
_LARGE: Final = SheetSettings(size=256, quality=90)  # of the picture itself


def explain_image(store: Store, told: str, addresses: Mapping[str, str]) -> tuple[Explanation, Path]:
    """Explain an image and write the page about it.

    Args:
        store: where whatever has been made is current.
        told: an image_id, a path, or a part of one that no other image has.
        addresses: crawl -> where it lies.

    Returns:
        What is told, and the page.

    Raises:
        NotMadeError: no crawl has been listed.
        ValueError: no image fits, or several do.
    """
    shelf = _Shelf.of(store, addresses)
    found = find_image([crawl.listing for crawl in shelf.crawls], told, addresses)
    explanation = _explain(shelf, found)
    page = store.root / FOLDER / f"{explanation.listed.image_id}.html"
    publish_bytes(page, render_explanation(explanation))
    return explanation, page


@dataclass(frozen=True)
class _Shelf:
    """Everything current that is read."""

    store: Store
    crawls: tuple[Crawl, ...]
    evidence: dict[str, Artifact]
    names: list[str]  # of all classes
    command: str  # that makes all evidence

    @classmethod
    def of(cls, store: Store, addresses: Mapping[str, str]) -> "_Shelf":
        def found(stage: str, partition: str = WHOLE) -> Artifact | None:
            try:
                return store.current(stage, partition)
            except NotMadeError:
                return None

        crawls = tuple(
            Crawl(store.current("listing", crawl), found("images", crawl), found("features", crawl))
            for crawl in store.partitions("listing")
        )
        evidence = {name: one for name in EVIDENCE if (one := found(f"evidence-{name}")) is not None}
        at = [addresses.get(crawl.listing.partition, "CRAWL") for crawl in crawls]
        command = shlex.join(["winnow", "evidence", *at, "--store", str(store.root)])
        names = [one.name for one in catalogue_of([crawl.listing for crawl in crawls])]
        return cls(store, crawls, evidence, names, command)


def _explain(shelf: _Shelf, found: Found) -> Explanation:
    crawl = shelf.crawls[found.crawl]
    listed = read_listing(crawl, found.row)
    recipes, older = read_recipes(shelf.store, shelf.crawls, found, listed, shelf.names)
    told = Explanation(
        listed=listed,
        headline="It has been listed, but not decoded yet.",
        details=(),
        picture=None,
        size=None,
        testimonies=(),
        moves=(),
        matches=(),
        sheets=(),
        recipes=recipes,
        missing=_missing_recipes(shelf, older, any_made=bool(recipes)),
    )
    if crawl.images is None:
        return replace(told, missing=(*told.missing, f"Its crawl has not been decoded: {shelf.command}"))
    decoded = row_of(crawl.images.table("images"), found.row, ("reason", "detail", "width", "height", "shard", "row"))
    if decoded["shard"] is None:
        return replace(told, headline="It cannot be used.", details=_defect(decoded))
    doubles = double_rows(shelf.evidence["duplicates"], listed.image_id) if "duplicates" in shelf.evidence else []
    same = double_sheet(shelf.crawls, doubles, shelf.names) if doubles else None
    told = replace(
        told,
        picture=data_uri(contact_sheet(pixels_of(crawl, decoded["shard"], decoded["row"]), 1, _LARGE), "image/jpeg"),
        size=(decoded["width"], decoded["height"]) if decoded["width"] else None,
        sheets=(same,) if same else (),
    )
    if listed.split != "train":
        headline = f"An image of {listed.split}: models are tested on it, and no recipe trains on it."
        return replace(told, headline=headline, details=_leaks(doubles))
    return _judged(shelf, told, [one["image_id"] for one in doubles])


def _judged(shelf: _Shelf, told: Explanation, doubles: list[int]) -> Explanation:
    """The same of a usable training image, with all that the evidence says."""
    listed, evidence = told.listed, shelf.evidence
    mates = class_mates(shelf.crawls, listed.class_index)
    own = int(np.flatnonzero(mates.image_id == listed.image_id)[0])
    view, stale = read_view(evidence, mates, own, listed.class_index, shelf.names)
    fresh = {name: artifact for name, artifact in evidence.items() if name not in stale}
    row = mates.start + own
    sheets: list[Sheet | None] = []
    if "neighbours" in fresh:
        sheets.append(neighbour_sheet(shelf.crawls, fresh["neighbours"], row, listed.class_index, shelf.names))
    fitting = _features_fit(shelf, mates)
    if fitting:
        sheets += mate_sheets(shelf.crawls, mates, view, doubles)
    headline, details = verdict_words(view)
    settled = read_settled(shelf.store, listed.image_id, shelf.names)
    return replace(
        told,
        headline=headline,
        details=(*([settled] if settled else []), *details, *_fitted_on(fresh)),
        testimonies=tell_all(view, SAYINGS, SILENT, list(fresh)),
        moves=read_moves(fresh["fused"], row) if "fused" in fresh else (),
        matches=read_matches(shelf.store, shelf.crawls, listed, view),
        sheets=(*(sheet for sheet in sheets if sheet is not None), *told.sheets),
        missing=(*_missing_evidence(shelf, stale, fitting), *told.missing),
    )


def _fitted_on(evidence: Mapping[str, Artifact]) -> tuple[str, ...]:
    """A sentence for each choice of crawls that evidence is fitted on; none for what is fitted on all."""
    return tuple(
        f"It is judged by the images of {words(crawls)} alone, as evidence.fitted_on says, in {words(sources)}."
        for crawls, sources in fitted_sources(evidence).items()
    )


def _defect(decoded: Mapping[str, Any]) -> tuple[str, ...]:
    said = f"The decoder said: {decoded['detail']}" if decoded["detail"] else ""
    why = f"Quarantined as {decoded['reason']}: {DEFECT_WORDS[decoded['reason']]}."
    return tuple(filter(None, (why, said, "No recipe trains on it.")))


def _leaks(doubles: list[dict[str, Any]]) -> tuple[str, ...]:
    count = sum(one["split"] == "train" for one in doubles)
    return (f"{counted(count, 'training image')} repeat it; no recipe trains on these.",) if count else ()


def _features_fit(shelf: _Shelf, mates: Mates) -> bool:
    """Whether there are features of just these pictures: as many in every shard of the class as pixels."""
    for number in np.unique(mates.crawl).tolist():
        crawl = shelf.crawls[number]
        if crawl.features is None or crawl.images is None:
            return False
        for shard in np.unique(mates.shard[mates.crawl == number]).tolist():
            part = f"part-{shard:05d}.npy"
            features = crawl.features.table("features") / part
            if not features.exists() or len(open_array(features)) != len(
                open_array(crawl.images.table("pixels") / part)
            ):
                return False
    return True


def _missing_evidence(shelf: _Shelf, stale: list[str], fitting: bool) -> tuple[str, ...]:
    absent = [name for name in EVIDENCE if name not in shelf.evidence]
    told = [f"Evidence that has not been made: {words(absent)}."] if absent else []
    told += [f"Evidence that was made of other images than there are now: {words(stale)}."] if stale else []
    told += [] if fitting else ["Features of its class, by which the most similar of its cluster are found."]
    return (*told, f"All of that is made by: {shelf.command}") if told else ()


def _missing_recipes(shelf: _Shelf, older: list[str], *, any_made: bool) -> tuple[str, ...]:
    run = shelf.command.replace("winnow evidence", "winnow run", 1)
    told = [f"Manifests of other images than there are now: {words(older)}; made anew by: {run}"] if older else []
    if not any_made and not older:
        told.append(f"No recipe has a manifest yet: {run} --recipes NAME")
    return tuple(told)
