"""`prometheus_client.openmetrics.exposition`, as it is."""

import sys

from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.exposition import *  # noqa: F403

sys.modules[__name__] = exposition
