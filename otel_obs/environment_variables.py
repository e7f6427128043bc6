"""The variables of otel_obs; `opentelemetry-instrument` offers each as an option, such as `--obs_profile`."""

from otel_obs.settings import process_environment

OTEL_OBS_BUCKETS = "OTEL_OBS_BUCKETS"
OTEL_OBS_CARDINALITY_LIMIT = "OTEL_OBS_CARDINALITY_LIMIT"
OTEL_OBS_ENABLED = "OTEL_OBS_ENABLED"
OTEL_OBS_EXCLUDED_URLS = "OTEL_OBS_EXCLUDED_URLS"
OTEL_OBS_HTTP = "OTEL_OBS_HTTP"
OTEL_OBS_HTTP_SIZES = "OTEL_OBS_HTTP_SIZES"
OTEL_OBS_LABELS = "OTEL_OBS_LABELS"
OTEL_OBS_METRICS_PATH = "OTEL_OBS_METRICS_PATH"
OTEL_OBS_METRICS_TOKEN = "OTEL_OBS_METRICS_TOKEN"
OTEL_OBS_METRICS_TOKEN_FILE = "OTEL_OBS_METRICS_TOKEN_FILE"
OTEL_OBS_NAMES = "OTEL_OBS_NAMES"
OTEL_OBS_NAMESPACE = "OTEL_OBS_NAMESPACE"
OTEL_OBS_PROFILE = "OTEL_OBS_PROFILE"
OTEL_OBS_RESOURCE_LABELS = "OTEL_OBS_RESOURCE_LABELS"
OTEL_OBS_RUNTIME_METRICS = "OTEL_OBS_RUNTIME_METRICS"
OTEL_OBS_RUN_DIR = "OTEL_OBS_RUN_DIR"
OTEL_OBS_SCOPE_LABELS = "OTEL_OBS_SCOPE_LABELS"

# `opentelemetry-instrument` loads this module before it executes the program. Where another distribution
# is installed too, whichever comes first would be loaded, by chance; a choice of the user's stays.
for _variable in ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"):
    process_environment().setdefault(_variable, "otel_obs")
