"""What is trusted, and what never is: searched for in the source, and tried."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.commands import looking
from assets.definitions import defs
from assets.no_values import NoValues
from pipeline.storage.artifacts import Store

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for room in ("pipeline", "models", "assets", "benchmarks") for path in (ROOT / room).rglob("*.py")]
UNPICKLING = {"pickle", "_pickle", "cPickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "jsonpickle"}
SENDING = "pipeline/storage/shelf.py"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@functools.cache
def tree(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def nodes(kind: type[ast.AST], sources: list[Path] | None = None) -> Iterator[tuple[str, Any]]:
    """(file:line, node) of every node of a kind."""
    for path in sources or SOURCES:
        for node in tree(path):
            if isinstance(node, kind):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node


def dotted(node: ast.AST) -> str:
    """`a.b.c` as it is written; what is no name at its beginning is empty."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a function of one of these dotted names."""
    return ((place, node) for place, node in nodes(ast.Call) if dotted(node.func) in names)


def said(call: ast.Call, keyword: str) -> object:
    """The literal that a call gives a keyword; None where it gives none."""
    found = [each.value for each in call.keywords if each.arg == keyword]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def test_no_module_that_unpickles_is_imported() -> None:
    """But by what sends work to the machines of a cluster: bytes of our own processes, from memory, never a file."""
    imported = [(place, alias.name) for place, node in nodes(ast.Import) for alias in node.names]
    imported += [(place, node.module or "") for place, node in nodes(ast.ImportFrom)]
    assert len(imported) > 1000
    found = {place.split(":")[0] for place, name in imported if name.split(".")[0] in UNPICKLING}
    assert found == {SENDING}
    reads = [dotted(node.func) for place, node in nodes(ast.Call, [ROOT / SENDING])]
    assert [name for name in reads if name.startswith("pickle.")] == ["pickle.loads"]
    used = {place.split(":")[0] for place, node in nodes(ast.ImportFrom) if "unpacked" in {a.name for a in node.names}}
    assert used == {"pipeline/ray_cluster.py"}


def test_torch_loads_weights_alone_and_numpy_no_objects() -> None:
    loads = list(calls("torch.load"))
    assert len(loads) >= 2
    assert [place for place, call in loads if said(call, "weights_only") is not True] == []
    arrays = list(calls("np.load", "numpy.load", "np.save", "numpy.save"))
    assert len(arrays) >= 2
    assert [place for place, call in arrays if said(call, "allow_pickle") is not False] == []


def test_nothing_else_reads_objects_or_runs_text() -> None:
    wrong = [
        f"{place}: {dotted(node.func)}"
        for place, node in nodes(ast.Call)
        if dotted(node.func) in {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load"}
        or (isinstance(node.func, ast.Attribute) and node.func.attr in {"read_pickle", "to_pickle", "hub_load"})
        or said(node, "shell") is True
        or said(node, "trust_remote_code") is True
        or said(node, "allow_pickle") is True
        or said(node, "weights_only") is False
        or said(node, "pretrained") is True
    ]
    assert wrong == []


def test_one_place_asks_the_hub() -> None:
    """For a name that the user gave, at one commit: `tests/models/test_text.py`."""
    fetchers = ("snapshot_download", "hf_hub_download", "load_state_dict_from_url", "urlopen", "urlretrieve")
    asked = [
        (place.split(":")[0], dotted(node.func))
        for place, node in nodes(ast.Call)
        if dotted(node.func).rpartition(".")[2] in fetchers and not place.startswith("benchmarks/")
    ]
    webhook = ("assets/notices.py", "urllib.request.urlopen")  # an address that the user gave
    assert [each for each in asked if each != webhook] == [("models/text.py", "snapshot_download")]


def test_decoding_processes_are_heard_as_bytes_and_json() -> None:
    """`Connection.recv` would unpickle what a process says that a hostile picture may have taken over."""
    talks = [
        f"{place}: {node.func.attr}"
        for place, node in nodes(ast.Call, list((ROOT / "pipeline" / "crawl").glob("*.py")))
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"recv", "send", "recv_bytes", "send_bytes"}
    ]
    assert len(talks) >= 5
    assert [place for place in talks if not place.endswith("_bytes")] == []


def test_sql_is_never_put_together() -> None:
    """Statements are literals, or constants that are literals; what a crawl says goes in as parameters or tables."""
    found = 0
    for place, node in nodes(ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in {"sql", "execute", "executemany"} and node.args:
            statement = node.args[0]
            name = statement.id if isinstance(statement, ast.Name) else ""
            found += 1
            assert isinstance(statement, ast.Constant) or name.isupper() or name == "query", place
    assert found >= 5
    source = (ROOT / "pipeline" / "crawl" / "ordering.py").read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and dotted(node.target) in set(re.findall(r"_stream\((_[A-Z]+)", source)):
            assert isinstance(node.value, ast.Constant), dotted(node.target)


@pytest.mark.parametrize(
    "name", ["../evil", "/etc", "a/b", "", "A", "a\0", ".hidden", "x" * 129, "n\n", "a\\b", "\u202e"]
)
def test_no_partition_is_a_path(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(ValueError, match="name"):
        store.make("listing", name, "0" * 8, lambda _: {})
    with pytest.raises(ValueError, match="name"):
        store.current("listing", name)
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").rglob("*evil*"))


def test_no_asset_takes_or_gives_a_value() -> None:
    """What passed between them would be pickled; so nothing does, and whatever tried to would be refused."""
    for asset in defs.get_repository_def().asset_graph.assets_defs:
        if asset.is_executable:
            assert all(given.dagster_type.is_nothing for given in asset.op.input_defs), asset.op.name
    assert isinstance(defs.resources["io_manager"], NoValues)  # type: ignore[index]

    @dg.asset
    def three() -> int:
        return 3

    @dg.asset
    def none() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult()

    resources = {"io_manager": NoValues()}
    assert dg.materialize([none], resources=resources, run_config=QUIET).success
    with pytest.raises(TypeError, match="three returned a value: publish it in the store"):
        dg.materialize([three], resources=resources, run_config=QUIET)


def test_the_ui_listens_on_loopback_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, command: started.append(command))
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("WINNOW_STORE", "")
    looking.ui(tmp_path / "store")
    looking.ui(tmp_path / "store", "10.0.0.1")
    hosts = [command[command.index("-h") + 1] for command in started]
    assert hosts == ["127.0.0.1", "10.0.0.1"]


def test_no_address_beyond_loopback_is_listened_on() -> None:
    """No wildcard address stands anywhere in the source, nor in a deployment's files but where a container needs it."""
    named = [place for place, node in nodes(ast.Constant) if node.value in {"0.0.0.0", "::", "*:3000"}]  # noqa: S104
    assert named == []
