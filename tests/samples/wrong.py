# pyright: strict
"""What an application may write by mistake: type checkers refuse each line that ends with `# wrong`, and no other."""

import otel_obs
import otel_obs.fastapi
import otel_obs.flask
import otel_obs.logs
import otel_obs.prometheus
import otel_obs.prometeus  # wrong
import otel_obs.testing
from otel_obs import catalog
from otel_obs import instrumnet  # wrong
from otel_obs.catalog import (
    active_evidence_gauge,
    cache,
    database,
    detection_objects,
    detection_total,
    dialogue,
    llm,
    model_state,
    workflow,
    workflows_active,
)
from otel_obs.catalog import detection_totl  # wrong
from otel_obs.catalog.llm import cal  # wrong
from otel_obs.errors import SettingsError  # wrong
from otel_obs.fastapi import instrument_ap  # wrong
from otel_obs.flask import instrumnet_app  # wrong
from otel_obs.logs import write_json  # wrong
from otel_obs.prometheus import Conter  # wrong
from otel_obs.prometheus.core import GaugeFamily  # wrong
from otel_obs.prometheus.exposition import generate  # wrong
from otel_obs.prometheus.parser import text_string_to_families  # wrong
from otel_obs.service import explian  # wrong
from otel_obs.testing import Clock  # wrong
from otel_obs.tracing import tracd  # wrong


def names() -> None:
    otel_obs.configre()  # wrong
    otel_obs.shutdwn()  # wrong
    catalog.detection_totals.add(1)  # wrong
    catalog.metrcs()  # wrong
    llm.cal("openai")  # wrong
    otel_obs.errors.SettingsError("a")  # wrong
    otel_obs.fastapi.instrumnet()  # wrong
    otel_obs.flask.instrumnet()  # wrong
    otel_obs.logs.JsonLine()  # wrong
    otel_obs.prometheus.Guage("a", "A")  # wrong
    otel_obs.testing.MetricsRecordd()  # wrong
    with otel_obs.Timer(detection_objects) as timer:
        timer.stop()  # wrong
    with workflow.run("brief") as run:
        run.faild()  # wrong


def options() -> None:
    otel_obs.configure(namespce="shop")  # wrong
    otel_obs.configure(namespace=3)  # wrong
    otel_obs.configure(prometheus_port=["9464"])  # wrong
    otel_obs.configure(buckets={"a_seconds": 0.1})  # wrong
    otel_obs.configure(labels=["status"])  # wrong
    otel_obs.configure(readers=[3])  # wrong
    otel_obs.configure(views=["view"])  # wrong
    otel_obs.configure(resource={"service.name": "shop"})  # wrong
    otel_obs.configure(exemplar_filter="always_on")  # wrong
    otel_obs.configure("shop")  # wrong
    otel_obs.instrument(print, metrics_pth="/m")  # wrong
    otel_obs.instrument(print, exlude=None)  # wrong
    otel_obs.instrument(print, exclude="/health")  # wrong
    otel_obs.instrument(print, extra_labels={"team": "a"})  # wrong
    otel_obs.instrument(print, readers=3)  # wrong
    otel_obs.PrometheusMiddleware(print, metrics_pth="/m")  # wrong
    otel_obs.PrometheusReader(prefx="shop")  # wrong
    otel_obs.logs.write_json_lines(levl="INFO")  # wrong
    otel_obs.prometheus.CollectorRegistry(auto_describ=True)  # wrong


