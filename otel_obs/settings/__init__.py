"""The settings of otel_obs: one table, how texts become its values, and the one reader of the environment."""

from otel_obs.settings.environment import process_environment
from otel_obs.settings.row import SettingRow
from otel_obs.settings.table import PREFIX, SETTINGS
from otel_obs.settings.values import Settings

__all__ = ["PREFIX", "SETTINGS", "SettingRow", "Settings", "process_environment"]
