"""The dashboard and the compose file of the examples, as far as they can be checked without a container."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
import yaml  # of huggingface-hub
from opentelemetry.sdk.metrics.export import Histogram, Sum

from asyncllm import AsyncLLM
from asyncllm.config.options import Options
from asyncllm.simulator import Fault, Simulator
from tests.tracing.conftest import LATEST, recorded

FOLDER = Path(__file__).parents[2] / "examples" / "observability"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]

# The part of Grafana's model of dashboards that is used here.
_SOURCE = {
    "type": "object",
    "properties": {"type": {"const": "prometheus"}, "uid": {"const": "prometheus"}},
    "required": ["type", "uid"],
}
_TARGET = {
    "type": "object",
    "properties": {
        "expr": {"type": "string", "minLength": 1},
        "legendFormat": {"type": "string"},
        "refId": {"type": "string", "pattern": "^[A-Z]$"},
    },
    "required": ["expr", "refId", "legendFormat"],
    "additionalProperties": False,
}
_PLACE = {
    "type": "object",
    "properties": {
        "h": {"type": "integer", "minimum": 1},
        "w": {"type": "integer", "minimum": 1, "maximum": 24},
        "x": {"type": "integer", "minimum": 0, "maximum": 23},
        "y": {"type": "integer", "minimum": 0},
    },
    "required": ["h", "w", "x", "y"],
    "additionalProperties": False,
}
_PANEL = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "title": {"type": "string", "minLength": 1},
        "type": {"const": "timeseries"},
        "datasource": _SOURCE,
        "gridPos": _PLACE,
        "targets": {"type": "array", "items": _TARGET, "minItems": 1},
        "fieldConfig": {"type": "object", "required": ["defaults", "overrides"]},
    },
    "required": ["id", "title", "type", "datasource", "gridPos", "targets", "fieldConfig"],
    "additionalProperties": False,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "uid": {"type": "string", "maxLength": 40},
        "schemaVersion": {"type": "integer", "minimum": 36},
        "version": {"type": "integer"},
        "refresh": {"type": "string"},
        "time": {"type": "object", "required": ["from", "to"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "panels": {"type": "array", "items": _PANEL, "minItems": 1},
    },
    "required": ["title", "uid", "schemaVersion", "panels"],
    "additionalProperties": False,
}


def prometheus_names(metric: Any) -> set[str]:
    """Return the series that Prometheus has of a metric that comes over OTLP.

    Source: the naming rules of the OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility".
    """
    unit, _, per = metric.unit.partition("/")
    units = ["" if unit.startswith("{") else {"s": "seconds"}.get(unit, unit), {"s": "per_second"}.get(per, per)]
    name = "_".join([metric.name.replace(".", "_"), *filter(None, units)])
    if isinstance(metric.data, Histogram):
        return {f"{name}_{kind}" for kind in ("count", "sum", "bucket")}
    return {f"{name}_total"} if isinstance(metric.data, Sum) else {name}


@pytest.mark.anyio
async def test_it_shows_what_is_recorded(
    options: Options, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, anyio_backend: str
) -> None:
    """Each series of its queries is of a metric that calls record, by either conventions; no metric is left out."""
    usage = {
        "prompt_tokens_details": {"cached_tokens": 3, "cache_creation_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    limited: Options = {**options, "max_concurrency": 1}
    series: dict[str, set[str]] = {}
    for opt_in in ("", LATEST):
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", opt_in)
        for recording in recorded():
            async with AsyncLLM(**limited) as llm:
                await llm.gather(["hi"] * 3, extra_body={"simulator": {"usage": usage}})
                simulator.faults(Fault("status", code=429, retry_after=0.01, retry_after_form="ms", times=1))
                await llm.gather(["hi"])
                async with anyio.create_task_group() as group:  # of which one waits for the slot
                    group.start_soon(llm.stream("hi").collect)
                    group.start_soon(llm.acompletion, "hi")
                async with llm.with_options(cache=str(tmp_path / "answers.db")) as cached:
                    for _ in range(2):
                        await cached.acompletion("hi")
            data = recording.reader.get_metrics_data()
            assert data is not None
            for scope in data.resource_metrics[0].scope_metrics:
                series.update({metric.name: prometheus_names(metric) for metric in scope.metrics})
    exact = {name for query in QUERIES for name in re.findall(r"\b(?:gen_ai_client|asyncllm)_\w+", query)}
    patterns = {pattern for query in QUERIES for pattern in re.findall(r'__name__=~"([^"]+)"', query)}
    shown = {
        metric
        for metric, names in series.items()
        if names & exact or any(re.fullmatch(pattern, name) for pattern in patterns for name in names)
    }
    every = set().union(*series.values())
    assert shown == series.keys()
    assert exact - {"asyncllm_profile", "gen_ai_client_"} <= every
    assert all(any(re.fullmatch(pattern, name) for name in every) for pattern in patterns)


def test_it_is_a_dashboard() -> None:
    """It has the form of Grafana's model; ids are unique, and no panel lies on another or over the edge."""
    jsonschema.validate(DASHBOARD, SCHEMA)
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert all(query.count("(") == query.count(")") and query.count("{") == query.count("}") for query in QUERIES)


def test_the_compose_file_mounts_what_there_is() -> None:
    """Its files exist, are mounted read-only, and Grafana looks for the dashboard where it is mounted."""
    (service,) = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"].values()
    mounted = {}
    for volume in service["volumes"]:
        source, target, mode = volume.split(":")
        assert (FOLDER / source).is_file()
        assert mode == "ro"
        mounted[source] = target
    (provider,) = yaml.safe_load((FOLDER / "dashboards.yaml").read_text(encoding="utf-8"))["providers"]
    assert provider["options"]["path"] == mounted["./dashboard.json"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
