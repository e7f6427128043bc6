"""`python -m otel_obs` is the command `otel-obs`."""

import sys

from otel_obs.cli import main

sys.exit(main())
