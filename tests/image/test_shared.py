"""What `docker/` has for several mirrors over one store, and for the smallest one in a cluster: valid, and agreeing with the image."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from dataset_mirror.cli import COMMANDS
from dataset_mirror.fetch import shared
from dataset_mirror.settings import Settings, load, sharing
from dataset_mirror.store.shared import feed, schema, sweeper
from tests.image.dockerfile import ROOT, stages
from tests.image.test_observe import SHARED

DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.shared.yaml"
PROJECT = YAML(typ="safe").load(COMPOSE.read_text(encoding="utf-8"))
MIRRORS = {name: known for name, known in PROJECT["services"].items() if name.startswith("mirror-")}


def objects(name: str) -> list[dict[str, Any]]:
    """What a file has for Kubernetes."""
    return list(YAML(typ="safe").load_all((DOCKER / "kubernetes" / name).read_text(encoding="utf-8")))


PUBLISHED = [(name, known) for name in ("shared.yaml", "small.yaml") for known in objects(name) if known["kind"] != "ServiceMonitor"]
"""All but what Prometheus' operator brings, whose schema is not Kubernetes'."""


def of_kind(name: str, kind: str) -> dict[str, Any]:
    return next(known for known in objects(name) if known["kind"] == kind)


@pytest.mark.parametrize("version", ["1.31", "1.34"])
@pytest.mark.parametrize(
    "known", [known for _, known in PUBLISHED], ids=[f"{name} {known['kind']} {n}" for n, (name, known) in enumerate(PUBLISHED)]
)
def test_kubernetes_takes_it(known: dict[str, Any], version: str) -> None:
    """Each object is what the schemas of Kubernetes allow, and nothing in it is unknown to them."""
    kubernetes_validate.validate(known, version, strict=True)


@pytest.mark.parametrize(("name", "kind"), [("shared.yaml", "StatefulSet"), ("small.yaml", "Deployment")])
def test_the_pods(name: str, kind: str) -> None:
    """As strict as the image allows, with its user, port and volume; two pods never have one folder."""
    workload, image = of_kind(name, kind)["spec"], stages()[-1]
    pod = workload["template"]["spec"]
    (container,) = pod["containers"]
    user = image.one("USER").split(":")
    assert [str(pod["securityContext"][key]) for key in ("runAsUser", "runAsGroup")] == user
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [str(port["containerPort"]) for port in container["ports"]] == [image.one("EXPOSE")]
    assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}["data"] == image.one("VOLUME")
    volumes = {volume["name"] for volume in pod["volumes"]} | {
        claim["metadata"]["name"] for claim in workload.get("volumeClaimTemplates", [])
    }
    assert volumes == {mount["name"] for mount in container["volumeMounts"]}
    assert workload.get("strategy", {"type": "Recreate"})["type"] == "Recreate"
    labels = workload["template"]["metadata"]["labels"]
    assert all(known["spec"]["selector"] == labels for known in objects(name) if known["kind"] == "Service")


def test_the_name_of_each_mirror(tmp_path: Path) -> None:
    """The others reach a pod by its name in the headless Service, and the configuration with the Secret is one of several mirrors."""
    workload = of_kind("shared.yaml", "StatefulSet")["spec"]
    (container,) = workload["template"]["spec"]["containers"]
    given = {one["name"]: one.get("value") for one in container["env"]}
    assert given["DATASET_MIRROR_ADVERTISE_URL"] == f"http://$(POD).{workload['serviceName']}:8080"
    headless = next(known for known in objects("shared.yaml") if known["metadata"]["name"] == workload["serviceName"])
    assert headless["spec"]["clusterIP"] == "None"
    (tmp_path / "mirror.toml").write_text(of_kind("shared.yaml", "ConfigMap")["data"]["mirror.toml"], encoding="utf-8")
    assert sharing(load(tmp_path / "mirror.toml", {"shared": "postgresql://mirror@db/mirrors"}).settings)


def test_compose() -> None:
    """It is what the Compose specification allows; each mirror has its own folder, and time to give back what it fetches."""
    program = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [str(program), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folders = [volume for known in MIRRORS.values() for volume in known["volumes"]]
    assert len(set(folders)) == len(MIRRORS) == 3
    assert {folder.partition(":")[0] for folder in folders} < set(PROJECT["volumes"])
    for known in MIRRORS.values():
        seconds = re.fullmatch(r"(\d+)s", known["stop_grace_period"])
        assert seconds
        assert int(seconds[1]) > Settings.model_fields["grace"].default + 5
        assert known["read_only"] is True
        assert known["cap_drop"] == ["ALL"]


def test_what_compose_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of the mirrors are settings, and together they are those of several mirrors."""
    for name, value in MIRRORS["mirror-1"]["environment"].items():
        if name.startswith("DATASET_MIRROR_"):
            monkeypatch.setenv(name, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value))
    assert sharing(load(None, {"data": tmp_path}).settings)


