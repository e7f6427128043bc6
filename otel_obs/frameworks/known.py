"""The table of known frameworks: one row each. No framework is imported for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Tracer(NamedTuple):
    """OpenTelemetry's instrumentation of a framework, which makes spans.

    Args:
        instrumentor: Its class, as `module:name`.
        imported: The module that it changes, so it must run before names are imported from that.
        hook: The option for a function that gets the span and the request.
        options: Its further options.
        extra: The extra of otel-obs that installs it; "" where the user installs it.
    """

    instrumentor: str
    imported: str
    hook: str = "request_hook"
    options: Mapping[str, Any] = MappingProxyType({})
    extra: str = ""

    @property
    def package(self) -> str:
        """The distribution to install."""
        return self.instrumentor.partition(":")[0].replace(".", "-").replace("_", "-")


class Framework(NamedTuple):
    """The facts about a framework that are needed before it is imported.

    Args:
        name: Its name, by which `Settings.excluded_urls_for` finds its variable.
        file: The module that measures it, below `otel_obs`.
        imported: The modules whose import shows that the framework is in use.
        applications: The classes of its applications, as `module:name`.
        instrumentor: OpenTelemetry's instrumentation of it, by the name of its entry point.
        rivals: Instrumentation scopes that measure the same requests.
        is_wsgi: Whether some of its applications are WSGI, which may run behind an ASGI bridge.
        tracer: The instrumentation that traces its requests.
    """

    name: str
    file: str
    imported: tuple[str, ...]
    applications: tuple[str, ...]
    instrumentor: str = ""
    rivals: tuple[str, ...] = ()
    is_wsgi: bool = False
    tracer: Tracer | None = None

    def recognises(self, app: object) -> bool:
        """Whether *app* is an application of this framework, which is not imported to find out."""
        return any(isinstance(app, kind) for kind in map(_loaded, self.applications) if kind is not None)


FRAMEWORKS = (
    # Quart and Flask share a base class; each is recognised by its own class, and Quart is looked for first.
    Framework(
        "quart",
        "frameworks.quart",
        ("quart.app",),
        ("quart.app:Quart",),
        rivals=("opentelemetry.instrumentation.quart",),
    ),
    Framework(
        "flask",
        "flask",
        ("flask",),
        ("flask:Flask",),
        instrumentor="flask",
        rivals=("opentelemetry.instrumentation.flask",),
        is_wsgi=True,
        tracer=Tracer("opentelemetry.instrumentation.flask:FlaskInstrumentor", "flask", extra="tracing"),
    ),
    Framework(
        "fastapi",
        "fastapi",
        ("starlette.applications", "fastapi.applications"),
        ("starlette.applications:Starlette",),
        instrumentor="fastapi",
        rivals=(
            "fastapi",
            "starlette",
            "opentelemetry.instrumentation.fastapi",
            "opentelemetry.instrumentation.starlette",
        ),
        tracer=Tracer(
            "opentelemetry.instrumentation.fastapi:FastAPIInstrumentor",
            "fastapi",
            "server_request_hook",
            # A span for each ASGI message adds nothing to the span of the request.
            {"exclude_spans": ["receive", "send"]},
            "tracing",
        ),
    ),
    Framework(
        "django",
        "frameworks.django",
        ("django.core.handlers.wsgi", "django.core.handlers.asgi"),
        ("django.core.handlers.wsgi:WSGIHandler", "django.core.handlers.asgi:ASGIHandler"),
        instrumentor="django",
        rivals=("opentelemetry.instrumentation.django",),
        is_wsgi=True,
    ),
    Framework("litestar", "frameworks.litestar", ("litestar.app",), ("litestar.app:Litestar",)),
    Framework(
        "falcon",
        "frameworks.falcon",
        ("falcon.app", "falcon.asgi.app"),
        ("falcon.app:App", "falcon.asgi.app:App"),
        instrumentor="falcon",
        rivals=("opentelemetry.instrumentation.falcon",),
        is_wsgi=True,
        tracer=Tracer("opentelemetry.instrumentation.falcon:FalconInstrumentor", "falcon"),
    ),
    Framework("bottle", "frameworks.bottle", ("bottle",), ("bottle:Bottle",), is_wsgi=True),
    Framework(
        "aiohttp",
        "frameworks.aiohttp",
        ("aiohttp.web_app",),
        ("aiohttp.web_app:Application",),
        instrumentor="aiohttp-server",
        rivals=("opentelemetry.instrumentation.aiohttp_server",),
        tracer=Tracer(
            "opentelemetry.instrumentation.aiohttp_server:AioHttpServerInstrumentor", "aiohttp.web"
        ),
    ),
)
"""In the order in which applications are compared with them."""

UNMEASURED = (
    ("CherryPy", "cherrypy._cpserver"),
    ("Robyn", "robyn"),
    ("Sanic", "sanic.app"),
    ("Tornado", "tornado.web"),
    ("Twisted", "twisted.web.server"),
)
"""Frameworks with a server of their own that cannot be measured, and a module of each."""

RIVAL_SCOPES = frozenset(
    {
        "opentelemetry.instrumentation.asgi",
        "opentelemetry.instrumentation.wsgi",
        *(scope for framework in FRAMEWORKS for scope in framework.rivals),
    }
)
"""Instrumentation scopes that measure the same requests as otel_obs.

Their meters must be no-ops on a provider with our HTTP metrics, or every request would count twice.
"""

INSTRUMENTORS = frozenset(
    {"asgi", "wsgi", "starlette", *(each.instrumentor for each in FRAMEWORKS if each.instrumentor)}
)
"""OpenTelemetry's instrumentations that are not loaded: their requests are measured here, and loading one
would import its framework."""


def framework_of(app: object) -> Framework | None:
    """The framework whose application *app* is."""
    return next((each for each in FRAMEWORKS if each.recognises(app)), None)


def framework_within(app: object) -> Framework | None:
    """The framework of *app*, or of the application that its middleware wraps."""
    for layer in layers(app):
        found = framework_of(layer) or framework_of(getattr(layer, "__self__", None))
        if found is not None:
            return found
    return None


def layers(app: object) -> Iterator[object]:
    """Yield a callable and, from outside to inside, what it wraps, found by the usual attribute names."""
    layer: Any = app
    for _ in range(50):
        if layer is None:
            return
        yield layer
        fields = getattr(layer, "__dict__", None) or {}
        layer = next((fields[name] for name in _INNER if name in fields), None)


_INNER = ("app", "wsgi_app", "asgi_app", "application", "_app", "wrapped")


def _loaded(name: str) -> type | None:
    module, _, kind = name.partition(":")
    found = getattr(sys.modules.get(module), kind, None)
    return found if isinstance(found, type) else None
