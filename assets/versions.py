"""The code version of every stage of evidence, by name: a change of code is a change of what it makes."""

from typing import Final

from pipeline.evidence.density import DensitySettings
from pipeline.evidence.hdbscan import HdbscanSettings
from pipeline.evidence.kmeans import KMeansSettings
from pipeline.stages import (
    aum,
    confusion,
    duplicates,
    evidence,
    fusion,
    keyword,
    neighbours,
    opinion,
    rank,
    semantic,
    settled,
)
from pipeline.stages.class_sources import class_sources

VERSIONS: Final = {
    "duplicates": duplicates.CODE_VERSION,
    "rank": rank.CODE_VERSION,
    "neighbours": neighbours.CODE_VERSION,
    "opinion": opinion.CODE_VERSION,
    "confusion": confusion.CODE_VERSION,
    "aum": aum.CODE_VERSION,
    "keyword": keyword.CODE_VERSION,
    "semantic": semantic.CODE_VERSION,
    "settled": settled.CODE_VERSION,
    "fused": fusion.CODE_VERSION,
    "evidence": evidence.CODE_VERSION,
    **{one.name: one.code_version for one in class_sources(KMeansSettings(), DensitySettings(), HdbscanSettings())},
}
