"""The variables of otel_obs; `opentelemetry-instrument` offers each as an option, such as `--obs_profile`."""

from otel_obs import settings

# `opentelemetry-instrument` looks for attributes of this module that are named like variables.
_names = sorted(row.variable for row in settings.SETTINGS if row.variable.startswith(settings.PREFIX))
globals().update({name: name for name in _names})

# `opentelemetry-instrument` loads this module before it executes the program. Where another distribution
# is installed too, whichever comes first would be loaded, by chance; a choice of the user's stays.
for _variable in ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"):
    settings.process_environment().setdefault(_variable, "otel_obs")
