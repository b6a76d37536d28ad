"""The source's tables beside ours and the chain, read from the summary to be shown."""

from pipeline.report.tricks import Tricks, tricks_of
from pipeline.stages.summary import BASELINE
from pipeline.storage.artifacts import Artifact
from pipeline.storage.tables import read_table


def read_tricks(summary: Artifact | None) -> Tricks | None:
    """What the summary tells of both tables; None where there is none, or it was asked for neither."""
    if summary is None:
        return None
    tricks, chain = (read_table(summary.table(name)).to_pylist() for name in ("tricks", "chain"))
    return tricks_of(tricks, chain, BASELINE)
