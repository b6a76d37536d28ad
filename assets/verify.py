"""`winnow verify`: what of a store is damaged; with `--repair`, made again, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from assets.progress import TerminalProgress
from assets.recipes import BASELINE
from assets.run import make_again
from assets.settings import Settings, recorded_settings
from pipeline.stages.ensemble import ENSEMBLES
from pipeline.storage.artifacts import Store
from pipeline.storage.repair import drop_damaged
from pipeline.storage.verify import Check, Damage, checks, unmade, verify

Wanted = set[tuple[str, str | None]]  # assets, each with its partition


def verify_store(store: Store, repair: bool, console: Console) -> bool:
    """Look at everything, tell what is damaged, and make it again if asked to. Returns whether all is whole now.

    Raises:
        FileNotFoundError: there is no store.
        BusyError: a run is at work on what is damaged.
    """
    if not store.history.exists():
        raise FileNotFoundError(f"{store.root} is no store: nothing was ever made in it")
    found, seen = _look(store, console)
    for damage in found:
        console.print(f"damaged: {damage.path}: {damage.what}", markup=False, highlight=False, soft_wrap=True)
    gone = unmade(store)
    if not found and not gone:
        console.print(f"{seen:,} files, every one as it was written", highlight=False)
        return True
    if not repair:
        console.print(f"{len(found):,} of {seen:,} files are damaged: `winnow verify --repair` makes them again")
        return False
    drop_damaged(store, found)
    return _mended(store, found, console)


def _look(store: Store, console: Console) -> tuple[list[Damage], int]:
    seen, title = 0, f"verifying {store.root}"
    with TerminalProgress(console).track(title, sum(1 for _ in checks(store)), lambda _: None) as advance:

        def count(files: int) -> None:
            nonlocal seen
            seen += files
            advance(files)

        # The reading is of the disk's pace, not the settings', which may be what is damaged.
        return verify(store, workers=4, on_progress=count), seen


def _mended(store: Store, found: Sequence[Damage], console: Console) -> bool:
    """Run what makes the dropped parts, and look at them again."""
    gone, before = unmade(store), len(store.work())
    settings, crawls = recorded_settings(store), store.partitions("listing")
    wanted = {one for stage, partition in gone for one in makers(stage, partition, settings, crawls)}
    make_again(store, wanted, TerminalProgress(console))
    for line in store.work()[before:]:
        console.print(f"made again: {line['stage']} of {line['partition']}", highlight=False)
    left = unmade(store)
    for stage, partition in left:
        console.print(f"not made again: {stage} of {partition}: {_remedy(stage)}", highlight=False, soft_wrap=True)
    touched = {damage.path for damage in found} | {damage.folder for damage in found if damage.folder is not None}
    again = [check.damage() for check in checks(store) if _touched(check, touched)]
    broken = [damage for damage in again if damage is not None]
    for damage in broken:
        console.print(f"still damaged: {damage.path}: {damage.what}", markup=False, highlight=False, soft_wrap=True)
    if not left and not broken:
        console.print(f"{len(found):,} damaged files mended", highlight=False)
    return not left and not broken


def _touched(check: Check, paths: set[Path]) -> bool:
    return check.path in paths or check.folder in paths


def _remedy(stage: str) -> str:
    own = {"search": "run `winnow search`", "review": "run `winnow review`"}
    return own.get(
        stage, "the settings of the last run do not ask for it; `winnow run` with those it was made with does"
    )


def makers(stage: str, partition: str, settings: Settings, crawls: Sequence[str]) -> Wanted:
    """The assets that make an artifact of that stage and partition."""
    recipe, _, seed = partition.partition("@")
    by_baseline = recipe.startswith(f"{BASELINE}.") or (recipe == BASELINE and seed in {"", str(settings.seeds[0])})
    match stage:
        case "listing" | "images" | "features":
            found: Wanted = {(stage, partition)}
        case "features-fold" | "features-alignment" | "extractor":
            found = {("features", crawl) for crawl in crawls}
        case "texts" | "text-vectors":
            found = {("evidence_keyword", None), ("evidence_semantic", None)}
        case "teaching":
            known = settings.known_recipes().values()
            found = {("model", one.name) for one in known if recipe in {teacher for teacher, _ in one.teachers}}
        case "manifest" | "model":
            trained = by_baseline and settings.features.weights is None
            found = {(f"baseline_{stage}", None)} if trained else {(stage, recipe)}
        case "predictions" | "predictions-training":
            found = {("ensembles", None)} if recipe in ENSEMBLES else {("predictions", recipe)}
        case _:
            found = {(stage.replace("evidence-", "evidence_").replace("judged-", "evidence_"), None)}
    return found
