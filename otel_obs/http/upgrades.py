"""Websockets of WSGI applications: the packages that upgrade a request tell of it, and when it is over.

Each is changed where a connection is accepted, so that a request becomes a connection then, not at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_obs.host.changes import Replacements
from otel_obs.http.nesting import MARK
from otel_obs.http.websocket import ABNORMAL, TOO_BIG, Talk, client_code
from otel_obs.http.wsgi_exchange import WsgiExchange

_changes = Replacements()


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
    _changes.make(kind, "send", _sending)
    _changes.make(kind, "receive", _receiving)
    _changes.make(kind, "handle_close", _learning)
    _changes.make(kind, "close", _closing)


def restore() -> None:
    """Leave the packages as they were."""
    _changes.undo()


def note_acceptance(exchange: WsgiExchange, environ: Any) -> None:
    """Note that the server has accepted a connection before it called the application.

    It becomes one when it is first used: by then it is known which route serves it.
    """
    exchange.is_special = True
    exchange.upgraded = environ[_ENDING] = _GeventEnding(environ["wsgi.websocket"])


_ENDING = "otel_obs.websocket"
"""The key of the environ under which a connection's `_GeventEnding` is."""


def _accepting(init: Callable[..., None]) -> Callable[..., None]:
    def accepting(self: Any, environ: Any, *args: Any, **options: Any) -> None:
        init(self, environ, *args, **options)
        exchange = environ.get(MARK)
        if type(exchange) is WsgiExchange:
            ending = _SimpleEnding(self)
            talk = exchange.accept(ending)
            if talk is not None:
                self.send = _counting(self.send, talk, ending)
                self.receive = _counting_received(self.receive, talk)
                self.close = ending.closing(self.close)

    return accepting


class _SimpleEnding:
    """Knows how a connection of simple-websocket ends."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._ours = ""
        self.is_broken = False
        """Whether something could not be sent."""

    def closing(self, close: Callable[..., None]) -> Callable[..., None]:
        def closing(reason: Any = None, message: Any = None) -> None:
            close(reason, message)  # raises where the other side was first
            self._ours = self._ours or str(int(reason or 1000))

        return closing

    def is_over(self) -> bool:
        return self.is_broken or not self._server.connected

    def close_code(self) -> str:
        server = self._server
        if self._ours:
            return self._ours
        # Only a close frame changes the protocol's state; a connection that broke leaves it open.
        state = getattr(getattr(server.ws, "state", None), "name", "")
        if state == "OPEN":
            return str(ABNORMAL)
        # Of its own accord the package closes only for a message that is too long.
        return str(TOO_BIG) if state == "LOCAL_CLOSING" else client_code(int(server.close_reason))


def _counting(send: Callable[..., Any], talk: Talk, ending: _SimpleEnding) -> Callable[..., Any]:
    def counting(data: Any) -> Any:
        try:
            result = send(data)
        except OSError:
            ending.is_broken = True
            raise
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


class _GeventEnding:
    """Knows how a connection of gevent-websocket ends."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._code = ""
        self.reader: object = None
        """The greenlet that waits for a message."""
        self.is_broken = False
        """Whether something could not be sent."""

    def note(self, code: str) -> None:
        """Note a close code; the first is the one that counts."""
        self._code = self._code or code

    def is_over(self) -> bool:
        return self.is_broken or bool(self._connection.closed)

    def close_code(self) -> str:
        # What is open at the end is closed by the server, in the ordinary way.
        return self._code or str(ABNORMAL if self.is_over() else 1000)


def _used(connection: Any) -> tuple[_GeventEnding | None, Talk | None]:
    """What watches a connection that is used now; None where nothing does, and when it is closed."""
    environ = connection.environ or {}
    exchange, ending = environ.get(MARK), environ.get(_ENDING)
    if ending is None or type(exchange) is not WsgiExchange:
        return None, None
    if exchange.talk is None:
        exchange.accept(ending)
    return ending, exchange.talk


def _sending(send: Callable[..., Any]) -> Callable[..., Any]:
    def sending(self: Any, *args: Any, **options: Any) -> Any:
        ending, talk = _used(self)
        try:
            result = send(self, *args, **options)
        except OSError:
            if ending is not None:
                ending.is_broken = True
            raise
        if talk is not None:
            talk.sent(1)
        return result

    return sending


def _receiving(receive: Callable[..., Any]) -> Callable[..., Any]:
    from gevent import getcurrent

    def receiving(self: Any) -> Any:
        ending, talk = _used(self)
        if ending is None or talk is None:
            return receive(self)
        ending.reader = getcurrent()
        try:
            data = receive(self)
        finally:
            ending.reader = None
        if data is not None:
            talk.received(1)
        return data

    return receiving


def _learning(handle_close: Callable[..., Any]) -> Callable[..., Any]:
    """The client has sent a close frame: two bytes of its payload are the code."""

    def learning(self: Any, header: Any, payload: Any) -> Any:
        ending = (self.environ or {}).get(_ENDING)
        if ending is not None:
            ending.note(client_code(int.from_bytes(payload[:2], "big") if len(payload) > 1 else None))
        return handle_close(self, header, payload)

    return learning


def _closing(close: Callable[..., Any]) -> Callable[..., Any]:
    from gevent import getcurrent

    def closing(self: Any, code: int = 1000, message: Any = b"") -> Any:
        ending = None if self.closed else (self.environ or {}).get(_ENDING)
        if ending is not None:
            # A connection that broke while a message was waited for is closed with the ordinary code.
            is_broken = code == 1000 and ending.reader is getcurrent()
            ending.note(str(ABNORMAL if is_broken else code))
        return close(self, code, message)

    return closing
