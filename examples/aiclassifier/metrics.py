"""What this service reports, in one place.

The service runs the same where otel_obs is not installed: then nothing is reported. Where it is installed but
switched off, these functions do nothing of themselves.
"""

from __future__ import annotations

from typing import Any

try:
    from otel_obs import record_prediction, set_app_info, set_model_state, update_cache_metrics
except ImportError:

    def _report_nothing(*args: Any, **kwargs: Any) -> None:
        pass

    record_prediction = set_app_info = set_model_state = update_cache_metrics = _report_nothing

__all__ = ["record_prediction", "set_app_info", "set_model_state", "update_cache_metrics"]
