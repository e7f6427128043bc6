"""Measures Flask applications: finds the route here; `otel_obs.http` records."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable
from functools import wraps
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from otel_obs.errors import MissingPackageError
from otel_obs.host.changes import Replacements
from otel_obs.host.weak import WeakObjects
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.nesting import MARK, Outer, enclosing
from otel_obs.http.observe import Observer
from otel_obs.http.routes import Served, wsgi_sources
from otel_obs.http.wsgi import WsgiMiddleware, answer_to, serve_inside
from otel_obs.serving.scrape import Scrape

try:
    from flask import Flask, globals, got_request_exception, request
    from werkzeug.exceptions import HTTPException
except ImportError as error:
    raise MissingPackageError("otel_obs.flask", "Flask", "flask") from error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    _Wsgi = Callable[[Flask, WSGIEnvironment, StartResponse], Iterable[bytes]]

_logger = logging.getLogger("otel_obs")

ROUTE = "otel_obs.metrics"
KEY = "otel_obs"
"""The key in an application's `extensions` under which its middleware is."""


class FlaskMeasuring(NamedTuple):
    """The parts with which an application is measured."""

    observer: Observer
    scrape: Scrape | None
    exclude: Exclusion | None


class _FlaskPatch:
    """The state of the change to the class `Flask`, of which two methods are replaced once.

    `__call__` is outside of all middleware that an application puts on `wsgi_app`. `wsgi_app` is replaced
    too, since a server or another middleware may be given that bound method.
    """

    default: FlaskMeasuring | None = None
    originals: tuple[_Wsgi, _Wsgi] | None = None
    changes = Replacements()
    measured: ClassVar[WeakObjects[Flask]] = WeakObjects()
    wrapped: ClassVar[WeakObjects[Flask]] = WeakObjects()
    """The applications inside a middleware of ours."""


def instrument_app(
    app: Flask, observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None
) -> bool:
    """Measure one application, from its next request on.

    Returns:
        False where it is measured already; then nothing changes.
    """
    if KEY in app.extensions:
        return False
    _change_class()
    _measure(app, FlaskMeasuring(observer, scrape, exclude))
    _warn_of_bypass(app)
    return True


def uninstrument_app(app: Flask) -> None:
    """Stop measuring one application that `instrument_app` began to measure."""
    app.extensions.pop(KEY, None)


def install(observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None) -> None:
    """Measure every Flask application of this process, present and future ones."""
    _FlaskPatch.default = FlaskMeasuring(observer, scrape, exclude)
    observer.has_wsgi = True
    _change_class()


def uninstall() -> None:
    """Stop measuring, and put the original methods back."""
    _FlaskPatch.default = None
    for app in _FlaskPatch.measured.living():
        uninstrument_app(app)
    _FlaskPatch.measured.clear()
    if _FlaskPatch.originals is not None:
        _set_methods(*_FlaskPatch.originals)
        _FlaskPatch.originals = None
    _FlaskPatch.changes.undo()
    got_request_exception.disconnect(_note_exception)
    if _served in wsgi_sources:
        wsgi_sources.remove(_served)


def watch() -> None:
    """Report routes and exceptions of Flask to the request's middleware, of whichever framework."""
    _change_class()


def _listen() -> None:
    if _served not in wsgi_sources:
        wsgi_sources.append(_served)
        got_request_exception.connect(_note_exception)


def middleware(
    wsgi_app: WSGIApplication,
    observer: Observer,
    scrape: Scrape | None = None,
    *,
    exclude: Exclusion | None = None,
    app: Flask | None = None,
) -> WsgiMiddleware:
    """Wrap a WSGI application that may be Flask's, or a bound `Flask.wsgi_app`.

    Args:
        wsgi_app: The application.
        observer: Records the requests.
        scrape: Answers scrapes; None serves none.
        exclude: Requests that are not measured; None takes the observer's.
        app: The Flask application, where it is known.
    """
    found = app or application_of(wsgi_app)
    _listen()
    if found is None:
        return WsgiMiddleware(wsgi_app, observer, scrape, exclude=exclude)
    if app is None:
        _FlaskPatch.wrapped.add(found)
    if scrape is not None and scrape.is_inside:
        _serve_inside(found, scrape)
    return WsgiMiddleware(
        wsgi_app,
        observer,
        scrape,
        exclude=exclude,
        owns=lambda path: declares(found, path),
        match=lambda environ: _match(found, environ),
    )


def _serve_inside(app: Flask, scrape: Scrape) -> None:
    """Add a route of the application that answers scrapes, after the application's own checks."""
    if declares(app, scrape.path):
        return

    def metrics() -> Any:
        answer = answer_to(scrape, request.environ)
        return app.response_class(answer.parts, answer.status, answer.headers)

    # `add_url_rule` refuses after the first request, which may be the one at hand.
    app.view_functions[ROUTE] = metrics
    app.url_map.add(app.url_rule_class(scrape.path, endpoint=ROUTE, methods={"GET", "HEAD"}))


def application_of(wsgi_app: Any) -> Flask | None:
    """The Flask application behind a WSGI callable: itself, a bound `wsgi_app`, or one within middleware."""
    for layer in _layers(wsgi_app):
        owner = getattr(layer, "__self__", layer)
        if isinstance(owner, Flask):
            return owner
    return None


def declares(app: Flask, path: str) -> bool:
    """Tell whether *app* has a rule of exactly *path*, or dispatches it to another application."""
    wanted = path.rstrip("/")
    if any(rule.rule.rstrip("/") == wanted for rule in app.url_map.iter_rules()):
        return True
    return any(wanted in getattr(layer, "mounts", ()) for layer in _layers(app.wsgi_app))


