"""`prometheus_client.parser`, as it is."""

import sys

from prometheus_client import parser
from prometheus_client.parser import *  # noqa: F403

sys.modules[__name__] = parser
