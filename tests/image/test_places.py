"""What `docker/` has for clusters and for logs: valid, as strict as the image, and working with a real mirror."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from dataset_mirror.cli import COMMANDS
from dataset_mirror.settings import Settings, load
from tests.conftest import StartMirror
from tests.image.dockerfile import ROOT, stages
from tests.serving import PATIENCE, Mirror, environment

DOCKER = ROOT / "docker"
PROLOG = DOCKER / "slurm" / "prolog.sh"
KUBERNETES: dict[str, Any] = {
    known["kind"]: known for known in YAML(typ="safe").load_all((DOCKER / "kubernetes" / "mirror.yaml").read_text(encoding="utf-8"))
}
TESTED = {
    *("dataset-mirror.service", "healthcheck.py", "mirror.toml", "logrotate.conf"),
    *(
        "kubernetes/mirror.yaml",
        "kubernetes/shared.yaml",
        "kubernetes/small.yaml",
        "compose.shared.yaml",
        "haproxy.cfg",
        "README.md",
        "slurm/prolog.sh",
        "slurm/README.md",
        "apptainer/README.md",
    ),
    "nginx.conf",
    *("prometheus/README.md", "prometheus/prometheus.yml", "prometheus/alerts.yml", "prometheus/alerts.test.yml"),
    *("grafana/dataset-mirror.json", "grafana/provisioning/datasources/prometheus.yaml"),
    "grafana/provisioning/dashboards/dataset-mirror.yaml",
}
"""All there is in docker/: each file has a test here, in test_shared, test_observe, test_unit, test_example or test_command_line, or in
tests/shared/test_balancers."""


def test_every_file_is_tested() -> None:
    """Nothing lies in docker/ that no test looks at."""
    files = {path.relative_to(DOCKER).as_posix() for path in DOCKER.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert files == TESTED


@pytest.mark.parametrize("kind", sorted(KUBERNETES))
@pytest.mark.parametrize("version", ["1.31", "1.34"])
def test_kubernetes_takes_it(kind: str, version: str) -> None:
    """Each object is what the schemas of Kubernetes allow, and nothing in it is unknown to them."""
    kubernetes_validate.validate(KUBERNETES[kind], version, strict=True)


def test_the_pod() -> None:
    """One pod, as strict as compose.yaml, with the image's user, port and volume, and more time to stop than answers get."""
    workload, image = KUBERNETES["StatefulSet"]["spec"], stages()[-1]
    pod = workload["template"]["spec"]
    (container,) = pod["containers"]
    assert workload["replicas"] == 1
    user = image.one("USER").split(":")
    assert [str(pod["securityContext"][name]) for name in ("runAsUser", "runAsGroup")] == user
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [str(port["containerPort"]) for port in container["ports"]] == [image.one("EXPOSE")]
    assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}["data"] == image.one("VOLUME")
    assert container["args"][: len(image.command("CMD"))] == image.command("CMD")
    assert pod["terminationGracePeriodSeconds"] > Settings.model_fields["grace"].default
    assert pod["automountServiceAccountToken"] is False


def test_what_belongs_together() -> None:
    """The service leads to the pod, probes ask pages that there are, and the configuration is one."""
    workload = KUBERNETES["StatefulSet"]["spec"]
    labels = workload["template"]["metadata"]["labels"]
    assert KUBERNETES["Service"]["spec"]["selector"] == workload["selector"]["matchLabels"] == labels
    (container,) = workload["template"]["spec"]["containers"]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
    assert {probe["port"] for probe in probes} == {port["name"] for port in container["ports"]}


def test_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror.toml of the ConfigMap is valid, and is where the container looks for it."""
    for name in [name for name in os.environ if name.startswith("DATASET_MIRROR_")]:
        monkeypatch.delenv(name)
    (tmp_path / "mirror.toml").write_text(KUBERNETES["ConfigMap"]["data"]["mirror.toml"], encoding="utf-8")
    assert load(tmp_path / "mirror.toml").settings.max_size == 180_000_000_000
    (container,) = KUBERNETES["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    known = {each["name"]: each.get("value") for each in container["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert known["DATASET_MIRROR_CONFIG"] == f"{mounts['configuration']}/mirror.toml"


def test_shellcheck() -> None:
    """shellcheck has nothing to say of any script."""
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([program, *DOCKER.rglob("*.sh")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def prolog(place: Path, url: str) -> subprocess.CompletedProcess[str]:
    """The prolog as slurmd runs it for a task."""
    known = environment(place, {}) | {"DATASET_MIRROR_URL": url}
    return subprocess.run([PROLOG], cwd=place, env=known, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_the_prolog_of_slurm(start_mirror: StartMirror, tmp_path: Path) -> None:
    """A task gets the variables of setup.sh; every line is one that slurmd takes up, and the bundle is there."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    mirror: Mirror = start_mirror()
    done = prolog(tmp_path, mirror.url)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("export ") and "=" in line for line in done.stdout.splitlines())
    told = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    assert told["HTTPS_PROXY"] == mirror.url
    assert b"BEGIN CERTIFICATE" in Path(told["SSL_CERT_FILE"]).read_bytes()


@pytest.mark.timed
def test_the_prolog_without_a_mirror(tmp_path: Path) -> None:
    """Where no mirror answers a task runs as it would without one, and soon."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    began = time.monotonic()
    done = prolog(tmp_path, "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (0, "")
    assert time.monotonic() - began < 5


def test_logrotate_takes_it(tmp_path: Path) -> None:
    """logrotate finds no error in it, and it names the file that the unit of systemd may write."""
    text = (DOCKER / "logrotate.conf").read_text(encoding="utf-8")
    unit = (DOCKER / "dataset-mirror.service").read_text(encoding="utf-8")
    assert "\n/var/log/dataset-mirror/access.log {\n" in text
    assert "\nLogsDirectory=dataset-mirror\n" in unit
    assert "--access-log /var/log/dataset-mirror/access.log" in unit
    program = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin")
    if program is None:
        pytest.skip("logrotate is not installed")
    copy = tmp_path / "logrotate.conf"
    copy.write_text(text, encoding="utf-8")
    copy.chmod(0o644)
    done = subprocess.run([program, "-d", "-s", tmp_path / "state", copy], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "error" not in done.stderr


@pytest.mark.parametrize("folder", ["slurm", "apptainer", "prometheus"])
def test_notes_name_what_there_is(folder: str) -> None:
    """Commands and settings in the notes are those of the program."""
    text = (DOCKER / folder / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bdataset-mirror ([a-z][a-z-]+)", text)) - {"with"} <= set(COMMANDS)
    assert set(re.findall(r"`([a-z_]+) = ", text)) <= set(Settings.model_fields)
    links = re.findall(r"`(\.\./[\w/.-]+|[\w-]+\.(?:sh|yml|json))`", text)
    assert [link for link in links if not (DOCKER / folder / link).exists()] == []
