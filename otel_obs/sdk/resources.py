"""What a worker's numbers describe: the service, and which instance of it this worker is."""

from __future__ import annotations

import logging
import os
import sys
import uuid
from typing import Any

from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")

INSTANCE = "service.instance.id"
_PROCESS = "process.pid"


def detect() -> Any:
    """The SDK's `Resource` of this process, as the environment and the SDK's detectors have it.

    The SDK runs its detectors on threads, which a process that is ending cannot start any more; a first
    scrape may come just then. Attributes that need no detector are returned even then.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource

    try:
        return Resource.create({})
    except RuntimeError as error:
        raise_interruption(error)
        _logger.debug("resource detectors are not asked", exc_info=error)
    resource = Resource({}).merge(_of_sdk()).merge(OTELResourceDetector().detect())
    if resource.attributes.get(SERVICE_NAME):
        return resource
    name = f"unknown_service:{os.path.basename(sys.executable)}" if sys.executable else "unknown_service"
    return resource.merge(Resource({SERVICE_NAME: name}))


def _of_sdk() -> Any:
    from opentelemetry.sdk import resources

    return resources._DEFAULT_RESOURCE


def of_worker(resource: Any) -> Any:
    """The resource of a worker whose service has *resource*.

    Two workers that push under one instance overwrite each other, and every push looks like a restart. So
    an instance that a user has named, after a pod for example, is the service's first process, and each
    worker is that name and its process id. An instance that is a UUID is another one in each worker.

    Nothing is detected again: that takes threads, which an ending process can no longer start.
    """
    from opentelemetry.sdk.resources import Resource

    own: dict[str, Any] = {INSTANCE: _instance_of_worker(str(resource.attributes.get(INSTANCE, "")))}
    if _PROCESS in resource.attributes:
        own[_PROCESS] = os.getpid()
    return resource.merge(Resource(own))


def _instance_of_worker(instance: str) -> str:
    return f"{instance}/{os.getpid()}" if instance and not _is_uuid(instance) else str(uuid.uuid4())


def instance_of_service(instance: str) -> str:
    """The instance that a user has named, of which one worker may be *instance*."""
    return instance.removesuffix(f"/{os.getpid()}")


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
