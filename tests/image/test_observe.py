"""docker/prometheus, docker/grafana and the profile `observe`: valid, agreeing with each other and with /metrics."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from dataset_mirror.fetch.cause import CAUSES
from dataset_mirror.status.models import Check
from tests.image.dockerfile import ROOT
from tests.origin import Origin, body
from tests.serving import Mirror

PROMETHEUS = ROOT / "docker" / "prometheus"
DASHBOARD = ROOT / "docker" / "grafana" / "dataset-mirror.json"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.*) \|$", re.MULTILINE)
DOCUMENTED = {
    name: (kind, tuple(re.findall(r"`(\w+)`", labels)), text)
    for name, kind, labels, text in ROW.findall((PROMETHEUS / "README.md").read_text())
}
SHARED = {name: row for name, row in DOCUMENTED.items() if name.startswith("dataset_mirror_shared_")}
"""Those of several mirrors that share a store."""
TABLE = {name: row for name, row in DOCUMENTED.items() if name not in SHARED}
NAME = re.compile(r"\bdataset_mirror_\w+")


def read(file: Path) -> Any:
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    """All alerts."""
    return [rule for group in read(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]]


def promtool(*arguments: object) -> None:
    """Runs promtool, which must be content."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([program, *map(str, arguments)], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def queries() -> list[str]:
    """What the dashboard asks Prometheus for, with its variables filled in."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    return [query.replace("$__rate_interval", "1m").replace("$instance", ".*") for query in asked]


def test_the_table_is_what_metrics_says(origin: Origin, mirror: Mirror) -> None:
    """Each metric stands in the table with its type, its labels and its words, and nothing else does."""
    origin.add("/sets/a.bin", body(1000))
    for path in ("/sets/a.bin", "/sets/a.bin", "/sets/none.bin"):
        mirror.archive(path, x_request_id="not-from-memory")
    said = mirror.get("/metrics").body.decode()
    found: dict[str, tuple[str, tuple[str, ...], str]] = {}
    for family in text_string_to_metric_families(said):
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        name = family.name + ("_total" if family.type == "counter" else "")
        assert labels == set(TABLE[name][1]), name
        found[name] = (family.type, TABLE[name][1], family.documentation)
    assert found == TABLE
    values = {(s.name, *sorted(s.labels.values())): s.value for f in text_string_to_metric_families(said) for s in f.samples}
    assert values["dataset_mirror_first_byte_seconds_count", "hit"] == 1
    assert values["dataset_mirror_first_byte_seconds_bucket", "+Inf", "miss"] == 1
    assert values["dataset_mirror_fills_by_cause_total", "data.example.org", "request"] == 2
    assert set(CAUSES) == {"request", "check", "ahead"}


def test_promtool_accepts_configuration_and_alerts() -> None:
    """Prometheus takes its configuration and the alert rules."""
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "alerts.yml")


def test_each_alert_fires_when_it_must() -> None:
    """The unit tests of the alerts pass, and there is one for each."""
    promtool("test", "rules", "alerts.test.yml")
    tested = {case["name"] for case in read(PROMETHEUS / "alerts.test.yml")["tests"]}
    assert tested == {rule["alert"] for rule in rules()}


def test_alerts_say_what_to_do() -> None:
    """Each has a severity, a sentence and an action."""
    assert {rule["labels"]["severity"] for rule in rules()} == {"critical", "warning"}
    assert all(rule["annotations"]["summary"].endswith(".") and rule["annotations"]["action"] for rule in rules())


def test_what_is_asked_for_exists() -> None:
    """Alerts and dashboard ask only for metrics that there are, and the dashboard shows each of them; checks have their names."""
    known = set(DOCUMENTED) | {
        f"{name}_{part}" for name, (kind, _, _) in TABLE.items() if kind == "histogram" for part in ("bucket", "count", "sum")
    }
    asked = {name for query in [*queries(), *(rule["expr"] for rule in rules())] for name in NAME.findall(query)}
    assert asked - known == set()
    shown = {name.removesuffix("_bucket") for query in queries() for name in NAME.findall(query)}
    assert set(DOCUMENTED) - shown == set()
    checks = {word for rule in rules() for match in re.findall(r'check=~?"([^"]+)"', rule["expr"]) for word in match.split("|")}
    assert checks <= set(Check.model_fields["name"].annotation.__args__)  # type: ignore[union-attr]


def test_promtool_accepts_the_dashboard(tmp_path: Path) -> None:
    """Each query of the dashboard is one."""
    names = [{"record": f"q:{number}", "expr": query} for number, query in enumerate(queries())]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": names}]}), encoding="utf-8")
    promtool("check", "rules", tmp_path / "queries.yml")


def test_the_dashboard_is_laid_out() -> None:
    """Panels have titles and ids of their own, and none lies over another."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_profile_observe() -> None:
    """It mounts files that are there, read-only, listens on this machine only, and scrapes the mirror at its port."""
    services = read(ROOT / "compose.yaml")["services"]
    observing = {name: known for name, known in services.items() if known.get("profiles") == ["observe"]}
    assert set(observing) == {"prometheus", "grafana"}
    for known in observing.values():
        assert all(port.startswith("127.0.0.1:") for port in known["ports"])
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", known["image"])
        for source, *_, mode in (volume.split(":") for volume in known["volumes"] if volume.startswith("./")):
            assert (ROOT / source).exists()
            assert mode == "ro"
    (job,) = read(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["mirror:8080"]}]
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    (source,) = read(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = read(provisioning / "dashboards" / "dataset-mirror.yaml")["providers"]
    assert any(volume.split(":")[1].startswith(provider["options"]["path"]) for volume in observing["grafana"]["volumes"])
