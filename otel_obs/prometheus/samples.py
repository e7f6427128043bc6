"""`prometheus_client.samples`, as it is."""

import sys

from prometheus_client import samples
from prometheus_client.samples import *  # noqa: F403

sys.modules[__name__] = samples
