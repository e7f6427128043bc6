"""The functions through which servers get their application, to wrap one of no known framework there.

One row per server. With a server that has no row (uWSGI, mod_wsgi), such an application is measured only if
`otel_obs.instrument` is called for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from otel_obs.host.changes import Replacements

WrapApplication = Callable[[Any], Any]
"""Called with an application; returns the one to serve in its place."""

_changes = Replacements()


class KnownServer(NamedTuple):
    """One server.

    Args:
        module: The module that is changed when it is imported.
        owner: The class in it that has the function; "" for the module itself.
        function: The function or method that gets or loads the application.
        take: Called with that function and the wrapper of applications; returns the replacement.
    """

    module: str
    owner: str
    function: str
    take: Callable[[Callable[..., Any], WrapApplication], Callable[..., Any]]

    def change(self, module: Any, wrap: WrapApplication) -> None:
        """Replace the server's function, once."""
        owner = getattr(module, self.owner) if self.owner else module
        _changes.make(owner, self.function, lambda original: self.take(original, wrap))


def restore() -> None:
    """Put the original functions of all servers back."""
    _changes.undo()


def _argument(
    position: int, name: str
) -> Callable[[Callable[..., Any], WrapApplication], Callable[..., Any]]:
    """Make the `take` of a function that gets the application as an argument."""

    def take(original: Callable[..., Any], wrap: WrapApplication) -> Callable[..., Any]:
        def measured(*args: Any, **options: Any) -> Any:
            if name in options:
                options[name] = wrap(options[name])
            elif len(args) > position:
                args = (*args[:position], wrap(args[position]), *args[position + 1 :])
            return original(*args, **options)

        return measured

    return take


def _result(original: Callable[..., Any], wrap: WrapApplication) -> Callable[..., Any]:
    """The `take` of a function that returns the application."""

    def measured(*args: Any, **options: Any) -> Any:
        return wrap(original(*args, **options))

    return measured


def _gunicorn(original: Callable[..., Any], wrap: WrapApplication) -> Callable[..., Any]:
    def measured(self: Any) -> Any:
        # Each worker asks, also one that was forked after its master had loaded the application.
        self.callable = wrap(self.load() if self.callable is None else self.callable)
        return original(self)

    return measured


def _uvicorn(original: Callable[..., Any], wrap: WrapApplication) -> Callable[..., Any]:
    def measured(self: Any) -> Any:
        result = original(self)
        self.loaded_app = wrap(self.loaded_app)
        return result

    return measured


GUNICORN = KnownServer("gunicorn.app.base", "BaseApplication", "wsgi", _gunicorn)
SERVERS = (
    GUNICORN,
    KnownServer("uvicorn.config", "Config", "load", _uvicorn),
    KnownServer("hypercorn.utils", "", "wrap_app", _argument(0, "app")),
    KnownServer("granian._internal", "", "load_target", _result),
    KnownServer("werkzeug.serving", "BaseWSGIServer", "__init__", _argument(3, "app")),
    KnownServer("wsgiref.simple_server", "WSGIServer", "set_app", _argument(1, "application")),
    KnownServer("gevent.pywsgi", "WSGIServer", "__init__", _argument(2, "application")),
    KnownServer("waitress.server", "", "create_server", _argument(0, "application")),
    KnownServer("cheroot.wsgi", "Server", "__init__", _argument(2, "wsgi_app")),
    KnownServer("daphne.server", "Server", "__init__", _argument(1, "application")),
)

PACKAGES = {
    "celery": "celery",
    "circusd": "circus",
    "daphne": "daphne",
    "fastapi": "'fastapi[standard]'",
    "flask": "flask",
    "granian": "granian",
    "gunicorn": "gunicorn",
    "hypercorn": "hypercorn",
    "uvicorn": "'uvicorn[standard]'",
    "uwsgi": "uwsgi",
    "waitress-serve": "waitress",
}
"""Commands that start services, and the distributions that install them."""
