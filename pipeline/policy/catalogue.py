"""Every rule by name: the rows of the source's tables, and what has been found since."""

from typing import Any, Final

from pipeline.policy.balance import DrawSettings, ReweightSettings, class_reweight, drawn_to_largest, uniform
from pipeline.policy.cluster_choice import ChoiceSettings, compact_clusters, largest_clusters
from pipeline.policy.clusters import by_closeness_to_top, by_cluster_size
from pipeline.policy.confused import ConfusedSettings, by_own_share
from pipeline.policy.density import CurriculumSettings, LevelSettings, by_level, clean_only, curriculum
from pipeline.policy.fused import RelabelSettings, by_probability, relabelled
from pipeline.policy.rule import NoSettings, Rule, SoftSettings, reads
from pipeline.policy.support import by_agreement, by_confidence, by_membership
from pipeline.policy.text import MatchSettings, TextChoiceSettings, by_match, matching_only, text_evidence
from pipeline.policy.top_ranked import TopRankedSettings, top_ranked

_TEXT_RISES: Final = ("keyword", "semantic")
_TEXT_FALLS: Final = ("keyword_other", "semantic_other")

_ALL: Final[tuple[Rule[Any], ...]] = (
    Rule(name="baseline", settings=NoSettings, evidence=reads(), decide=uniform),
    Rule(name="official-baseline", settings=DrawSettings, evidence=reads(), decide=drawn_to_largest),
    Rule(name="class-reweight", settings=ReweightSettings, evidence=reads(), decide=class_reweight, balances=True),
    Rule(
        name="top-ranked",
        settings=TopRankedSettings,
        evidence=reads(rank=("position",)),
        decide=top_ranked,
        falls=("position",),
    ),
    Rule(
        name="kmeans-large",
        settings=ChoiceSettings,
        evidence=reads(kmeans=("cluster",)),
        decide=largest_clusters,
    ),
    Rule(
        name="kmeans-compact",
        settings=ChoiceSettings,
        evidence=reads(kmeans=("cluster", "cluster_compactness")),
        decide=compact_clusters,
        falls=("cluster_compactness",),
    ),
    Rule(
        name="kmeans-size",
        settings=NoSettings,
        evidence=reads(kmeans=("cluster", "cluster_share")),
        decide=by_cluster_size,
        rises=("cluster_share",),
    ),
    Rule(
        name="kmeans-top-ranked",
        settings=NoSettings,
        evidence=reads(kmeans=("cluster_top_distance",)),
        decide=by_closeness_to_top,
        falls=("cluster_top_distance",),
    ),
    Rule(
        name="confused",
        settings=ConfusedSettings,
        evidence=reads(confusion=("owner_class", "owner_share", "own_share")),
        decide=by_own_share,
        rises=("own_share",),
    ),
    Rule(
        name="density-clean",
        settings=NoSettings,
        evidence=reads(density=("density_level",)),
        decide=clean_only,
        falls=("density_level",),
    ),
    Rule(
        name="density-curriculum",
        settings=CurriculumSettings,
        evidence=reads(density=("density_level",)),
        decide=curriculum,
        falls=("density_level",),
    ),
    Rule(
        name="density-weight",
        settings=LevelSettings,
        evidence=reads(density=("density_level",)),
        decide=by_level,
        falls=("density_level",),
    ),
    Rule(
        name="hdbscan-weight",
        settings=SoftSettings,
        evidence=reads(hdbscan=("hdbscan_cluster", "membership", "outlier")),
        decide=by_membership,
        rises=("membership",),
        falls=("outlier",),
    ),
    Rule(
        name="semantic-only",
        settings=TextChoiceSettings,
        evidence=text_evidence,
        decide=matching_only,
        rises=_TEXT_RISES,
        falls=_TEXT_FALLS,
    ),
    Rule(
        name="semantic",
        settings=MatchSettings,
        evidence=text_evidence,
        decide=by_match,
        rises=_TEXT_RISES,
        falls=_TEXT_FALLS,
    ),
    Rule(
        name="agreement-weight",
        settings=SoftSettings,
        evidence=reads(neighbours=("agreement",)),
        decide=by_agreement,
        rises=("agreement",),
    ),
    Rule(
        name="opinion-weight",
        settings=SoftSettings,
        evidence=reads(opinion=("confidence", "opinion_class")),
        decide=by_confidence,
        rises=("confidence",),
    ),
    Rule(
        name="fused",
        settings=SoftSettings,
        evidence=reads(fused=("right_probability",)),
        decide=by_probability,
        rises=("right_probability",),
    ),
    Rule(
        name="relabel",
        settings=RelabelSettings,
        evidence=reads(fused=("right_probability", "fused_class", "fused_probability")),
        decide=relabelled,
        relabels=True,
    ),
)

RULES: Final[dict[str, Rule[Any]]] = {rule.name: rule for rule in _ALL}
