"""What a run came to, in one line."""

from pipeline.report.results import FIRST
from pipeline.stages.summary import BASELINE
from pipeline.storage.artifacts import Store
from pipeline.storage.tables import read_table


def outcome(store: Store) -> str | None:
    """The best recipe or ensemble with its top-1, its interval and its gain; None where nothing was scored."""
    summary = store.current("summary")
    best = summary.facts["best"]
    if best is None:
        return None
    rows = read_table(summary.table("intervals")).to_pylist()
    (row,) = (r for r in rows if (r["recipe"], r["split"], r["metric"]) == (best["recipe"], best["split"], FIRST))
    value, low, high = (100 * row[name] for name in ("value", "low", "high"))
    told = (
        f"best on {best['chosen_on']}: {row['recipe']}, top-1 on {row['split']} {value:.1f}% ({low:.1f} to {high:.1f})"
    )
    if row["gain"] is None:
        return told
    gain, low, high = (100 * row[name] for name in ("gain", "gain_low", "gain_high"))
    return f"{told}, {gain:+.1f} ({low:+.1f} to {high:+.1f}) against {BASELINE}"
