"""Table names as a user says them -> the folders their Parquet parts lie in."""

from pathlib import Path

from assets.resources import recorded_settings
from pipeline.storage.artifacts import WHOLE, NotMadeError, Store, seeded


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
        return [store.current(f"evidence-{name}").table("evidence")]
    if kind == "manifest" and name:
        return [store.current("manifest", name).table("manifest")]
    if kind == "predictions" and name:
        seeds = recorded_settings(store).seeds
        return [store.current("predictions", seeded(name, seed)).table("predictions") for seed in seeds]
    if table in ("evidence", "summary"):
        return [store.current(table, WHOLE).table(table)]
    raise ValueError(
        f"no table is called {table!r}: there are listing, classes, queries, images, evidence, evidence/NAME, "
        "manifest/RECIPE, predictions/RECIPE and summary"
    )
