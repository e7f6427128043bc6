"""The variables of otel_obs; `opentelemetry-instrument` offers each as an option, such as `--obs_profile`."""

from __future__ import annotations

import sys
from typing import Any

from otel_obs import settings

# `opentelemetry-instrument` looks for attributes of this module that are named like variables.
_names = sorted(row.variable for row in settings.SETTINGS if row.variable.startswith(settings.PREFIX))
globals().update({name: name for name in _names})

# `opentelemetry-instrument` loads this module before it executes the program. If another distribution is
# installed too, it would load the one that happens to come first. A choice of the user is not changed.
for _variable in ("OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR"):
    settings.process_environment().setdefault(_variable, "otel_obs")


def _name_missing_command(wrapper: Any) -> None:
    """Have the wrapper print which command is not installed, where it would raise a `TypeError`."""
    which = wrapper.which

    def found(command: str, *args: Any, **options: Any) -> str:
        path: str | None = which(command, *args, **options)
        if path is None:
            from otel_obs.errors import program_not_found
            from otel_obs.frameworks.servers import PACKAGES

            sys.stderr.write(
                f"opentelemetry-instrument: {program_not_found(command, PACKAGES.get(command, ''))}\n"
            )
            raise SystemExit(127)
        return path

    wrapper.which = found


_wrapper = sys.modules.get("opentelemetry.instrumentation.auto_instrumentation")
if hasattr(_wrapper, "which"):
    _name_missing_command(_wrapper)