def _layers(wsgi_app: Any) -> Iterable[Any]:
    """Yield a WSGI callable and, from outside to inside, what it wraps, by the usual attribute names."""
    for _ in range(50):
        if wsgi_app is None:
            return
        yield wsgi_app
        wsgi_app = getattr(wsgi_app, "app", None) or getattr(wsgi_app, "wsgi_app", None)


def _match(app: Flask, environ: WSGIEnvironment) -> str | None:
    """Match a request a second time, after Flask has dropped its context."""
    try:
        adapter = app.create_url_adapter(app.request_class(environ))
        if adapter is None:
            return None
        rule, _ = adapter.match(return_rule=True)
    except HTTPException:
        return None
    return rule.rule


_contexts: Any = getattr(globals, "_cv_request", None) or getattr(globals, "_cv_app", None)
"""Flask's private context variable: `flask.request` costs ten times as much. Flask 3.2 has only `_cv_app`."""


def _served(outer: object) -> Served | None:
    """The route of Flask's current context, if that belongs to the request *outer*."""
    try:
        current = _contexts.get().request
        environ = current.environ
        if environ[MARK] is outer:
            return environ, current.url_rule.rule
    except (LookupError, AttributeError, RuntimeError):
        pass
    return None


def _change_class() -> None:
    if _FlaskPatch.originals is not None:
        return
    call, wsgi_app = _FlaskPatch.originals = Flask.__call__, Flask.wsgi_app
    _listen()
    _FlaskPatch.changes.make(Flask, "full_dispatch_request", _looking)

    @wraps(call)
    def measured_call(
        self: Flask, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        measuring: WsgiMiddleware | None = self.extensions.get(KEY) or _adopt(self)
        if measuring is None:
            outer = environ.get(MARK) or enclosing(environ)
            if outer is None:
                return call(self, environ, start_response)
            environ[MARK] = outer
            return serve_inside(outer, environ, start_response, MethodType(call, self))
        exchange = measuring.begin(environ, start_response)
        inner: Any = self.wsgi_app
        if exchange is None:
            return measuring.pass_by(environ, start_response, inner)
        try:
            if type(inner) is MethodType and inner.__func__ is measured_wsgi_app:
                result = wsgi_app(self, environ, exchange.start_response)  # no middleware in between
            else:
                result = inner(environ, exchange.start_response)
        except BaseException as error:
            measuring.fail(exchange, environ, error)
            raise
        return result if exchange.finish_in_memory(result) else exchange.attach(result)

    @wraps(wsgi_app)
    def measured_wsgi_app(
        self: Flask, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        outer: Outer | None = environ.get(MARK)
        if outer is not None:
            if outer.environ is not environ:
                outer.enter(environ)
            return _serve_inside(self, environ, start_response, outer)
        measuring: WsgiMiddleware | None = self.extensions.get(KEY) or _adopt(self)
        if measuring is None:
            return wsgi_app(self, environ, start_response)
        return measuring(environ, start_response, MethodType(wsgi_app, self))

    def _serve_inside(
        self: Flask, environ: WSGIEnvironment, start_response: StartResponse, outer: Outer
    ) -> Iterable[bytes]:
        """Read the route at `start_response`: middleware in between may answer after the context is gone."""

        def looking(status: str, headers: list[tuple[str, str]], *failure: Any) -> Callable[[bytes], object]:
            outer.look()
            return start_response(status, headers, *failure)

        try:
            return wsgi_app(self, environ, looking)
        except BaseException:
            if not outer.is_done:
                rule = _match(self, environ)
                if rule is not None:
                    outer.match(environ, rule)
            raise

    _set_methods(measured_call, measured_wsgi_app)


def _looking(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    """Read the route here too: middleware on `wsgi_app` may have the original bound method inside."""

    def looking(self: Flask, *context: Any) -> Any:
        if "wsgi_app" in self.__dict__:
            outer: Outer | None = request.environ.get(MARK)
            if outer is not None and not outer.is_done:
                outer.look()
        return dispatch(self, *context)

    return looking


def _warn_of_bypass(app: Flask) -> None:
    """Warn if some object holds the bound `wsgi_app` from before the class was changed."""
    if "wsgi_app" in app.__dict__ or app in _FlaskPatch.wrapped or _FlaskPatch.originals is None:
        return
    _, original = _FlaskPatch.originals
    for referrer in gc.get_referrers(app):
        if type(referrer) is MethodType and referrer.__func__ is original:
            _logger.warning(
                "the wsgi_app of %r was taken before it was instrumented; "
                "requests that come through it are not measured: instrument the application first",
                app,
            )
            return


def _set_methods(call: _Wsgi, wsgi_app: _Wsgi) -> None:
    kind: Any = Flask
    kind.__call__, kind.wsgi_app = call, wsgi_app


def _adopt(app: Flask) -> WsgiMiddleware | None:
    """Begin to measure an application at its first request, after `install`."""
    return None if _FlaskPatch.default is None else _measure(app, _FlaskPatch.default)


def _measure(app: Flask, measuring: FlaskMeasuring) -> WsgiMiddleware:
    observer, scrape, exclude = measuring
    measured = middleware(app.wsgi_app, observer, scrape, exclude=exclude, app=app)
    app.extensions[KEY] = measured
    _FlaskPatch.measured.add(app)
    return measured


def _note_exception(sender: Flask, exception: BaseException, **_: object) -> None:
    """Note the exception for which Flask answers with a 500.

    Extensions also send this signal for HTTP errors that they answer; these are handled.
    """
    outer: Outer | None = request.environ.get(MARK)
    if outer is not None and not outer.is_done:
        if not isinstance(exception, HTTPException):
            outer.note_error(exception)
        outer.look()
