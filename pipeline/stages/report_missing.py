"""What no run has made yet, in sentences: a page that lacks something says so."""

from collections.abc import Sequence

from pipeline.evidence_tables import EVIDENCE
from pipeline.report.render import counted, words
from pipeline.report.results import SplitResults
from pipeline.stages.report_evidence import Evidence
from pipeline.stages.report_inputs import ReportInputs
from pipeline.stages.standing import fitted_sources


def missing_of(
    inputs: ReportInputs, evidence: Evidence, results: Sequence[SplitResults], recipes: Sequence[str], baseline: str
) -> tuple[str, ...]:
    """A sentence for everything that is not there, is older than the crawls, or looks at some of them alone.

    Args:
        inputs: what is there.
        evidence: of it, the evidence.
        results: what was scored.
        recipes: what was asked for.
        baseline: the recipe that gains are counted from.
    """
    splits = {table.split for table in results}
    told = [] if inputs.listings else ["No crawl has been listed yet."]
    pairs = zip(inputs.listings, inputs.images, strict=True)
    told += [f"Crawl {a.partition} is listed but not decoded: it counts nowhere below." for a, b in pairs if b is None]
    evaluated = {row.recipe for table in results for row in table.rows}
    told += [f"Recipe {name} has not been trained and scored." for name in recipes if name not in evaluated]
    if results and "test" not in splits:
        told.append("There is no test split: every accuracy, the gain too, is on val, where recipes are also compared.")
    if results and "val" not in splits:
        told.append("There is no val split: the best recipe was chosen on test itself, which flatters its gain.")
    unmade = [name for name in EVIDENCE if name not in inputs.evidence]
    if unmade:
        told.append(f"Evidence that has not been made, so nothing of it is shown: {words(unmade)}.")
    for crawls, sources in fitted_sources(inputs.evidence).items():
        told.append(
            f"Images are judged by those of {words(crawls)} alone, as evidence.fitted_on says: {words(sources)}."
        )
    for source, count in evidence.lacking().items():
        told.append(
            f"Evidence {source} is older than {counted(count, 'training image')}: of these it knows nothing yet."
        )
    if inputs.weighed is None and any(name != baseline for name in recipes):
        told.append("No recipe that weighs images has a manifest, so no weights are shown.")
    return tuple(told)
