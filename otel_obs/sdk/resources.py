"""What a worker's numbers describe: the service, and which instance of it this worker is."""

from __future__ import annotations

import os
import uuid
from typing import Any

INSTANCE = "service.instance.id"


def resource_of(given: Any, is_worker: bool) -> Any:
    """The SDK's `Resource` of this process.

    Two workers that push under one instance overwrite each other, and every push looks like a restart. So
    an instance that a user has named, after a pod for example, is the service's first process, and each
    worker is that name and its process id. An id that is a UUID is another one in each worker.

    Args:
        given: The resource that code has given; None takes what the SDK detects.
        is_worker: Whether another process of the service may have the same instance.
    """
    from opentelemetry.sdk.resources import Resource

    detected = Resource.create({})
    if given is None:
        resource, instance = detected, str(detected.attributes.get(INSTANCE, ""))
        if not is_worker or _is_uuid(instance):
            return resource
    elif not is_worker:
        return given
    else:
        instance = str(given.attributes.get(INSTANCE, ""))
        own = {key: value for key, value in detected.attributes.items() if key.startswith("process.")}
        resource = given.merge(Resource(own))
    return resource.merge(Resource({INSTANCE: _of_worker(instance)}))


def _of_worker(instance: str) -> str:
    return str(uuid.uuid4()) if _is_uuid(instance) or not instance else f"{instance}/{os.getpid()}"


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
