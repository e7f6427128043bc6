"""`prometheus_client.bridge.graphite`, as it is."""

import sys

from prometheus_client.bridge import graphite
from prometheus_client.bridge.graphite import *  # noqa: F403

sys.modules[__name__] = graphite
