"""Group `evidence`: what is known of each image, one table per source, and all of them side by side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from assets import pictures
from assets.automation import DAILY, FOLLOWS
from assets.metadata import Metadata, Outcome, columns, figures, launchpad, picture, result
from assets.progress import Advance, ProgressReporter
from assets.resources import StoreResource
from assets.retries import patient
from assets.settings import Settings, overridden, section_types
from assets.training import baseline_models
from assets.versions import VERSIONS
from pipeline.evidence.fusion import FusionSettings
from pipeline.evidence.fusion_views import SOURCES
from pipeline.evidence.semantic import BUILT_IN, SemanticSettings
from pipeline.evidence_tables import EVIDENCE
from pipeline.records import SETTLED
from pipeline.stages.aum import make_aum
from pipeline.stages.class_evidence import make_class_evidence
from pipeline.stages.class_sources import class_sources
from pipeline.stages.confusion import make_confusion
from pipeline.stages.duplicates import make_duplicates
from pipeline.stages.evidence import evidence_schema, make_evidence
from pipeline.stages.fusion import make_fused
from pipeline.stages.fusion_tables import Verified
from pipeline.stages.keyword import make_keyword
from pipeline.stages.neighbours import make_neighbours
from pipeline.stages.opinion import make_opinion
from pipeline.stages.rank import make_rank
from pipeline.stages.semantic import make_semantic
from pipeline.stages.settled import make_settled
from pipeline.storage.artifacts import Artifact, Store

GROUP = "evidence"
SECTIONS = section_types(Settings)
Sample = Callable[[Store, Sequence[str], Artifact], bytes | None]
Progress = dg.ResourceParam[ProgressReporter]
IN_CLASS = {
    "kmeans": "Which images of a class look alike; how large, tight and near the top ranks each cluster is.",
    "density": "How many images of its class lie near an image; levels from clean to highly noisy.",
    "hdbscan": "How firmly an image belongs to a dense region of its class, and how far outside of all it lies.",
}


def _asset(name: str, deps: Sequence[str], kinds: set[str], **more: Any) -> Callable[..., dg.AssetsDefinition]:
    """What all assets of the group have in common; a section of the settings of that name makes the launchpad."""
    if name in SECTIONS:
        more["config_schema"] = launchpad(SECTIONS[name])
    decorate: Callable[..., dg.AssetsDefinition] = dg.asset(
        name=f"evidence_{name}",
        group_name=GROUP,
        deps=["listing", "images", *deps],
        kinds=kinds,
        code_version=VERSIONS[name],
        automation_condition=FOLLOWS,
        metadata=columns(EVIDENCE[name]),
        **more,
    )
    return lambda compute: decorate(patient(compute))


@contextmanager
def _work(
    context: dg.AssetExecutionContext, store: StoreResource, progress: ProgressReporter, title: str
) -> Iterator[tuple[Store, list[str], Advance]]:
    """The store, its crawls, and progress over every usable image."""
    opened, crawls = store.open(), store.crawls()
    usable = sum(opened.current("images", crawl).facts["usable"] for crawl in crawls)
    with progress.track(title, usable, context.log.info) as advance:
        yield opened, crawls, advance


def _shown(store: StoreResource, artifact: Artifact, sample: Sample | None) -> Metadata:
    """An artifact's figures and a look at it."""
    told = figures(artifact, artifact.facts["images"])
    if sample is not None:
        told["sample"] = picture(sample(store.open(), store.crawls(), artifact))
    return told


def _gather(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    progress: ProgressReporter,
    make: Callable[..., Artifact],
    sample: Sample | None = None,
    *,
    stands: bool = True,
) -> Outcome:
    """Make one table with the settings of its own section, the launchpad's over them.

    One that `stands` is fitted on the crawls that the settings name, and judges the others.
    """
    section = context.asset_key.path[-1].removeprefix("evidence_")
    settings = overridden(store.settings(), section, context.op_execution_context.op_config)
    with _work(context, store, progress, f"evidence: {section}") as (opened, crawls, advance):
        own = getattr(settings, section)
        fitted = {"fitted_on": settings.evidence.fitted_on} if stands else {}
        artifact = make(opened, crawls, own, workers=store.workers(), on_progress=advance, **fitted)
    return result(artifact, _shown(store, artifact, sample))


