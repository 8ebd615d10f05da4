"""What is shipped for Prometheus, Grafana and Kubernetes is valid, and speaks of metrics that there are."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from celery_pyncette.observe.catalogue import CATALOGUE, Kind
from tests.packaging.test_contracts import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"


def series() -> dict[str, set[str]]:
    """Every series that is scraped, and its labels."""
    known: dict[str, set[str]] = {}
    for meter in CATALOGUE:
        labels = set(meter.labels)
        if meter.kind is Kind.HISTOGRAM:
            known |= {f"{meter.name}_{end}": labels for end in ("sum", "count")}
            known[f"{meter.name}_bucket"] = labels | {"le"}
        else:
            known[meter.name] = labels
    return known


def unknown(expression: str) -> set[str]:
    """Names of metrics, and labels asked of them, that there are not."""
    known, wrong = series(), set()
    for name, asked in re.findall(r"\b(pyncette_\w+)(?:\{([^}]*)\})?", expression):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", asked)) - {"job", "instance"}
        if name not in known:
            wrong.add(name)
        else:
            wrong |= {f"{name}{{{label}}}" for label in labels - known[name]}
    return wrong


def rules() -> list[dict[str, Any]]:
    return yaml.safe_load(RULES.read_text())["groups"][0]["rules"]


def dashboard() -> dict[str, Any]:
    return json.loads((DEPLOY / "grafana" / "celery-pyncette.json").read_text())


def expressions() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_each_alert_asks_for_metrics_that_there_are(rule: dict[str, Any]):
    assert unknown(rule["expr"]) == set()
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_each_alert_has_a_paragraph_that_its_link_leads_to(rule: dict[str, Any]):
    page = (CHECKOUT / "docs" / "monitoring.md").read_text()
    assert re.search(rf"^### {rule['alert']}\n\n\w", page, re.MULTILINE)
    assert rule["annotations"]["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"


def test_each_alert_is_tested_to_fire_and_to_be_silent():
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in rules()}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


def promtool(*args: str) -> None:
    done = subprocess.run(["promtool", *args], capture_output=True, text=True, cwd=RULES.parent, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("prometheus")
def test_promtool_accepts_the_rules():
    promtool("check", "rules", RULES.name)


@pytest.mark.needs("prometheus")
def test_promtool_sees_each_alert_fire():
    promtool("test", "rules", "alerts_test.yml")


@pytest.mark.needs("prometheus")
def test_promtool_accepts_the_scrape_configuration():
    promtool("check", "config", "prometheus.yml")


@pytest.mark.parametrize("expression", expressions())
def test_each_panel_asks_for_metrics_that_there_are(expression: str):
    assert unknown(expression) == set()


def test_each_metric_is_drawn_somewhere():
    drawn = set(re.findall(r"\bpyncette_\w+", " ".join(expressions())))
    missing = {meter.name for meter in CATALOGUE if not any(name.startswith(meter.name) for name in drawn)}
    assert missing <= {"pyncette_reported_total"}


def test_the_dashboard_is_one_that_grafana_can_import():
    board = dashboard()
    assert {"uid", "title", "panels", "schemaVersion", "templating", "time"} <= set(board)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board["panels"])))
    assert used <= variables
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["targets"]


def test_panels_do_not_lie_on_one_another():
    cells: dict[tuple[int, int], int] = {}
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert cells.setdefault((x, y), panel["id"]) == panel["id"]


def kubernetes() -> dict[str, Any]:
    documents = yaml.safe_load_all((DEPLOY / "kubernetes" / "beat.yaml").read_text())
    return {document["kind"]: document["spec"] for document in documents}


def test_the_kubernetes_example_survives_the_loss_of_a_pod():
    kinds = kubernetes()
    assert kinds["Deployment"]["replicas"] >= 2
    assert kinds["Deployment"]["strategy"]["type"] == "RollingUpdate"
    assert kinds["PodDisruptionBudget"]["minAvailable"] == 1
    labels = kinds["Deployment"]["template"]["metadata"]["labels"]
    for where in (kinds["Deployment"]["selector"], kinds["PodDisruptionBudget"]["selector"]):
        assert where["matchLabels"] == labels
    assert kinds["NetworkPolicy"]["podSelector"]["matchLabels"] == labels


def test_its_probes_ask_what_they_should():
    """Liveness must not look at the store: an outage would restart every beat."""
    [beat] = kubernetes()["Deployment"]["template"]["spec"]["containers"]
    asks = {kind: beat[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")}
    assert {kind: asked["path"] for kind, asked in asks.items()} == {"liveness": "/live", "readiness": "/ready"}
    [port] = beat["ports"]
    assert {asked["port"] for asked in asks.values()} == {port["name"]}


def test_nothing_shipped_has_a_secret_or_a_place_of_ours():
    for path in DEPLOY.rglob("*.*"):
        if isinstance(path, Path) and path.is_file():
            assert not re.search(r"password|/(?:home|root|tmp|work)/", path.read_text()), path
