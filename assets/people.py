"""`winnow verdicts` and `winnow review`: what people are asked, and what they answer."""

from pathlib import Path

from rich.console import Console

from pipeline.stages.settled import make_settled
from pipeline.stages.verdicts import Taken, take_verdicts
from pipeline.storage.artifacts import NotMadeError, Store

SHOWN = 10  # rejected lines that are told in the terminal


def take(store: Store, file: Path, console: Console) -> bool:
    """Take a file of verdicts and tell what became of it; False where no line could be taken."""
    taken = take_verdicts(store, _listed(store), file)
    for line in _told(taken, file):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return bool(taken.images) or not taken.rejected


def review(store: Store, recipe: str, count: int, console: Console) -> None:
    """Make the list of images to look at and tell where it lies."""
    from assets.recipes import recipe_named  # noqa: PLC0415 - the rules behind it are not needed to take verdicts
    from assets.settings import recorded_settings  # noqa: PLC0415
    from pipeline.policy.review import ReviewSettings  # noqa: PLC0415
    from pipeline.stages.review import make_review  # noqa: PLC0415
    from pipeline.stages.review_files import PAGE, SHEET  # noqa: PLC0415

    policy, crawls = recipe_named(recipe, recorded_settings(store).own_recipes()).policy, _listed(store)
    make_settled(store, crawls)  # verdicts since the last run are not asked for again
    made = make_review(store, recipe, policy, crawls, ReviewSettings(count=count))
    told = [
        f"{made.facts['images']} images whose verdict would change the manifest of {recipe} most",
        f"page:    {made.folder / PAGE}",
        f"CSV:     {made.folder / SHEET}",
        f"Parquet: {made.table('review')}",
        f"Mark them on the page or in the column verdict, then: winnow verdicts FILE --store {store.root}",
    ]
    for line in told:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _listed(store: Store) -> list[str]:
    crawls = store.partitions("listing")
    if not crawls:
        raise NotMadeError(f"{store.root} holds no crawl yet: run `winnow run CRAWL --store {store.root}` first")
    return crawls


def _told(taken: Taken, file: Path) -> list[str]:
    told = [f"{file}, line {one.line.number}: {one.reason}" for one in taken.rejected[:SHOWN]]
    if len(taken.rejected) > SHOWN:
        told.append(f"... and {len(taken.rejected) - SHOWN:,} more")
    if taken.rejected:
        told.append(f"{len(taken.rejected):,} lines were not taken; mend them in {taken.rejects} and give that file")
    told.append(
        f"verdicts on {taken.images:,} images, {taken.fresh:,} of them new; {taken.unanswered:,} lines unanswered"
    )
    told.append(f"{taken.artifact.facts['images']:,} verdicts in the store: `winnow run` makes what hangs on them anew")
    return told
