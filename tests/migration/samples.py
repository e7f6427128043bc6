"""Code on each other library, as its documentation shows it, and what becomes of it."""

FLASK_EXPORTER = (
    """\
from flask import Flask
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

app = Flask(__name__)  # 가게
metrics = GunicornPrometheusMetrics(app, group_by="url_rule")


@app.get("/items/<int:number>")
def item(number: int) -> str:
    return f"{number}\\n"


@app.get("/health")
@metrics.do_not_track()
def health() -> str:
    return "ok"
""",
    """\
import otel_obs
from flask import Flask

app = Flask(__name__)  # 가게
otel_obs.instrument(app)


@app.get("/items/<int:number>")
def item(number: int) -> str:
    return f"{number}\\n"


@app.get("/health")
def health() -> str:
    return "ok"
""",
)

FLASK_EXPORTER_DECORATORS = (
    """\
from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

app = Flask(__name__)
metrics = PrometheusMetrics(app)


@app.get("/items/<int:number>")
@metrics.counter("items_sold", "Sold.")
def item(number: int) -> str:
    return f"{number}\\n"


@app.get("/health")
def health() -> str:
    return "ok"
""",
    """\
import otel_obs
from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

app = Flask(__name__)
metrics = PrometheusMetrics(app, path=None, export_defaults=False)
otel_obs.instrument(app)


@app.get("/items/<int:number>")
@metrics.counter("items_sold", "Sold.")
def item(number: int) -> str:
    return f"{number}\\n"


@app.get("/health")
def health() -> str:
    return "ok"
""",
)

FLASK_FACTORY = (
    """\
from flask import Flask
from prometheus_flask_exporter import PrometheusMetrics

metrics = PrometheusMetrics.for_app_factory()


def create_app() -> Flask:
    app = Flask(__name__)
    metrics.init_app(app)
    return app
""",
    """\
import otel_obs
from flask import Flask


def create_app() -> Flask:
    app = Flask(__name__)
    otel_obs.instrument(app)
    return app
""",
)

INSTRUMENTATOR = (
    '''\
"""A shop."""

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator, metrics

app = FastAPI()
instrumentator = Instrumentator(excluded_handlers=["/health"]).instrument(app)
instrumentator.add(metrics.request_size())
instrumentator.expose(app)


@app.get("/items/{number}")
async def item(number: int) -> int:
    return number


@app.get("/health")
async def health() -> str:
    return "ok"
''',
    '''\
"""A shop."""

import otel_obs
from fastapi import FastAPI

app = FastAPI()
otel_obs.instrument(app)


@app.get("/items/{number}")
async def item(number: int) -> int:
    return number


@app.get("/health")
async def health() -> str:
    return "ok"
''',
)

STARLETTE = (
    """\
from starlette.applications import Starlette
from starlette_exporter import PrometheusMiddleware, handle_metrics

app = Starlette()
app.add_middleware(PrometheusMiddleware, app_name="shop")
app.add_route("/metrics", handle_metrics)
""",
    """\
import otel_obs
from starlette.applications import Starlette

app = Starlette()
otel_obs.instrument(app)
""",
)

FLASK_MIDDLEWARE = (
    """\
import time

from flask import Flask, g, request
from prometheus_client import Counter, Histogram, make_wsgi_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

app = Flask(__name__)
REQUESTS = Counter("app_requests", "Requests.", ["method", "endpoint", "status"])
LATENCY = Histogram("app_request_seconds", "Latency.", ["endpoint"])
SOLD = Counter("sold", "Things.")


@app.before_request
def start():
    g.start = time.perf_counter()


@app.after_request
def stop(response):
    REQUESTS.labels(request.method, request.path, response.status_code).inc()
    LATENCY.labels(request.path).observe(time.perf_counter() - g.start)
    return response


@app.get("/items/<int:number>")
def item(number):
    SOLD.inc()
    return f"{number}\\n"


@app.get("/health")
def health():
    return "ok"


app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": make_wsgi_app()})
""",
    """\
import otel_obs
from flask import Flask
from prometheus_client import Counter, make_wsgi_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

app = Flask(__name__)
SOLD = Counter("sold", "Things.")


otel_obs.instrument(app)


@app.get("/items/<int:number>")
def item(number):
    SOLD.inc()
    return f"{number}\\n"


@app.get("/health")
def health():
    return "ok"


app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": make_wsgi_app()})
""",
)

FASTAPI_MIDDLEWARE = (
    """\
import time

from fastapi import FastAPI, Request
from prometheus_client import Histogram

LATENCY = Histogram("request_seconds", "Latency.", ["method", "path"])
app = FastAPI()


@app.middleware("http")
async def measure(request: Request, call_next):
    begin = time.monotonic()
    try:
        return await call_next(request)
    finally:
        LATENCY.labels(method=request.method, path=request.url.path).observe(time.monotonic() - begin)


@app.get("/health")
async def health() -> str:
    return "ok"
""",
    """\
import otel_obs
from fastapi import FastAPI

app = FastAPI()


otel_obs.instrument(app)


@app.get("/health")
async def health() -> str:
    return "ok"
""",
)

STARLETTE_CLASS = (
    """\
import time

from prometheus_client import Counter, Gauge, Histogram
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware

REQUESTS = Counter("http_requests", "Requests.", ["method", "path", "status"])
LATENCY = Histogram("request_latency_seconds", "Latency.", ["method", "path"])
RUNNING = Gauge("requests_in_progress", "Now.")


class MetricsMiddleware(BaseHTTPMiddleware):
    \"""Counts.\"""

    def __init__(self, app, prefix=""):
        super().__init__(app)
        self.prefix = prefix

    async def dispatch(self, request, call_next):
        if request.url.path.startswith("/metrics"):
            return await call_next(request)
        begin = time.perf_counter()
        status = 500
        with RUNNING.track_inprogress():
            try:
                response = await call_next(request)
                status = response.status_code
                return response
            finally:
                LATENCY.labels(request.method, request.url.path).observe(time.perf_counter() - begin)
                REQUESTS.labels(request.method, request.url.path, str(status)).inc()


app = Starlette()
app.add_middleware(MetricsMiddleware, prefix="shop")
""",
    """\
import otel_obs
from starlette.applications import Starlette


app = Starlette()
otel_obs.instrument(app)
""",
)

