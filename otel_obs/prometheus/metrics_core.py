"""`prometheus_client.metrics_core`, as it is."""

import sys

from prometheus_client import metrics_core
from prometheus_client.metrics_core import *  # noqa: F403

sys.modules[__name__] = metrics_core