@_asset("duplicates", [], {"parquet"})
def evidence_duplicates(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """Pictures that are the same picture, over classes, crawls and splits; leaks of val and test into training."""
    return _gather(context, store, progress, make_duplicates, pictures.duplicate_sample)


@_asset("rank", [], {"parquet"})
def evidence_rank(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """Where each image stands in its class's search results, all queries and sources merged by position."""
    return _gather(context, store, progress, make_rank, stands=False)


@dg.multi_asset(
    name="evidence_in_class",
    specs=[
        dg.AssetSpec(
            f"evidence_{name}",
            deps=["listing", "images", "features", "evidence_rank"],
            description=text,
            group_name=GROUP,
            kinds={"numpy", "parquet"},
            code_version=VERSIONS[name],
            automation_condition=FOLLOWS,
            metadata=columns(EVIDENCE[name]),
            skippable=True,
        )
        for name, text in IN_CLASS.items()
    ],
    can_subset=True,
    config_schema={name: dg.Field(launchpad(SECTIONS[name]), is_required=False, default_value={}) for name in IN_CLASS},
)
@patient
def evidence_in_class(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Iterator[Outcome]:
    """Everything that is measured inside one class, in one pass over the features."""
    settings = store.settings()
    for name in IN_CLASS:
        settings = overridden(settings, name, context.op_execution_context.op_config[name])
    wanted = [name for name in IN_CLASS if dg.AssetKey(f"evidence_{name}") in context.selected_asset_keys]
    sources = [
        source for source in class_sources(settings.kmeans, settings.density, settings.hdbscan) if source.name in wanted
    ]
    title = f"evidence: {', '.join(wanted)}"
    with _work(context, store, progress, title) as (opened, crawls, advance):
        made = make_class_evidence(opened, crawls, sources, workers=store.workers(), on_progress=advance)
    samples = {
        "kmeans": pictures.cluster_sample,
        "density": pictures.density_sample,
        "hdbscan": pictures.hdbscan_sample,
    }
    for name, artifact in zip(wanted, made, strict=True):
        yield result(artifact, _shown(store, artifact, samples[name]), asset=f"evidence_{name}")


@_asset("neighbours", ["features", "evidence_duplicates"], {"faiss", "parquet"})
def evidence_neighbours(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """Which labels the most similar images of all classes carry, an image's own doubles left out."""
    return _gather(context, store, progress, make_neighbours, pictures.neighbour_sample)


@_asset("opinion", ["features", "evidence_duplicates"], {"pytorch", "parquet"})
def evidence_opinion(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """What a linear probe that never saw an image thinks of its label; confident learning's verdicts."""
    return _gather(context, store, progress, make_opinion, pictures.opinion_sample)


@_asset("confusion", ["features", "evidence_opinion"], {"faiss", "parquet"})
def evidence_confusion(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """The most confused classes, their images clustered together, and which class owns each joint cluster."""
    return _gather(context, store, progress, make_confusion, pictures.confusion_sample, stands=False)


@_asset("aum", ["baseline_model"], {"parquet"})
def evidence_aum(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """The margin by which the baseline in training put an image's label above all other classes."""
    settings = store.settings()
    if "aum" not in evidence_wanted(settings):
        return dg.MaterializeResult(metadata={"measured": False, "why": "features.weights need no training"})
    with _work(context, store, progress, "evidence: aum") as (opened, crawls, advance):
        models = baseline_models(opened, settings)
        artifact = make_aum(opened, crawls, models, workers=store.workers(), on_progress=advance)
    return result(artifact, _shown(store, artifact, None))


@_asset("keyword", [], {"parquet"})
def evidence_keyword(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """How well the words of an image's text match those of its class, and of any other."""
    return _gather(context, store, progress, make_keyword, pictures.text_sample)


@_asset("semantic", [], {"parquet"})
def evidence_semantic(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """How near an image's text lies to its class's gloss as a vector, and to any other's."""

    def make(opened: Store, crawls: Sequence[str], settings: SemanticSettings, **more: Any) -> Artifact:
        encoder = None
        if settings.encoder != BUILT_IN:
            from models.text import encoder_of  # noqa: PLC0415 - torch, which the built-in encoder does without

            encoder = encoder_of(settings)
        return make_semantic(opened, crawls, settings, encoder, **more)

    return _gather(context, store, progress, make, pictures.text_sample)


@dg.asset(
    name="settled",
    group_name=GROUP,
    deps=["listing", "images"],
    kinds={"parquet"},
    code_version=VERSIONS["settled"],
    automation_condition=FOLLOWS,
    metadata=columns(SETTLED),
)
@patient
def settled(store: StoreResource) -> Outcome:
    """What people found of images (`winnow verdicts FILE`), and which images that speaks for; it outranks all else."""
    artifact = make_settled(store.open(), store.crawls())
    return result(artifact, figures(artifact, artifact.facts["images"]))


@_asset("fused", ["evidence_duplicates", "settled", *(f"evidence_{name}" for name in SOURCES)], {"numpy", "parquet"})
def evidence_fused(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """How likely each label is right by all evidence together, which class it rather is; how wrong each query is."""

    def make(opened: Store, crawls: Sequence[str], settings: FusionSettings, **more: Any) -> Artifact:
        verified = Verified.read(opened.current("settled"))
        return make_fused(opened, crawls, evidence_wanted(store.settings()), settings, verified, **more)

    return _gather(context, store, progress, make)


@dg.asset(
    group_name=GROUP,
    deps=["listing", "images", *(f"evidence_{name}" for name in EVIDENCE)],
    kinds={"parquet"},
    code_version=VERSIONS["evidence"],
    automation_condition=FOLLOWS,
    freshness_policy=DAILY,
    metadata=columns(evidence_schema(list(EVIDENCE))),
)
@patient
def evidence(context: dg.AssetExecutionContext, store: StoreResource, progress: Progress) -> Outcome:
    """Everything known of each usable training image, side by side in one wide table."""
    settings = store.settings()
    with _work(context, store, progress, "evidence side by side") as (opened, crawls, advance):
        names = evidence_wanted(settings)
        artifact = make_evidence(opened, crawls, names, workers=store.workers(), on_progress=advance)
    return result(artifact, _shown(store, artifact, None))


def evidence_wanted(settings: Settings) -> list[str]:
    """The sources of a run, by name; margins need the training of a baseline, which given weights do without."""
    return [name for name in EVIDENCE if name != "aum" or settings.features.weights is None]
