"""`prometheus_client.openmetrics.parser`, as it is."""

import sys

from prometheus_client.openmetrics import parser
from prometheus_client.openmetrics.parser import *  # noqa: F403

sys.modules[__name__] = parser
