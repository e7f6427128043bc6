#!/usr/bin/env bash
# End what start_monitoring.sh has started; the data stay.
set -euo pipefail
command -v otel-obs >/dev/null || { echo "otel-obs is not installed; run: pip install 'otel-obs[cli]'" >&2; exit 2; }
exec otel-obs stack down --dir monitoring "$@"
