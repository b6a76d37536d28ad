"""How many of the demo's wrong labels the weights found: the one place where the truth is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from pipeline.demo.noise import UNDECODABLE
from pipeline.evidence.reliability import Reliability, reliability
from pipeline.report.census import Weights

#: Share of the images, lightest first, that counts as "found wrong": about the share of wrong labels there are.
LIGHTEST: Final = 0.3

_NAMES: Final = {
    "confusable": "a class easily taken for it",
    "other-sense": "the word's other sense",
    "cross-class": "quite another class",
    "no-class": "of no class at all",
}


@dataclass(frozen=True, kw_only=True)
class KindFound:
    """Wrong labels of one kind."""

    wrong: int
    found: float  # of them among the lightest; a fraction where equal weights straddle the border


@dataclass(frozen=True, kw_only=True)
class DemoScore:
    """A manifest held against the truth, over the readable training images."""

    images: int
    wrong: int  # of them with a wrong label
    lightest: int  # of them called lightest
    found: float  # wrong labels among the lightest
    auroc: float | None  # chance that a wrong label weighs less than a right one; None unless there are both
    dropped: int  # not kept for training
    dropped_wrong: int  # of them with a wrong label
    kinds: Mapping[str, KindFound]  # by kind, the most frequent first


def score(manifest: pa.Table, truth: pa.Table) -> DemoScore:
    """Judge the weights of a manifest by the truth.

    Args:
        manifest: columns path, weight, kept; paths that the truth does not know (val, test) are passed over.
        truth: columns path, web_label, true_label, kind (`crawl.TRUTH`); undecodable rows are passed over.

    Raises:
        ValueError: the manifest lacks a readable training image, names one twice, or holds a weight that is not finite.
    """
    judged = truth.filter(pa.compute.not_equal(truth["true_label"], UNDECODABLE)).select(
        ["path", "web_label", "true_label", "kind"]
    )
    joined = judged.join(manifest.select(["path", "weight", "kept"]), "path", join_type="inner")
    if joined.num_rows != judged.num_rows or len(joined["path"].unique()) != judged.num_rows:
        raise ValueError(
            f"manifest must hold each of the truth's {judged.num_rows} readable images once, not {joined.num_rows} rows"
        )
    weight = joined["weight"].to_numpy().astype(np.float64)
    if not np.isfinite(weight).all():
        raise ValueError("weight must be finite")
    wrong = joined["web_label"].to_numpy() != joined["true_label"].to_numpy()
    kept = joined["kept"].to_numpy()
    lightest = round(LIGHTEST * len(weight))
    share = _share_among_lightest(weight, lightest)
    return DemoScore(
        images=len(weight),
        wrong=int(wrong.sum()),
        lightest=lightest,
        found=float(share[wrong].sum()),
        auroc=_auroc(weight, wrong),
        dropped=int((~kept).sum()),
        dropped_wrong=int((~kept & wrong).sum()),
        kinds=_by_kind(joined["kind"].to_numpy(zero_copy_only=False)[wrong], share[wrong]),
    )


def without_doubles(manifest: pa.Table, doubles: pa.Table) -> pa.Table:
    """The manifest as if no picture had doubles: sharing one image's weight says nothing against a label.

    Args:
        manifest: columns image_id, weight and any others.
        doubles: columns image_id, duplicate_group, leak of the usable training images (DUPLICATES).
    """
    joined = manifest.join(doubles.select(["image_id", "duplicate_group", "leak"]), "image_id")
    group = pa.compute.coalesce(joined["duplicate_group"], joined["image_id"]).to_numpy()
    leak = pa.compute.fill_null(joined["leak"], False).to_numpy()
    weights = Weights.of(joined["weight"].to_numpy().astype(np.float64), group, leak)
    joined = joined.drop_columns(["weight", "duplicate_group", "leak"])
    return joined.append_column("weight", pa.array(np.nan_to_num(weights.alone)))


def calibration(fused: pa.Table, truth: pa.Table) -> Reliability:
    """How honest the probabilities that labels are right are, by the truth.

    Args:
        fused: columns path, right_probability.
        truth: columns path, web_label, true_label.
    """
    joined = truth.select(["path", "web_label", "true_label"]).join(fused, "path", join_type="inner")
    right = joined["web_label"].to_numpy() == joined["true_label"].to_numpy()
    return reliability(joined["right_probability"].to_numpy(), right)


def describe_calibration(found: Reliability) -> str:
    """The same for people."""
    return (
        f"All evidence fused says how likely each label is right; that is {found.error:.0%} off on average over "
        f"{found.images.sum():,} pictures (expected calibration error)."
    )


def describe(found: DemoScore) -> str:
    """The demo's last lines, for people."""
    chance = _percent(found.wrong, found.images)
    lines = [
        "These pictures are synthetic: this program drew them itself, wrong labels included, so the truth is known.",
        "The figures show that the machinery works; they say nothing about real crawls.",
        f"Of {found.images:,} readable training pictures {found.wrong:,} carry a wrong label ({chance}).",
        f"Of the {found.lightest:,} lightest, {found.found:,.0f} are wrong ({_percent(found.found, found.lightest)};"
        f" chance gives {chance}): {_percent(found.found, found.wrong)} of all wrong labels.",
    ]
    if found.auroc is not None:
        lines.append(f"A wrong label weighs less than a right one {found.auroc:.0%} of the time (AUROC; chance 50%).")
    if found.dropped:
        lines.append(f"{found.dropped:,} were left out of training altogether, {found.dropped_wrong:,} of them wrong.")
    lines += [
        f"  {_NAMES.get(kind, kind)}: {part.found:,.0f} of {part.wrong:,} found ({_percent(part.found, part.wrong)})"
        for kind, part in found.kinds.items()
    ]
    return "\n".join(lines)


def _share_among_lightest(weight: npt.NDArray[np.float64], lightest: int) -> npt.NDArray[np.float64]:
    """How far each image belongs to the `lightest`: 0 or 1; those tied at the border share its last places evenly."""
    if lightest == 0:
        return np.zeros(len(weight))
    border = np.sort(weight)[lightest - 1]
    below, tied = weight < border, weight == border
    share: npt.NDArray[np.float64] = below + tied * ((lightest - below.sum()) / tied.sum())
    return share


def _auroc(weight: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_]) -> float | None:
    """Probability that a random wrong label weighs less than a random right one, ties counted half (Mann-Whitney)."""
    bad, good = int(wrong.sum()), int((~wrong).sum())
    if bad == 0 or good == 0:
        return None
    _, value, counts = np.unique(weight, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # 1-based mean rank of each distinct weight
    wins = float(rank[value[~wrong]].sum()) - good * (good + 1) / 2
    return wins / (bad * good)


def _by_kind(kinds: npt.NDArray[Any], share: npt.NDArray[np.float64]) -> dict[str, KindFound]:
    names, position, counts = np.unique(kinds.astype(str), return_inverse=True, return_counts=True)
    found = np.bincount(position, weights=share, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    return {str(names[at]): KindFound(wrong=int(counts[at]), found=float(found[at])) for at in order}


def _percent(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "none"
