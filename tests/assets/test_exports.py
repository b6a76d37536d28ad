"""`winnow export` and `winnow diff` on a store that `winnow run` made."""

from tests.assets.conftest import SmallRun


def test_a_recipe_that_was_never_run_is_weighed_and_exported_and_nothing_is_trained(small_run: SmallRun) -> None:
    before = small_run.work()
    told = small_run.winnow("export", "density-weight", "webdataset", "exported")
    assert small_run.work_since(before) == ["manifest/density-weight"]
    folder = small_run.folder / "exported"
    assert f"export: {folder}" in told
    assert sorted(path.name for path in folder.iterdir()) == ["classes.txt", "export.json", "train-00000.tar"]
    assert "as it stood" in small_run.winnow("export", "density-weight", "webdataset", "exported")
    assert small_run.work_since(before) == ["manifest/density-weight"]


def test_two_recipes_of_the_run_are_compared(small_run: SmallRun) -> None:
    told = small_run.winnow("diff", "baseline", "kmeans-size", "--to", "compared")
    assert "its cluster holds …% of its class" in told
    assert sorted(path.name for path in (small_run.folder / "compared").iterdir()) == ["diff.parquet", "index.html"]
