"""What stands in `deploy/`: units, container, cluster, login; nowhere a secret, nowhere an open door."""

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

import assets.cli  # noqa: F401 - tells the app its commands
from assets.commands.common import app
from tests.deploy.places import DEPLOY, ROOT, documents

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
RESOURCES = [(path.name, one) for path in MANIFESTS for one in documents(path)]
PODS = [(name, one["spec"]["template"]["spec"]) for name, one in RESOURCES if one["kind"] in {"Deployment", "Job"}]
CONTAINERFILE = DEPLOY / "container" / "Containerfile"
ANALYZE, KUBECTL = shutil.which("systemd-analyze"), shutil.which("kubectl")
KUBERNETES = "1.30"
INSTALLED = "/opt/winnow/.venv/bin/"
EXPOSURE = 2.5  # of `systemd-analyze security`: 10 is a unit without any bounds
SECRET = re.compile(
    r"(?i)(password|secret|(?<!ServiceAccount)token|api_?key)\w*\"?[ \t]*[=:][ \t]*\"?[^\s\"#]"
    r"|-----BEGIN|AKIA[0-9A-Z]{16}|://[^/\s:]+:[^@\s]+@"
)
OPEN_DOOR = re.compile(r"0\.0\.0\.0|\[?::\]?:|(?:-h|--host)[ ,=]+(?!127\.0\.0\.1)\S")
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def test_everything_is_here() -> None:
    assert [unit.stem for unit in UNITS] == ["winnow-daemon", "winnow-watch", "winnow-web"]
    assert [path.stem for path in MANIFESTS] == ["daemon", "gather", "namespace", "network", "store", "train", "web"]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(DEPLOY)) for path in FILES])
def test_no_secret_and_no_open_door(path: Path) -> None:
    assert not SECRET.search(path.read_text())
    assert not OPEN_DOOR.search(path.read_text())


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (SECRET, "WINNOW_DATABASE_PASSWORD=hunter2"),
        (SECRET, 'client_secret = "abc"'),
        (SECRET, "  password: hunter2"),
        (SECRET, "postgres_url: postgresql://winnow:hunter2@database/winnow"),
        (OPEN_DOOR, "dagster-webserver -h 0.0.0.0 -p 3000"),
        (OPEN_DOOR, "command: [dagster-webserver, -h, 192.168.0.1]"),
        (OPEN_DOOR, "--http-address=[::]:4180"),
    ],
)
def test_a_secret_or_an_open_door_would_be_seen(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


@pytest.mark.skipif(ANALYZE is None, reason="no `systemd-analyze` on the PATH")
@pytest.mark.parametrize("unit", UNITS, ids=[unit.stem for unit in UNITS])
def test_systemd_takes_a_unit(unit: Path, tmp_path: Path) -> None:
    """Verified with the programs of this installation and a user that is here; nothing else is changed."""
    own = tmp_path / unit.name
    text = unit.read_text().replace(INSTALLED, f"{sys.prefix}/bin/")
    own.write_text(re.sub(r"^(User|Group)=winnow$", r"\1=daemon", text, flags=re.MULTILINE))
    done = subprocess.run([str(ANALYZE), "verify", own], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, told) == (0, []), done.stderr
    judged = [str(ANALYZE), "security", "--offline=true", f"--threshold={EXPOSURE * 10:.0f}", str(own)]
    done = subprocess.run(judged, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:]


@pytest.mark.parametrize("unit", UNITS, ids=[unit.stem for unit in UNITS])
def test_a_unit_starts_what_is_there(unit: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(unit)
    service = parser["Service"]
    program, command, *_ = service["ExecStart"].removeprefix(INSTALLED).split()
    assert (Path(sys.prefix) / "bin" / program).exists()
    if program == "winnow":
        assert command in {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    assert service["User"] == "winnow"
    assert service["EnvironmentFile"] == "/etc/winnow/winnow.env"


@pytest.mark.parametrize(("name", "resource"), RESOURCES)
def test_kubernetes_takes_a_resource(name: str, resource: dict[str, Any]) -> None:
    """Against the schemas of Kubernetes itself, which know no field beyond their own; no cluster has seen it."""
    kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(resource | {"nothing": 1}, KUBERNETES, strict=True)
    assert name


@pytest.mark.parametrize(("name", "pod"), PODS, ids=[f"{name}-{index}" for index, (name, _) in enumerate(PODS)])
def test_a_pod_has_no_more_rights_than_it_needs(name: str, pod: dict[str, Any]) -> None:
    assert pod["automountServiceAccountToken"] is False, name
    assert pod["securityContext"]["runAsNonRoot"] is True
    mounted = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        rights = container["securityContext"]
        assert rights == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert ("ports" in container) == (container["name"] == "login")  # nothing else is reached from outside
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= mounted
        for variable in container.get("env", []):
            assert "value" not in variable, variable


@pytest.mark.skipif(KUBECTL is None, reason="no `kubectl` on the PATH")
def test_kubectl_puts_the_cluster_together(tmp_path: Path) -> None:
    done = subprocess.run([str(KUBECTL), "kustomize", DEPLOY], capture_output=True, text=True, check=True)
    whole = tmp_path / "whole.yaml"
    whole.write_text(done.stdout)
    made = {(one["kind"], one["metadata"]["name"]): one for one in documents(whole)}
    assert {name for kind, name in made if kind == "Deployment"} == {"winnow-web", "winnow-daemon"}
    assert {one["metadata"].get("namespace", "winnow") for one in made.values()} == {"winnow"}
    kept = made["ConfigMap", "winnow-dagster"]["data"]["dagster.yaml"]
    assert kept == (DEPLOY / "team" / "dagster.yaml").read_text()
    assert all(kind != "Secret" for kind, _ in made)
    for one in made.values():
        kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_the_container_is_built_from_what_is_here_and_runs_as_nobody() -> None:
    """Read line by line: no builder has seen it, as that takes a running container service."""
    lines = re.sub(r"\\\n", " ", CONTAINERFILE.read_text()).splitlines()
    steps = [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]
    known = {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "CMD"}
    assert {step for step, _ in steps} <= known
    for step, rest in steps:
        if step == "FROM":
            assert re.match(r"python:3\.1[123]\.\d+-slim-\w+( AS \w+)?$", rest)  # a tag of one release, never `latest`
        if step == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            assert all((ROOT / source).exists() for source in sources)
            ignored = (CONTAINERFILE.parent / "Containerfile.dockerignore").read_text().splitlines()
            assert all(f"!{source}" in ignored for source in sources)
    assert [rest for step, rest in steps if step == "USER"] == ["10001:10001"]
    assert all("://" not in rest for step, rest in steps)


def test_the_login_stands_before_loopback() -> None:
    settings = tomllib.loads((DEPLOY / "login" / "oauth2-proxy.cfg").read_text())
    assert settings["http_address"].startswith("127.0.0.1:")
    assert settings["upstreams"] == ["http://127.0.0.1:3000/"]
    assert settings["cookie_secure"]
