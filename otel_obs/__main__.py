"""`python -m otel_obs` is the command `otel-obs`."""

import sys

from otel_obs.cli import main

if __name__ == "__main__":
    sys.exit(main())
