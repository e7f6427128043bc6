"""Workers join when their server begins to serve: also those that are forked after the set-up."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from otel_obs.assembly.setup import Running, configure, leave_service, settings_in_force
from otel_obs.frameworks.beginnings import BEGINNINGS, ServerBeginning
from otel_obs.host import forks
from otel_obs.host.endings import at_end
from otel_obs.host.imports import when_imported
from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")


class _FollowedServers:
    """Whether they are followed, and whether this process has forks."""

    are_followed = has_forked = False

    @classmethod
    def end(cls) -> None:
        cls.are_followed = cls.has_forked = False


def watch() -> None:
    """Have each worker of a known server set up and join, when its server has loaded the application."""
    if _FollowedServers.are_followed:
        return
    Running.undoing.later(_FollowedServers.end)
    _FollowedServers.are_followed = True
    Running.undoing.later(forks.after_in_parent(_note_fork))
    Running.undoing.later(forks.after_in_child(_forget_forks))
    Running.undoing.later(at_end(_tidy_up))
    for server in BEGINNINGS:
        Running.undoing.later(when_imported(server.module, partial(_follow, server)))


def _note_fork() -> None:
    _FollowedServers.has_forked = True


def _forget_forks() -> None:
    _FollowedServers.has_forked = False


def _tidy_up() -> None:
    """Remove what forks that could not have left, as the root of a service that was not set up itself."""
    if _FollowedServers.has_forked and Running.service is None and not Running.is_over:
        settings = settings_in_force()
        if settings is not None:
            leave_service(settings)


def _follow(server: ServerBeginning, module: Any) -> None:
    Running.undoing.later(server.follow(module, begin_to_serve))


def begin_to_serve() -> None:
    """Set this process up, unless it is, and join: it serves, so it is a worker."""
    if not Running.is_over:
        _join(serves=True)


def join(app: Any) -> Any:
    """Join the service where this process is set up, and return *app*."""
    if Running.pipeline is not None:
        _join(serves=False)
    return app


def _join(*, serves: bool) -> None:
    try:
        pipeline, joined = configure(), Running.service
        if pipeline is not None and joined is not None:
            joined[1].join(pipeline.provider.worker, serves=serves)
    except Exception as error:
        raise_interruption(error)
        _logger.warning("this worker joins its service at its first record only", exc_info=error)