def kinds() -> None:
    otel_obs.instrument(42)  # wrong
    otel_obs.instrument("app:app")  # wrong
    otel_obs.PrometheusMiddleware("app")  # wrong
    otel_obs.fastapi.uninstrument_app("app")  # wrong
    otel_obs.flask.uninstrument_app(42)  # wrong
    otel_obs.get_metrics(42)  # wrong
    otel_obs.shutdown("now")  # wrong
    otel_obs.Timer(42)  # wrong
    otel_obs.Timer("latency")  # wrong
    otel_obs.Timer(detection_total)  # wrong
    otel_obs.Timer(detection_objects, "a")  # wrong
    otel_obs.track_time(detection_total)  # wrong
    otel_obs.track_errors("a", 42)  # wrong
    otel_obs.traced(42)  # wrong
    otel_obs.traced(kind="client")  # wrong
    otel_obs.ExtraLabels("team", print)  # wrong
    otel_obs.record_detection("1")  # wrong
    otel_obs.record_prediction(inference_time="fast")  # wrong
    otel_obs.set_app_info("1.0")  # wrong
    otel_obs.set_model_state(1)  # wrong
    otel_obs.update_cache_metrics(1, 2)  # wrong
    pipeline = otel_obs.configure()
    if pipeline is not None:
        pipeline.metrcs()  # wrong
        pipeline.metrics(42)  # wrong


def instruments() -> None:
    detection_total.add("x")  # wrong
    detection_total.add(None)  # wrong
    detection_total.add(1, "camera")  # wrong
    detection_total.bind(42)  # wrong
    detection_total.bind({"camera_id": "1"}).add("x")  # wrong
    detection_total.bind({"camera_id": "1"}).record(1)  # wrong
    detection_total.labels(camera_id="1").inc("x")  # wrong
    detection_total.labels(camera_id="1").set(1)  # wrong
    detection_total.remove_matching("1")  # wrong
    detection_total.set(1)  # wrong
    detection_total.dec()  # wrong
    detection_objects.record("x")  # wrong
    detection_objects.record(None)  # wrong
    detection_objects.observe([1])  # wrong
    detection_objects.add(1)  # wrong
    detection_objects.bind().record(None)  # wrong
    detection_objects.labels().observe("x")  # wrong
    model_state.set("loaded")  # wrong
    model_state.record(1)  # wrong
    model_state.labels().set(None)  # wrong
    model_state.set_function(42)  # wrong
    workflows_active.add("x")  # wrong
    workflows_active.bind(["a"])  # wrong
    active_evidence_gauge.set("x")  # wrong
    cache.cache_size_current.set("x")  # wrong
    cache.observe(42)  # wrong
    database.db_connections.observe(42)  # wrong
    database.record_query(42)  # wrong
    dialogue.session(42)  # wrong
    with llm.call(42):  # wrong
        pass
    with llm.call("openai", mdel="gpt"):  # wrong
        pass
    with llm.call("openai") as call:
        call.tokens(prompt="x")  # wrong
        call.tokens(prmpt=1)  # wrong
    llm.set_prices({"gpt": "cheap"})  # wrong


def clients() -> None:
    otel_obs.prometheus.Counter(1)  # wrong
    otel_obs.prometheus.Counter(1, "A")  # wrong
    otel_obs.prometheus.Counter("a", "A", labls=["b"])  # wrong
    otel_obs.prometheus.Counter("a", "A").inc("x")  # wrong
    otel_obs.prometheus.Counter("a", "A").set(1)  # wrong
    otel_obs.prometheus.Gauge("a", "A").set("x")  # wrong
    otel_obs.prometheus.Gauge("a", "A", multiprocess_mode="all together")  # wrong
    otel_obs.prometheus.Histogram("a", "A").observe(None)  # wrong
    otel_obs.prometheus.Histogram("a", "A", buckets=3)  # wrong
    otel_obs.prometheus.Summary("a", "A").inc()  # wrong
    otel_obs.prometheus.Info("a", "A").info("x")  # wrong
    otel_obs.prometheus.Enum("a", "A", states=3)  # wrong
    otel_obs.prometheus.make_asgi_app(42)  # wrong
    otel_obs.prometheus.share(42)  # wrong
    otel_obs.testing.FixedClock().advance("x")  # wrong
    otel_obs.testing.MetricsRecorded().value("a", b=1)  # wrong


print(instrumnet, detection_totl, cal, SettingsError, instrument_ap, instrumnet_app, write_json)  # pyright: ignore
print(Conter, GaugeFamily, generate, text_string_to_families, explian, Clock, tracd, otel_obs.prometeus)  # pyright: ignore
