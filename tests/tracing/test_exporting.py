"""What leaves the process: to an OTLP receiver, into log events, and by `opentelemetry-instrument`."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
import tomli
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from asyncllm import LLM, AsyncLLM, telemetry
from asyncllm.config.options import Options
from asyncllm.simulator import Simulator
from tests.support.secrets import SECRET
from tests.tracing.conftest import LATEST, Recording

ROOT = Path(__file__).parents[2]


class Receiver:
    """An OTLP receiver over HTTP and protobuf: what it was sent, decoded."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.bodies: list[bytes] = []

    def take(self, path: str, body: bytes) -> None:
        """Read one request."""
        self.bodies.append(body)
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            self.spans += [s for r in traces.resource_spans for scope in r.scope_spans for s in scope.spans]
        elif path == "/v1/metrics":
            metrics = ExportMetricsServiceRequest.FromString(body)
            self.metrics += [m for r in metrics.resource_metrics for scope in r.scope_metrics for m in scope.metrics]


@contextmanager
def receiver() -> Iterator[tuple[Receiver, str]]:
    """Run a receiver; yield it with its address."""
    got = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.take(self.path, gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield got, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def attributes_of(span: Any) -> dict[str, Any]:
    """Return the attributes of a span in OTLP."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


APP = """
from asyncllm import LLM
with LLM(model="openai/gpt-4o-mini") as llm:
    llm.completion("a secret question")
    print(llm.stream("hi").collect().text[:9])
"""


def test_opentelemetry_instrument_switches_it_on(tmp_path: Path, simulator: Simulator) -> None:
    """A program that knows nothing of tracing is traced: `opentelemetry-instrument python app.py`."""
    # The distribution as it is installed: the entry point of pyproject.toml, and nothing else.
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (entry,) = project["entry-points"]["opentelemetry_instrumentor"].items()
    info = tmp_path / "asyncllm-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: asyncllm\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{entry[0]} = {entry[1]}\n")
    (tmp_path / "app.py").write_text(APP)
    with receiver() as (got, address):
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "OPENAI_API_KEY": SECRET,
            "OPENAI_API_BASE": simulator.url,
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "app",
            "OTEL_SEMCONV_STABILITY_OPT_IN": LATEST,
        }
        run = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"
        command = [sys.executable, "-c", run, sys.executable, "app.py"]  # the script opentelemetry-instrument
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stdout.strip()) == (0, "Simulated"), done.stderr
    spans = [span for span in got.spans if span.name == "chat gpt-4o-mini"]
    assert len(spans) == 2, done.stderr
    assert attributes_of(spans[0])["gen_ai.provider.name"] == "openai"
    assert "gen_ai.client.inference.duration" in {metric.name for metric in got.metrics}
    assert not any(SECRET.encode() in body or b"secret question" in body for body in got.bodies)


def test_names_are_those_of_openais_instrumentation(
    options: Options, recording: Recording, simulator: Simulator
) -> None:
    """The same request by OpenAI's SDK, traced by OpenTelemetry's own package, has no attribute that ours lacks."""
    params: Any = {"temperature": 0.5, "top_p": 0.5, "max_tokens": 50, "seed": 1, "stop": ["END"]}
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=recording.tracer_provider, meter_provider=recording.meter_provider)
    try:
        with openai.OpenAI(base_url=simulator.url, api_key="any") as client:
            asked: Any = [{"role": "user", "content": "hi"}]
            client.chat.completions.create(model="gpt-4o-mini", messages=asked, **params)
    finally:
        instrumentor.uninstrument()
    with LLM(**options) as llm:
        llm.completion("hi", **params)
    theirs, ours = (dict(span.attributes or {}) for span in recording.spans)
    # Theirs alone, of OpenAI's own extensions.
    assert {name for name in theirs.keys() - ours.keys() if not name.startswith("openai.")} == set()
    same = ("gen_ai.request.model", "gen_ai.provider.name", "gen_ai.operation.name", "gen_ai.request.max_tokens")
    assert [theirs[name] for name in same] == [ours[name] for name in same]
    assert recording.spans[0].name == recording.spans[1].name
    assert recording.spans[0].kind == recording.spans[1].kind
    # Theirs is that of the conventions before calls to models had a metric of their own.
    (their_metric,) = recording.points("gen_ai.client.operation.duration")
    (our_metric,) = recording.points("gen_ai.client.inference.duration")
    assert their_metric.explicit_bounds == our_metric.explicit_bounds


@pytest.mark.anyio
async def test_log_events_have_the_ids_of_the_trace(
    llm: AsyncLLM, recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """A log line leads to its trace, for plain calls and streams."""
    await llm.acompletion("hi")
    await llm.stream("hi").collect()
    fields = [vars(record)["fields"] for record in caplog.records if record.getMessage().startswith("call.done")]
    contexts = [span.context for span in recording.spans]
    assert [one["trace_id"] for one in fields] == [f"{context.trace_id:032x}" for context in contexts if context]
    assert [one["span_id"] for one in fields] == [f"{context.span_id:016x}" for context in contexts if context]
    telemetry.uninstrument()
    caplog.clear()
    await llm.acompletion("hi")
    assert "trace_id" not in caplog.text


def test_the_package_does_without_opentelemetry() -> None:
    """Without the package nothing of it is imported, and switching it on says what to install."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from asyncllm import LLM, ConfigError, telemetry\n"
        "with LLM(model='simulated/demo') as llm: llm.completion('hi')\n"
        "try: telemetry.instrument()\n"
        "except ConfigError as error: print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "asyncllm[otel]" in done.stdout


def test_a_program_that_is_not_traced_imports_nothing_of_it() -> None:
    """Installed and not switched on, neither tracing nor the API is imported."""
    code = (
        "import sys\nfrom asyncllm import LLM\n"
        "with LLM(model='simulated/demo') as llm: llm.completion('hi')\n"
        "print([name for name in sys.modules if 'opentelemetry' in name or name.startswith('asyncllm.tracing')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_table_of_attributes_is_that_of_the_code() -> None:
    """Every attribute that the guide calls recorded is named by the code, and the others are not."""
    page = (ROOT / "docs" / "guides" / "tracing.md").read_text(encoding="utf-8")
    table = page.partition("<!-- attributes:begin -->")[2].partition("<!-- attributes:end -->")[0]
    rows = re.findall(r"^\| `([\w.]+)` \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE)
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "asyncllm" / "tracing").glob("*.py"))
    assert len(rows) > 30
    assert {name: f'"{name}"' in code for name, _ in rows} == {name: not said.startswith("no") for name, said in rows}
