"""Table names as a user says them -> the folders their Parquet parts lie in."""

from pathlib import Path
from typing import Final

from assets.settings import recorded_settings
from pipeline.stages.ensemble import LEARNED
from pipeline.storage.artifacts import WHOLE, NotMadeError, Store, seeded

#: Tables that lie beside that of a source of evidence, by its name.
BESIDE: Final[dict[str, tuple[str, ...]]] = {
    "duplicates": ("groups",),
    "neighbours": ("nearest",),
    "opinion": ("joint", "classes"),
    "confusion": ("pairs", "groups"),
    "fused": ("queries", "classes", "moves", "judged"),
}
#: Tables that are one for all crawls, and the stages they lie in.
WHOLES: Final[dict[str, str]] = {
    **{name: name for name in ("evidence", "summary", "verdicts", "settled", "search")},
    **{name: name for name in ("deliveries", "withdrawn", "retraining")},
    **dict.fromkeys(("intervals", "confusions", "tricks", "chain"), "summary"),
}


def table_folders(store: Store, table: str) -> list[Path]:
    """Where a table lies: one folder, or one for every crawl (`listing`, `images`) or seed (`predictions/RECIPE`).

    Raises:
        NotMadeError: it has not been made.
        ValueError: no table is called that.
    """
    kind, _, name = table.partition("/")
    if kind in ("listing", "images", "classes", "queries") and not name:
        stage = "images" if kind == "images" else "listing"
        partitions = store.partitions(stage)
        if not partitions:
            raise NotMadeError(f"{store.root} holds no {kind} yet: run `winnow run CRAWL --store {store.root}` first")
        return [store.current(stage, crawl).table(kind) for crawl in partitions]
    if kind == "evidence" and name:
        source, _, beside = name.partition("/")
        if beside and beside not in BESIDE.get(source, ()):
            raise ValueError(f"evidence {source!r} has no table {beside!r} beside it: there are {_beside_in_words()}")
        return [store.current(f"evidence-{source}").table(beside or "evidence")]
    if kind in ("manifest", "review") and name:
        return [store.current(kind, name).table(kind)]
    if (kind == "predictions" and name) or table == f"weights/{LEARNED}":
        seeds = recorded_settings(store).seeds
        return [store.current("predictions", seeded(name, seed)).table(kind) for seed in seeds]
    if table in WHOLES:
        return [store.current(WHOLES[table], WHOLE).table(table)]
    raise ValueError(
        f"no table is called {table!r}: there are listing, classes, queries, images, evidence, evidence/NAME, "
        f"{_beside_in_words()}, manifest/RECIPE, review/RECIPE, predictions/RECIPE, weights/{LEARNED}, verdicts, "
        "settled, search, deliveries, retraining, summary, intervals, confusions, tricks, chain"
    )


def _beside_in_words() -> str:
    return ", ".join(f"evidence/{source}/{name}" for source, names in BESIDE.items() for name in names)