def test_the_balancer(tmp_path: Path) -> None:
    """It passes on bytes, so that CONNECT and the mirrors' TLS come through; it knows all mirrors, and HAProxy takes the file."""
    text = (DOCKER / "haproxy.cfg").read_text(encoding="utf-8")
    assert re.findall(r"^    mode (\w+)$", text, re.MULTILINE) == ["tcp"]
    assert re.findall(r"^    server (\S+) \1:8080", text, re.MULTILINE) == list(MIRRORS)
    program = shutil.which("haproxy")
    if program is None:
        pytest.skip("haproxy is not installed")
    done = subprocess.run([program, "-c", "-f", str(DOCKER / "haproxy.cfg")], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_said_of_sizes() -> None:
    """The README of sizes names metrics and commands that there are, and the seconds that the program has."""
    text = (DOCKER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(dataset_mirror_\w+)`", text)) <= set(SHARED)
    assert set(re.findall(r"`dataset-mirror ([a-z]+)", text)) <= set(COMMANDS)
    assert f"within {schema.TTL} s" in text
    assert f"each {feed.EVERY:.0f} s" in text
    assert f"after {shared.UNREACHABLE:.0f} s" in text
    assert sweeper.GRACE == 3600
    assert "for an hour" in text


def test_the_service_monitor() -> None:
    """It has what Prometheus' operator requires, no field that it does not know, and selects the port of each mirror."""
    # No small package ships the operator's schema: its fields, of monitoring.coreos.com/v1, stand here.
    known = of_kind("shared.yaml", "ServiceMonitor")
    assert known["apiVersion"] == "monitoring.coreos.com/v1"
    assert set(known) == {"apiVersion", "kind", "metadata", "spec"}
    assert {"selector", "endpoints"} <= set(known["spec"]) <= {"selector", "endpoints", "namespaceSelector", "jobLabel", "targetLabels"}
    assert set(known["spec"]["selector"]) <= {"matchLabels", "matchExpressions"}
    for endpoint in known["spec"]["endpoints"]:
        assert {"port", "path"} <= set(endpoint) <= {"port", "path", "interval", "scrapeTimeout", "scheme", "honorLabels"}
        assert all(isinstance(endpoint[key], str) for key in ("port", "path"))
    labels = known["spec"]["selector"]["matchLabels"].items()
    services = [one for one in objects("shared.yaml") if one["kind"] == "Service" and labels <= one["metadata"].get("labels", {}).items()]
    workload = of_kind("shared.yaml", "StatefulSet")["spec"]
    assert [one["metadata"]["name"] for one in services] == [workload["serviceName"]]
    assert {endpoint["port"] for endpoint in known["spec"]["endpoints"]} <= {port["name"] for port in services[0]["spec"]["ports"]}
    assert {endpoint["path"] for endpoint in known["spec"]["endpoints"]} == {"/metrics"}
