"""`prometheus_client.asgi`, as it is."""

import sys

from prometheus_client import asgi
from prometheus_client.asgi import *  # noqa: F403

sys.modules[__name__] = asgi
