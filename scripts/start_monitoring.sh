#!/usr/bin/env bash
# Start Prometheus and Alertmanager for a service on this machine, and Grafana where it is installed.
# Usage: start_monitoring.sh URL [OPTION...]      such as: start_monitoring.sh http://localhost:8000 --interval 10s
# Options are those of `otel-obs stack up`. What is missing is downloaded first. Data are in monitoring/data,
# process ids in monitoring/run. It is ended by stop_monitoring.sh.
set -euo pipefail
if [ $# = 0 ]; then
    sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
url=$1
shift
command -v otel-obs >/dev/null || { echo "otel-obs is not installed; run: pip install 'otel-obs[cli,dashboards]'" >&2; exit 2; }
have() { for name in "$@"; do if [ -x "monitoring/bin/$name" ] || command -v "$name" >/dev/null; then return 0; fi; done; return 1; }
if ! have prometheus || ! have alertmanager prometheus-alertmanager; then
    otel-obs stack fetch --dir monitoring
fi
exec otel-obs stack up --dir monitoring --from "$url" "$@"
