"""The dashboard and the alerts ask for metrics and labels that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from app.telemetry.metrics import Metrics, WorkerMetrics

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/xclip-search.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text())
PAGE = (ROOT / "docs/operations.md").read_text()

_METRIC = re.compile(r"\b(xclip_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*[=!]~?\s*\"")
_BY = re.compile(r"\bby \(([^)]*)\)")
_FROM_OUTSIDE = {"instance", "job", "le"}  # of the scrape, and of every histogram


def known() -> dict[str, set[str]]:
    """The labels of every name that a scrape can bring."""
    names: dict[str, set[str]] = {}
    for registry in (Metrics().registry, WorkerMetrics().registry):
        assert isinstance(registry, CollectorRegistry)
        for name, collector in registry._names_to_collectors.items():
            names[name] = set(getattr(collector, "_labelnames", ()))
        # those of the process have no labels and are made when they are asked for
        names |= {family.name: set() for family in registry.collect() if "_process_" in family.name}
        names |= {f"{name}_total": set() for name in list(names) if name.endswith("_cpu_seconds")}
    return names


def questions() -> list[str]:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    rules = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    assert len(asked) > 25
    assert len(rules) > 5
    return asked + rules


@pytest.mark.parametrize("question", questions())
def test_every_question_is_about_something_that_is_measured(question: str) -> None:
    """A panel whose metric was renamed would stay empty, and an alert would never come."""
    names = known()
    labels: set[str] = set()
    for name, matchers in _METRIC.findall(question):
        assert name in names, name
        labels |= names[name]
        assert set(_LABEL.findall(matchers)) <= names[name] | _FROM_OUTSIDE, name
    for grouped in _BY.findall(question):
        assert {label.strip() for label in grouped.split(",")} <= labels | _FROM_OUTSIDE


def test_panels_have_names_of_their_own_and_lie_beside_each_other() -> None:
    """Grafana draws overlapping panels on top of each other without a word."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_metric_is_explained_to_the_operator() -> None:
    """docs/operations.md lists what there is, and nothing else."""
    listed = set(re.findall(r"`(xclip_\w+?)(?:_total|\*)?`", PAGE))
    families = {
        metric.name
        for registry in (Metrics().registry, WorkerMetrics().registry)
        for metric in registry.collect()
    }
    processes = {name for name in families if "_process_" in name}
    assert families - processes <= listed
    prefixes = {"xclip_worker_", "xclip_ingest", "xclip_model_"}
    assert listed - families - prefixes == {"xclip_api_process_", "xclip_worker_process_"}
