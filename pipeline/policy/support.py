"""Rules that weigh by one number in [0, 1] that speaks for the label. All of them are soft: see `SoftSettings`."""

import numpy as np

from pipeline.policy.decision import NO_CLASS, Decision, decided
from pipeline.policy.rule import Columns, SoftSettings, soft
from pipeline.policy.words import note_of, percents


def by_membership(columns: Columns, settings: SoftSettings) -> Decision:
    """Weight by cleanness as HDBSCAN sees it: `hdbscan-weight` (the slides' density reweighting, by another density).

    Cleanness = (membership strength + 1 - outlier score) / 2, in [0, 1]; weight = floor + (1 - floor) x cleanness,
    relative to the class's mean of it. Noise of membership 0 and outlier score 1 is how images without finite features
    are told: they weigh 1. Otherwise more membership never lowers the weight, a larger outlier score never raises it.
    """
    membership, outlier = columns["membership"], columns["outlier"]
    unknown = (columns["hdbscan_cluster"] < 0) & (membership <= 0) & (outlier >= 1)
    cleanness = np.where(unknown, np.nan, (membership + 1 - outlier) / 2)
    note = note_of(percents(cleanness), lambda p: f"{p}% clean by HDBSCAN" if p >= 0 else "HDBSCAN knows nothing of it")
    return decided(soft(cleanness, columns["class_index"], settings.floor), note)


def by_agreement(columns: Columns, settings: SoftSettings) -> Decision:
    """Weight by the labels of the most similar images of all classes: `agreement-weight` (not on the slides).

    Weight = floor + (1 - floor) x `agreement`, the share of its nearest neighbours with its own label, relative to the
    class's mean of it. An image without neighbours weighs 1. More agreement never lowers the weight.
    """
    agreement = columns["agreement"]
    note = note_of(
        percents(agreement),
        lambda p: f"{p}% of its nearest neighbours have its label" if p >= 0 else "it has no neighbours to ask",
    )
    return decided(soft(agreement, columns["class_index"], settings.floor), note)


def by_confidence(columns: Columns, settings: SoftSettings) -> Decision:
    """Weight by what a probe thinks of the label that never saw the image: `opinion-weight` (not on the slides).

    Weight = floor + (1 - floor) x `confidence`, the out-of-fold probability of its label, relative to the class's mean
    of it. Where confident learning (Northcutt et al., 2021) finds the label wrong, its class is suggested. An image
    without an opinion weighs 1. More confidence never lowers the weight.
    """
    confidence, other = columns["confidence"], columns["opinion_class"]
    suggested = np.nan_to_num(other, nan=NO_CLASS).astype(np.int32)
    note = note_of(percents(confidence) * 2 + (suggested >= 0), lambda code: _opinion(*divmod(code, 2)))
    return decided(soft(confidence, columns["class_index"], settings.floor), note, suggested=suggested)


def _opinion(percent: int, issue: int) -> str:
    if percent < 0:
        return "nobody has an opinion of its label"
    return f"its label is held {percent}% likely" + (", another one more so" if issue else "")