ASGI_CLASS = (
    """\
import time

from fastapi import FastAPI
from prometheus_client import Counter, Histogram

SOLD = Counter("sold", "Things.")
REQUESTS = Counter("http_requests_total", "Requests.", ["method", "status"])


class Metrics:
    def __init__(self, app):
        self.app = app
        self.latency = Histogram("http_request_seconds", "Latency.", ["method"])

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        begin = time.perf_counter()

        async def send_and_note(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception:
            REQUESTS.labels(scope["method"], "500").inc()
            raise
        else:
            REQUESTS.labels(scope["method"], status).inc()
        finally:
            self.latency.labels(scope["method"]).observe(time.perf_counter() - begin)


app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> int:
    SOLD.inc()
    return number


@app.get("/health")
async def health() -> str:
    return "ok"


app = Metrics(app)
""",
    """\
import otel_obs
from fastapi import FastAPI
from prometheus_client import Counter

SOLD = Counter("sold", "Things.")


app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> int:
    SOLD.inc()
    return number


@app.get("/health")
async def health() -> str:
    return "ok"


app = otel_obs.instrument(app)
""",
)

WSGI_CLASS = (
    """\
from timeit import default_timer

from flask import Flask
from prometheus_client import Counter, Summary


class RequestCounter(object):
    requests = Counter("wsgi_http_requests", "Requests.", ["method", "code"])
    latency = Summary("wsgi_request_latency", "Latency.")

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        def counted(status, headers, exc_info=None):
            self.requests.labels(environ["REQUEST_METHOD"], status.split(" ")[0]).inc()
            return start_response(status, headers, exc_info)

        begin = default_timer()
        try:
            return self.application(environ, counted)
        finally:
            self.latency.observe(default_timer() - begin)


def create_app():
    app = Flask(__name__)
    app.wsgi_app = RequestCounter(app.wsgi_app)
    return app
""",
    """\
import otel_obs
from flask import Flask


def create_app():
    app = Flask(__name__)
    otel_obs.instrument(app)
    return app
""",
)

FLASK_CALLS = (
    """\
import time

from flask import Flask, g, request
from prometheus_client import Counter, Histogram

REQUESTS = Counter("app_requests", "Requests.", ["method", "endpoint", "status"])
LATENCY = Histogram("app_request_seconds", "Latency.", ["endpoint"])


def start_timer():
    g.start = time.time()


def record(response):
    LATENCY.labels(request.endpoint).observe(time.time() - g.start)
    REQUESTS.labels(request.method, request.endpoint, response.status_code).inc()
    return response


def create_app():
    app = Flask(__name__)
    app.before_request(start_timer)
    app.after_request(record)
    return app
""",
    """\
import otel_obs
from flask import Flask


def create_app():
    app = Flask(__name__)
    otel_obs.instrument(app)
    return app
""",
)

DISPATCH_FUNCTION = (
    """\
from prometheus_client import Counter
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware

REQUESTS = Counter("http_requests", "Requests.", ["method"])


async def count(request, call_next):
    REQUESTS.labels(request.method).inc()
    return await call_next(request)


app = Starlette()
app.add_middleware(BaseHTTPMiddleware, dispatch=count)
""",
    """\
import otel_obs
from starlette.applications import Starlette


app = Starlette()
otel_obs.instrument(app)
""",
)

MULTI_PROCESS = (
    """\
import os
import shutil

os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", "/tmp/shop")
if os.path.isdir(os.environ["PROMETHEUS_MULTIPROC_DIR"]):
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
os.makedirs(os.environ["PROMETHEUS_MULTIPROC_DIR"], exist_ok=True)

from flask import Flask, Response
from prometheus_client import CollectorRegistry, Counter, generate_latest, multiprocess, start_http_server

app = Flask(__name__)
SOLD = Counter("sold", "Things.")
start_http_server(9100)


@app.get("/items/<int:number>")
def item(number):
    SOLD.inc()
    return f"{number}\\n"


@app.get("/health")
def health():
    return "ok"


@app.get("/metrics")
def metrics():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), content_type="text/plain")
""",
    """\
from prometheus_client import REGISTRY
from flask import Flask, Response
from prometheus_client import Counter, generate_latest

app = Flask(__name__)
SOLD = Counter("sold", "Things.")


@app.get("/items/<int:number>")
def item(number):
    SOLD.inc()
    return f"{number}\\n"


@app.get("/health")
def health():
    return "ok"


@app.get("/metrics")
def metrics():
    registry = REGISTRY
    return Response(generate_latest(registry), content_type="text/plain")
""",
)

GUNICORN = (
    """\
from prometheus_client import multiprocess, start_http_server
from prometheus_flask_exporter.multiprocess import GunicornPrometheusMetrics

workers = 2


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
    GunicornPrometheusMetrics.mark_process_dead_on_child_exit(worker.pid)


def when_ready(server):
    start_http_server(9100)
    server.log.info("up")
""",
    """\
workers = 2


def when_ready(server):
    server.log.info("up")
""",
)

ALL = {
    name.lower(): pair for name, pair in list(globals().items()) if name.isupper() and isinstance(pair, tuple)
}
