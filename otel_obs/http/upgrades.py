"""Websockets of WSGI applications: the packages that upgrade a request tell of it, and when it is over.

Each is changed where a connection is accepted, so that a request becomes a connection then, not at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_obs.host.changes import Changes
from otel_obs.http.nesting import MARK
from otel_obs.http.websocket import ABNORMAL, Talk, client_code
from otel_obs.http.wsgi_exchange import WsgiExchange

_changes = Changes()


def watch_simple_websocket(module: Any) -> None:
    """Of simple-websocket, on which flask-sock and Flask-SocketIO are built.

    Args:
        module: `simple_websocket.ws`.
    """
    _changes.make(module.Server, "__init__", _accepting)


def watch_gevent_websocket(module: Any) -> None:
    """Of gevent-websocket, which has accepted before the application is called.

    Args:
        module: `geventwebsocket.websocket`.
    """
    kind = module.WebSocket
    _changes.make(kind, "send", lambda send: _telling(send, lambda talk: talk.sent))
    _changes.make(kind, "receive", _receiving)
    _changes.make(kind, "close", _closing)


def restore() -> None:
    """Leave the packages as they were."""
    _changes.undo()


def accepted(exchange: WsgiExchange, environ: Any) -> None:
    """Note that the server has accepted a connection before it called the application.

    It becomes one when it is first used: by then it is known which route serves it.
    """
    exchange.is_special = True
    connection = environ["wsgi.websocket"]

    def close_code() -> str:
        sent: str | None = environ.get(_CLOSE_CODE)
        # What is open at the end is closed by the server, in the ordinary way.
        return sent or str(ABNORMAL if connection.closed else 1000)

    exchange.upgraded = close_code


_CLOSE_CODE = "otel_obs.close_code"


def _accepting(init: Callable[..., None]) -> Callable[..., None]:
    def accepting(self: Any, environ: Any, *args: Any, **options: Any) -> None:
        init(self, environ, *args, **options)
        exchange = environ.get(MARK)
        if type(exchange) is WsgiExchange:
            ended = _Ended(self)
            talk = exchange.accept(ended.close_code)
            if talk is not None:
                self.send = _counting(self.send, talk)
                self.receive = _counting_received(self.receive, talk)
                self.close = ended.closing(self.close)

    return accepting


class _Ended:
    """Knows how a connection of simple-websocket ended."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._ours = ""

    def closing(self, close: Callable[..., None]) -> Callable[..., None]:
        def closing(reason: Any = None, message: Any = None) -> None:
            close(reason, message)  # raises where the other side was first
            self._ours = self._ours or str(int(reason or 1000))

        return closing

    def close_code(self) -> str:
        server = self._server
        if self._ours:
            return self._ours
        # Only a close frame changes the protocol's state; a connection that broke leaves it open.
        is_broken = getattr(getattr(server.ws, "state", None), "name", "") == "OPEN"
        return str(ABNORMAL) if is_broken else client_code(int(server.close_reason))


def _counting(send: Callable[..., Any], talk: Talk) -> Callable[..., Any]:
    def counting(data: Any) -> Any:
        result = send(data)
        talk.sent(1)
        return result

    return counting


def _counting_received(receive: Callable[..., Any], talk: Talk) -> Callable[..., Any]:
    def counting(*args: Any, **options: Any) -> Any:
        data = receive(*args, **options)
        if data is not None:
            talk.received(1)
        return data

    return counting


def _talk_of(connection: Any) -> Talk | None:
    exchange = connection.environ.get(MARK)
    if type(exchange) is not WsgiExchange:
        return None
    if exchange.talk is None and exchange.upgraded is not None:
        exchange.accept(exchange.upgraded)
    return exchange.talk


def _telling(method: Callable[..., Any], record_of: Callable[[Talk], Any]) -> Callable[..., Any]:
    def telling(self: Any, *args: Any, **options: Any) -> Any:
        talk = _talk_of(self)
        result = method(self, *args, **options)
        if talk is not None:
            record_of(talk)(1)
        return result

    return telling


def _receiving(receive: Callable[..., Any]) -> Callable[..., Any]:
    def receiving(self: Any) -> Any:
        talk = _talk_of(self)
        data = receive(self)
        if talk is not None and data is not None:
            talk.received(1)
        return data

    return receiving


def _closing(close: Callable[..., Any]) -> Callable[..., Any]:
    def closing(self: Any, code: int = 1000, message: Any = b"") -> Any:
        if not self.closed:
            self.environ.setdefault(_CLOSE_CODE, client_code(code))
        return close(self, code, message)

    return closing
