"""What is due when, by the conditions that stand with the assets: the real graph, whose assets make nothing here."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from assets.definitions import defs
from assets.partitions import CRAWLS, RECIPE_PARTITIONS

GRAPH = [asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)]
REAL = {key.to_user_string(): asset for asset in GRAPH for key in asset.keys}
CRAWL = ("listing", "images")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Graph:
    """Some assets of the graph, with their partitions, checks and conditions; time passes tick by tick."""

    def __init__(self, instance: dg.DagsterInstance, *names: str) -> None:
        self.instance, self.names = instance, names
        self.failing: set[str] = set()
        self.versions: dict[str, str] = {}
        self.keys: dict[str, list[str]] = {str(CRAWLS.name): [], str(RECIPE_PARTITIONS.name): ["baseline", "fused"]}
        self.cursor: Any = None

    def assets(self) -> list[dg.AssetsDefinition]:
        return [self._stub(asset) for asset in dict.fromkeys(REAL[name] for name in self.names)]

    def _stub(self, asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
        specs = [self._spec(spec) for spec in asset.specs if spec.key.to_user_string() in self.names]
        checks = [check for check in asset.check_specs if check.asset_key.to_user_string() in self.names]
        cut = asset.partitions_def

        @dg.multi_asset(name=asset.op.name, specs=specs, check_specs=checks, partitions_def=cut, can_subset=True)
        def make(context: dg.AssetExecutionContext) -> Iterator[Any]:
            for key in sorted(context.selected_asset_keys):
                told = [
                    dg.AssetCheckResult(check_name=one.name, asset_key=key, passed=one.name not in self.failing)
                    for one in checks
                    if one.asset_key == key
                ]
                yield dg.MaterializeResult(asset_key=key, check_results=told)

        return make

    def _spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.to_user_string()
        deps = [dep for dep in spec.deps if dep.asset_key.to_user_string() in self.names]
        version = self.versions.get(name, spec.code_version)
        return spec.replace_attributes(deps=deps, code_version=version, kinds=set(), metadata={})

    def cut(self, *crawls: str) -> None:
        """Make the crawls there are exactly these."""
        name = str(CRAWLS.name)
        for gone in set(self.keys[name]) - set(crawls):
            self.instance.delete_dynamic_partition(name, gone)
        self.instance.add_dynamic_partitions(name, list(crawls))
        self.keys[name] = list(crawls)

    def make(self, *names: str, partition: str | None = None) -> None:
        """Have some assets made, as a run would."""
        dg.materialize(
            self.assets(),
            selection=list(names),
            instance=self.instance,
            partition_key=partition,
            raise_on_error=False,
            run_config=QUIET,
        )

    def tick(self) -> dict[str, set[str | None]]:
        """What is asked for now."""
        graph = dg.Definitions(self.assets())
        found = dg.evaluate_automation_conditions(graph, self.instance, cursor=self.cursor)
        self.cursor = found.cursor
        asked = {name: set(found.get_requested_partitions(dg.AssetKey(name))) for name in self.names}
        return {name: partitions for name, partitions in asked.items() if partitions}


Begun = Callable[..., Graph]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begun]:
    """A graph of which everything has been made, looked at once: from then on, what happens is news."""
    with dg.DagsterInstance.ephemeral() as instance:

        def begin(*names: str) -> Graph:
            graph = Graph(instance, *names)
            # The tester asks the database for the same few names thousands of times.
            monkeypatch.setattr(
                instance, "get_dynamic_partitions", lambda partitions_def_name: graph.keys[partitions_def_name]
            )
            graph.cut("a")
            instance.add_dynamic_partitions(str(RECIPE_PARTITIONS.name), ["baseline", "fused"])
            for name in names:
                cut = REAL[name].partitions_def
                graph.make(name, partition="a" if cut == CRAWLS else "baseline" if cut == RECIPE_PARTITIONS else None)
            assert graph.tick() == {}
            return graph

        yield begin


def test_a_delivery_leads_to_the_manifests_and_nothing_is_made_of_what_will_be_made_anew(begun: Begun) -> None:
    graph = begun(*CRAWL, "baseline_model", "features", "evidence_rank", "evidence_kmeans", "evidence", "manifest")
    graph.make(*CRAWL, partition="a")
    # The features of the crawl's old images are still there: Dagster's own `eager` would cluster them now.
    assert graph.tick() == {"features": {"a"}, "evidence_rank": {None}}
    graph.make("evidence_rank")
    assert graph.tick() == {}
    graph.make("features", partition="a")
    assert graph.tick() == {"evidence_kmeans": {None}, "evidence": {None}}
    graph.make("evidence_kmeans", "evidence")
    assert graph.tick() == {"manifest": {"baseline"}}  # that of `fused` was never asked for
    graph.make("manifest", partition="baseline")
    assert graph.tick() == {}


def test_a_crawl_without_images_holds_up_what_reads_all_until_it_is_taken_out(begun: Begun) -> None:
    graph = begun(*CRAWL, "evidence_rank")
    graph.cut("a", "b")
    graph.make(*CRAWL, partition="a")
    assert graph.tick() == {}
    graph.cut("a")  # as the sensor does with what was not taken
    assert graph.tick() == {"evidence_rank": {None}}


def test_a_failed_blocking_check_holds_in_other_runs_too(begun: Begun) -> None:
    graph = begun(*CRAWL, "evidence_rank", "settled")
    graph.failing.add("nothing_lost")
    graph.make(*CRAWL, partition="a")
    assert graph.tick() == {}
    graph.failing.clear()
    graph.make(*CRAWL, partition="a")
    assert graph.tick() == {"evidence_rank": {None}, "settled": {None}}


def test_one_sound_crawl_does_not_cover_for_another(begun: Begun) -> None:
    graph = begun(*CRAWL, "evidence_rank")
    graph.cut("a", "b")
    graph.failing.add("nothing_lost")
    graph.make(*CRAWL, partition="a")
    graph.failing.clear()
    graph.make(*CRAWL, partition="b")
    assert graph.tick() == {}


def test_a_delivery_that_was_not_taken_holds_up_nothing(begun: Begun) -> None:
    graph = begun("delivery", *CRAWL, "evidence_rank", "settled")
    graph.failing.add("taken")
    graph.make("delivery", partition="a")  # repeated, shrunk: the crawl is what it was, and older than that
    assert graph.tick() == {}
    graph.failing.clear()
    graph.make("images", partition="a")
    assert graph.tick() == {"evidence_rank": {None}, "settled": {None}}


def test_other_code_makes_it_anew(begun: Begun) -> None:
    graph = begun(*CRAWL, "evidence_rank")
    graph.versions["evidence_rank"] = "another"
    assert graph.tick() == {"evidence_rank": {None}}
    assert graph.tick() == {}


def test_a_new_baseline_makes_all_features_anew_and_a_new_model_decides_anew(begun: Begun) -> None:
    graph = begun(*CRAWL, "baseline_model", "features", "model", "retraining", "predictions", "summary")
    graph.make("baseline_model")
    assert graph.tick() == {"features": {"a"}}
    graph.make("features", partition="a")
    assert graph.tick() == {"retraining": {None}}
    graph.make("retraining")
    assert graph.tick() == {}
    graph.make("model", partition="baseline")
    assert graph.tick() == {"retraining": {None}}
    graph.make("predictions", partition="baseline")  # the other recipe has none, and holds up nothing
    assert graph.tick() == {"summary": {None}}


@pytest.mark.parametrize("name", ["delivery", "listing", "images", "baseline_model", "model", "predictions"])
def test_no_training_starts_by_itself(name: str) -> None:
    (spec,) = REAL[name].specs
    assert spec.automation_condition is None
