"""`winnow share`: a store in step with the bucket that it is shared in."""

from rich.console import Console

from assets.progress import TerminalProgress
from pipeline.storage.artifacts import Store
from pipeline.storage.bucket import Bucket
from pipeline.storage.sealed import publish_sealed
from pipeline.storage.shared import SHARED, Shared


def share(store: Store, address: str, console: Console) -> None:
    """Share a store in a bucket from now on, and bring both in step.

    Args:
        store: any, or a folder that is not there yet.
        address: `s3://BUCKET/PREFIX`; empty for a store that is shared already.
        console: to tell.

    Raises:
        LookupError: no address, and the store is not shared.
        ValueError: the address is no bucket, or the store is shared in another.
    """
    shared = _attached(store, address)
    store.pull()
    waiting = shared.ungiven()
    with TerminalProgress(console).track("giving artifacts", len(waiting), _unheard) as advance:
        for folder in waiting:
            shared.give(folder)
            advance(1)
    shared.offer(store.pointers())
    shared.tell_work(store.work())
    told = f"{len(waiting):,} artifacts given, {len(store.pointers()):,} current there"
    console.print(f"{store.root} is shared in {shared.bucket.address}: {told}", highlight=False, soft_wrap=True)


def _attached(store: Store, address: str) -> Shared:
    shared = Shared.of(store.root)
    if shared is None and not address:
        raise LookupError(f"{store.root} is not shared: name a bucket, as in `winnow share s3://BUCKET/PREFIX`")
    if shared is None:
        shared = Shared(store.root, Bucket(address))
        shared.bucket.list("records")  # no address that cannot be read is kept
        publish_sealed(store.root / SHARED, {"address": shared.bucket.address})
    elif address and Bucket(address).address != shared.bucket.address:
        raise ValueError(f"{store.root} is shared in {shared.bucket.address}: share another store in {address}")
    return shared


def _unheard(line: str) -> None:
    """The bar tells it already."""
