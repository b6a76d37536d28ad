"""What Dagster does without a person: when an asset is made anew, what runs every night and every week.

All of it is off until somebody turns it on (under Automation in the UI), because `winnow run` drives the same graph
over the same store. Trainings are never started from here: `assets.retraining` decides on them.
"""

import os
from datetime import timedelta
from typing import Final

import dagster as dg

NIGHTLY_VARIABLE, WEEKLY_VARIABLE, ZONE_VARIABLE = "WINNOW_NIGHTLY", "WINNOW_WEEKLY", "WINNOW_TIMEZONE"
NIGHTLY: Final = os.environ.get(NIGHTLY_VARIABLE, "0 1 * * *")
WEEKLY: Final = os.environ.get(WEEKLY_VARIABLE, "0 3 * * 6")
ZONE: Final = os.environ.get(ZONE_VARIABLE, "UTC")
#: One at a time of what needs the whole accelerator.
GPU_POOL: Final = "gpu"
#: A run that takes longer is ended, so that what hangs holds up nothing for ever; made parts are kept.
TAGS: Final = {"dagster/max_runtime": str(int(timedelta(days=3).total_seconds()))}
#: Evidence is late when a night went by without it, the report when a week did; both with time to compute.
DAILY: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=30))
WEEKLY_FRESH: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=9), warn_window=timedelta(days=8))

_Is = dg.AutomationCondition
#: Not made by automation, or not always: that these are older than what they hang on is no reason to wait for them.
_AT_REST = dg.AssetSelection.assets("delivery", "listing", "baseline_model", "model", "predictions")
#: Something it is made from will be made anew itself, and by another run: what came now would be of two minds. Dagster
#: alone does not see that: a crawl's images bring its features and what compares all images to start at once.
_OUTDATED = _Is.any_deps_match(
    _Is.any_deps_match(_Is.newly_updated()).ignore(dg.AssetSelection.assets("delivery")).since(_Is.newly_updated())
    & ~_Is.will_be_requested()
    & ~_Is.missing()
).ignore(_AT_REST)
#: Dagster's `all_deps_blocking_checks_passed` is content with one sound partition of many, and here all are read.
_UNSOUND = _Is.any_deps_match(_Is.any_checks_match(_Is.check_failed() & ~_Is.will_be_requested(), blocking_only=True))
# `eager()` says nothing of code, and a blocking check ends its own run alone: both are added here.
_HANDLED = _Is.newly_requested() | _Is.newly_updated() | _Is.initial_evaluation()
_DUE = (_Is.newly_missing() | _Is.any_deps_updated() | _Is.code_version_changed()).since(_HANDLED)
_FREE = ~_OUTDATED & _DUE & ~_UNSOUND & ~_Is.any_deps_in_progress() & ~_Is.in_progress()

#: Made as soon as all it is made from is there, up to date and sound.
FOLLOWS: Final = (_FREE & ~_Is.any_deps_missing()).with_label("follows")
#: The same, of what was made once: nobody asked for the manifests of the other recipes.
RENEWED: Final = (FOLLOWS & ~_Is.missing()).with_label("renewed")
#: The same of what reads all recipes, most of which are never trained.
GATHERED: Final = (_FREE & ~_Is.missing()).with_label("gathered")
#: The same of what is decided on the recipes, of which some may have nothing yet.
JUDGED: Final = _FREE.with_label("judged")
