"""The one assembly of the graph: every asset, check and resource. No logic."""

import os

import dagster as dg

from assets import (
    comparisons,
    crawls,
    deliveries,
    ensembles,
    evidence,
    manifests,
    notices,
    reports,
    retraining,
    schedules,
    training,
)
from assets.no_values import NoValues
from assets.progress import LogProgress
from assets.resources import StoreResource

STORE_VARIABLE = "WINNOW_STORE"
DEFAULT_STORE = "winnow-store"

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(
        [deliveries, crawls, manifests, comparisons, training, evidence, ensembles, reports, retraining],
        include_specs=True,
    ),
    jobs=[
        deliveries.take_delivery,
        schedules.bring_up_to_date,
        schedules.look_again,
        retraining.train,
        retraining.renew_baseline,
    ],
    schedules=[schedules.nightly, schedules.weekly],
    sensors=[deliveries.new_deliveries, schedules.follow, retraining.retrainings, notices.failure_notices],
    resources={
        "store": StoreResource(root=os.environ.get(STORE_VARIABLE, DEFAULT_STORE)),
        "progress": LogProgress(),
        "io_manager": NoValues(),
    },
    executor=dg.multiprocess_executor.configured(
        # One step at a time, because each uses the whole machine; forkserver with the graph preloaded starts a step in
        # seconds where spawning takes ten.
        {"max_concurrent": 1, "start_method": {"forkserver": {"preload_modules": ["assets.definitions"]}}}
    ),
)
