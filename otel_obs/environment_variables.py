"""The variables of otel_obs; `opentelemetry-instrument` offers each as an option, such as `--obs_profile`."""

from otel_obs.settings import PREFIX, SETTINGS, process_environment

# `opentelemetry-instrument` looks for attributes of this module that are named like variables.
globals().update({row.variable: row.variable for row in SETTINGS if row.variable.startswith(PREFIX)})

# `opentelemetry-instrument` loads this module before it executes the program. Where another distribution
# is installed too, whichever comes first would be loaded, by chance; a choice of the user's stays.
for _variable in ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"):
    process_environment().setdefault(_variable, "otel_obs")
