"""`winnow withdraw`: pictures taken out of a store, their pixels and features with them."""

from pathlib import Path

from rich.console import Console

from assets.resources import recorded_crawls, workers_of
from assets.settings import Settings, recorded_settings
from models.stages import Trainer
from pipeline.crawl.files import CrawlFiles
from pipeline.crawl.rows import CrawlError
from pipeline.stages.images import make_images
from pipeline.stages.listing import picture_files
from pipeline.stages.purge import purge
from pipeline.stages.withdrawn import take_withdrawals, withdrawn_rows
from pipeline.storage.artifacts import Artifact, NotMadeError, Store
from pipeline.storage.pieces import latest

SHOWN = 10  # lines of a kind that are told in the terminal


def withdraw(store: Store, file: Path, told_by: str, console: Console) -> bool:
    """Record the withdrawals of a file and remove what is kept of them; False where no line could be taken.

    A call that was killed is finished by the next one, of whatever file.
    """
    crawls = store.partitions("images")
    if not crawls:
        raise NotMadeError(f"{store.root} holds no images yet: there is nothing to withdraw from")
    told = take_withdrawals(store, crawls, file, told_by)
    affected = sorted({row["crawl"] for row in withdrawn_rows(store) if row["crawl"] is not None})
    settings = recorded_settings(store)
    for crawl in affected:
        images = _images_without(store, settings, crawl)
        _features_without(store, crawl, images)
    removed = purge(store, affected) if affected else []
    lines = [f"{file}, line {number}: {reason}" for number, reason in told.rejected[:SHOWN]]
    if len(told.rejected) > SHOWN:
        lines.append(f"... and {len(told.rejected) - SHOWN:,} more lines that were not taken")
    waiting = sum(row["image_id"] is None for row in told.fresh)
    lines.append(f"{len(told.fresh) - waiting:,} images withdrawn; {waiting:,} contents that no crawl holds yet")
    lines += [f"removed {path}" for path in removed[:SHOWN]]
    if len(removed) > SHOWN:
        lines.append(f"... and {len(removed) - SHOWN:,} more")
    lines.append("`winnow run` makes evidence, manifests and pages without them")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return bool(told.fresh) or not told.rejected


def _images_without(store: Store, settings: Settings, crawl: str) -> Artifact:
    """The images of a crawl without the withdrawn ones; its other pictures are taken over, so that it may be gone."""
    listing, known = store.current("listing", crawl), recorded_crawls(store)[crawl]
    try:
        files = picture_files(listing, known)
    except (CrawlError, OSError):
        files = CrawlFiles(known.address)
    return make_images(store, listing, files, settings.images, workers=workers_of(store, settings))


def _features_without(store: Store, crawl: str, images: Artifact) -> None:
    """The features of a crawl without the withdrawn images, where one network made them; else the next run does."""
    facts = next((found.facts for found in latest(store, "features", crawl)), {})
    if facts.get("pixels") in {None, images.identity} or len(facts["networks"]) != 1:
        return
    network = store.find("model", facts["model"], facts["networks"][0])
    network = network or store.find("extractor", facts["model"], facts["networks"][0])
    if network is not None:
        Trainer(store, [crawl], 1, lambda _: None).make_features(crawl, [network])
