"""The settings of one service, as the environment and the code say them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from otel_obs.errors import SettingError, port_beside_socket, unknown_option, unknown_variable
from otel_obs.settings import parsers as parse
from otel_obs.settings.environment import process_environment
from otel_obs.settings.row import SettingRow
from otel_obs.settings.table import BY_FIELD, BY_VARIABLE, PREFIX, SETTINGS, SettingsTable


class Settings(SettingsTable):
    """Every setting of one service. Fields that are not set have their defaults.

    Two are equal, and have one hash, if all their settings are equal.

    Args:
        warnings: What is worth a log line but no error, such as a misspelt variable.
        values: Values of settings, by field name.

    Raises:
        TypeError: There is no field of that name.
    """

    warnings: tuple[str, ...]

    # No dataclass: to compile its methods would take longer than all else that a start does with settings.
    def __init__(self, *, warnings: Sequence[str] = (), **values: Any) -> None:
        for name in values:
            if name not in BY_FIELD:
                raise unknown_option(name, parse.nearest(name, BY_FIELD))
        vars(self).update(values, warnings=tuple(warnings))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to {name!r}: settings do not change; see with_options()")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name!r}: settings do not change; see with_options()")

    def _all(self) -> tuple[Any, ...]:
        return tuple(getattr(self, row.field) for row in SETTINGS)

    def __eq__(self, other: object) -> bool:
        return self._all() == other._all() if isinstance(other, Settings) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        shown = (row.field for row in SETTINGS if not row.is_secret)
        return f"Settings({', '.join(f'{field}={getattr(self, field)!r}' for field in shown)})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read every variable of the table; one that is empty counts as unset.

        Args:
            environ: The variables; the process's environment where it is None.

        Raises:
            SettingError: A variable has a value that it cannot have.
        """
        env = process_environment() if environ is None else environ
        found = {}
        for row in SETTINGS:
            text = env.get(row.variable, "").strip()
            # An empty guard, such as a token, is an error: it must not leave a page unguarded.
            if text or (row.variable in env and not row.parser.may_be_empty):
                found[row.field] = _parse(row, row.variable, text)
        unknown = (name for name in env if name.startswith(PREFIX) and name not in BY_VARIABLE)
        warnings = [unknown_variable(name, parse.nearest(name, BY_VARIABLE)) for name in unknown]
        settings = cls(**found)
        if settings.prometheus_port is not None and settings.prometheus_host.startswith("unix:"):
            warnings.append(port_beside_socket(settings.prometheus_port, settings.prometheus_host))
        return cls(**found, warnings=warnings)

    def with_options(self, **options: Any) -> Settings:
        """A copy in which *options*, by field name, replace values.

        A value is the text that the variable would have, or the same as a Python value: a list for a list,
        a mapping for pairs and for buckets, True or False for a switch; None for the default.

        Raises:
            SettingError: An option has a value that it cannot have.
            TypeError: There is no option of that name.
        """
        found = {}
        for name, value in options.items():
            row = BY_FIELD.get(name)
            if row is None:
                raise unknown_option(name, parse.nearest(name, BY_FIELD))
            found[name] = (
                row.default if value is None else _parse(row, name, parse.variable_text(value).strip())
            )
        return Settings(**{**vars(self), **found})

    @property
    def is_on(self) -> bool:
        """Whether otel_obs is to do anything."""
        return self.enabled and not self.sdk_disabled

    @property
    def sends(self) -> bool:
        """Whether a process is to send anything of its own accord, other than answers to scrapes."""
        sent = self.traces_exporters or self.logs_exporters
        return bool(sent) or not set(self.metrics_exporters) <= {"prometheus"}

    @property
    def resource_attribute_names(self) -> frozenset[str]:
        """The resource attributes that the user has named."""
        pairs = self.resource_attributes.split(",")
        return frozenset(pair.partition("=")[0].strip() for pair in pairs if pair.strip())

    def excluded_urls_for(self, framework: str) -> tuple[str, ...]:
        """The patterns of URLs that are not counted in *framework*: `flask`, `django`, or any other."""
        own: tuple[str, ...] | None = getattr(self, f"{framework}_excluded_urls", None)
        for patterns in (self.excluded_urls, own):
            if patterns is not None:
                return patterns
        return self.python_excluded_urls

    @property
    def serves_on_app(self) -> bool:
        """Whether the application's port answers scrapes."""
        return not self.has_own_server or self.metrics_on_both

    @property
    def has_own_server(self) -> bool:
        """Whether metrics have an address of their own."""
        return self.prometheus_port is not None or self.prometheus_host.startswith("unix:")

    @property
    def tls_files(self) -> tuple[str, str] | None:
        """The certificate's and the key's file; None where there are none.

        Raises:
            SettingError: There is one without the other.
        """
        given = self.metrics_tls_certificate, self.metrics_tls_key
        if any(given) and not all(given):
            missing = "metrics_tls_key" if given[0] else "metrics_tls_certificate"
            raise SettingError(BY_FIELD[missing].variable, "", "is not set; expected the other file of TLS")
        return given if all(given) else None

    def read_metrics_token(self) -> str:
        """The bearer token that a scrape must show, from its variable or its file; empty where there is none.

        Raises:
            SettingError: The file cannot be read, or holds no token.
        """
        if self.metrics_token or not self.metrics_token_file:
            return self.metrics_token
        return read_token(BY_FIELD["metrics_token_file"].variable, self.metrics_token_file)


def read_token(variable: str, path: str) -> str:
    """The token that a file holds.

    Raises:
        SettingError: The file cannot be read, or holds no token.
    """
    try:
        with open(path, encoding="ascii") as file:
            token = parse.TOKEN.read(file.read().strip())
    except OSError as error:
        raise SettingError(
            variable, path, f"cannot be read: {error.strerror}; expected a file with a token"
        ) from None
    except ValueError:
        token = ""
    if not token:
        raise SettingError(variable, path, "holds no token; expected visible ASCII characters without spaces")
    return token


def _parse(row: SettingRow[Any], subject: str, text: str) -> Any:
    if not text and row.parser.may_be_empty:
        return () if isinstance(row.default, tuple) else row.default
    try:
        if not text:
            raise ValueError
        return row.parser.read(text)
    except ValueError:
        # The message is logged: a token must not be in it.
        shown = "…" if row.parser is parse.TOKEN and text else text
        raise SettingError(subject, shown, row.parser.expected) from None
