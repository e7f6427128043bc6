"""A WSGI request that has become a websocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from otel_obs.http.departure import comes_of_leaving
from otel_obs.http.observe import REDIRECTION, SERVER_ERROR, Observer
from otel_obs.http.peer import Peer, peer_of
from otel_obs.http.profiles import Connection
from otel_obs.http.websocket import ABNORMAL, INTERNAL_ERROR, Talk


class ConnectionEnd(Protocol):
    """Finds out how a connection ends; one class for each package."""

    def close_code(self) -> str:
        """The first close code that either side sent; "" where it is unknown."""

    def is_over(self) -> bool:
        """Whether either side has closed the connection, or it broke."""

    def let_go(self) -> None:
        """Forget the connection, which refers to this: nothing more is asked."""


class _Unseen:
    """The ending for an unknown package."""

    def close_code(self) -> str:
        """Return "": it is unknown."""
        return ""

    def is_over(self) -> bool:
        """Return true: an exception probably means that the connection is lost."""
        return True

    def let_go(self) -> None:
        """Do nothing."""


UNSEEN: ConnectionEnd = _Unseen()


class WsgiTalk(Talk):
    """Records the websocket that a WSGI request has become.

    Args:
        observer: Records it.
        ending: Finds out how it ends.
    """

    __slots__ = ("_ending",)

    def __init__(self, observer: Observer, ending: ConnectionEnd) -> None:
        super().__init__(observer)
        self._ending = ending

    def finish(
        self,
        connection: Callable[..., Connection],
        environ: Mapping[str, Any],
        error: BaseException | None,
        status: int,
    ) -> None:
        """Record the end, when the application has returned or raised.

        Args:
            connection: Describes it, given the close code.
            environ: The environ of the request.
            error: The exception that the application raised, if any.
            status: The status that the application set. It is not sent; for a connection that was never used,
                an error status is a refusal.
        """
        try:
            code = ""
            if error is not None and self._comes_of_leaving(environ, error):
                error, code = None, self._ending.close_code() or str(ABNORMAL)
            elif error is not None:
                code = str(INTERNAL_ERROR if self.is_open else SERVER_ERROR)
            elif not self.is_open and status >= REDIRECTION:
                code = str(status)
            self.end(connection, code or self._ending.close_code())
            if error is not None:
                self._observer.count_error(error)
        except Exception as failure:
            self._observer.failed("the end of a websocket", failure)
        finally:
            self._ending.let_go()
            self._ending = UNSEEN

    def _comes_of_leaving(self, environ: Mapping[str, Any], error: BaseException) -> bool:
        if not comes_of_leaving(error):
            return False
        return self._ending.is_over() or peer_of(environ) is Peer.GONE
