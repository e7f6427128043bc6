"""Every exception of otel_obs, and the messages of the warnings that it logs.

```
OtelObsError
├── SettingError          a variable or option has a wrong value        (also a ValueError)
├── DeclarationError      an instrument or metric is declared wrongly   (also a ValueError)
├── MissingPackageError   an optional package is not installed          (also an ImportError)
├── InstrumentationError  an application cannot be instrumented         (also a TypeError)
├── UnreadableError       an address, file or answer cannot be read     (also an OSError)
├── UnusableSocketError   a Unix socket cannot be bound                 (also an OSError)
├── UnsayableError        an expression needs a label that the naming leaves out
├── MeasuringError        under test, an error that is otherwise logged (also an AssertionError)
├── OperationsError       a file or stack cannot be generated or run    (also a ValueError)
└── NotSharedError        numbers of other workers cannot be read; answer a scrape with 503
```
"""

from __future__ import annotations

from collections.abc import Iterable


class OtelObsError(Exception):
    """The base class of all exceptions of otel_obs."""


class SettingError(OtelObsError, ValueError):
    """A setting has an invalid value."""

    def __init__(self, variable: str, value: str, expected: str) -> None:
        self.variable, self.value, self.expected = variable, value, expected
        super().__init__(f"{variable}={value!r} {expected}")


class DeclarationError(OtelObsError, ValueError):
    """An instrument, a view or a metric has an invalid declaration."""

    def __init__(self, subject: str, problem: str, remedy: str = "") -> None:
        self.subject, self.problem, self.remedy = subject, problem, remedy
        super().__init__(f"{subject!r} {problem}" + (f"; {remedy}" if remedy else ""))


class MissingPackageError(OtelObsError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, module: str, package: str, extra: str) -> None:
        self.module, self.package, self.extra = module, package, extra
        wanted = f"'otel-obs[{extra}]'" if extra else package
        super().__init__(f"{module} needs {package}; install it with: pip install {wanted}")


class InstrumentationError(OtelObsError, TypeError):
    """`instrument` got an object that is no known application, and no WSGI or ASGI callable."""

    def __init__(self, given: object) -> None:
        self.given = given
        super().__init__(
            f"instrument() got {type(given).__module__}.{type(given).__qualname__}; "
            "expected an application of Flask, FastAPI, Starlette, Django, Quart, Litestar, Falcon, Bottle "
            "or aiohttp, or a WSGI or ASGI callable"
        )


class MeasuringError(OtelObsError, AssertionError):
    """An error was logged in a test; a service goes on after it."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = tuple(messages)
        super().__init__("otel_obs has logged: " + "; ".join(self.messages))


class UnreadableError(OtelObsError, OSError):
    """An address, a file or an answer cannot be read."""

    def __init__(self, subject: str, problem: str, remedy: str = "") -> None:
        self.subject, self.problem, self.remedy = subject, problem, remedy
        super().__init__(f"{subject} {problem}" + (f"; {remedy}" if remedy else ""))


class CutOffError(UnreadableError):
    """An answer ended before its declared length."""


class UnusableSocketError(OtelObsError, OSError):
    """The path of a Unix socket has a file that is no socket, or is served by another process."""

    def __init__(self, path: str, problem: str, remedy: str) -> None:
        self.path, self.problem, self.remedy = path, problem, remedy
        super().__init__(f"{problem}; {remedy}")


class UnsayableError(OtelObsError):
    """An expression needs a label that the service's naming leaves out."""

    def __init__(self, family: str, label: str) -> None:
        self.family, self.label = family, label
        super().__init__(f"{family!r} has no {label} under the naming that is set")


class OperationsError(OtelObsError, ValueError):
    """A file cannot be generated, or a stack cannot be run."""

    def __init__(self, subject: str, problem: str, remedy: str = "") -> None:
        self.subject, self.problem, self.remedy = subject, problem, remedy
        super().__init__(f"{subject} {problem}" + (f"; {remedy}" if remedy else ""))


class NotSharedError(OtelObsError):
    """The numbers of other workers cannot be read, so that an exposition would be incomplete."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"numbers of workers cannot be read together: {reason}")


def dropped_application(name: str) -> str:
    """The wrapper that `instrument` returned was not used."""
    return (
        f"what instrument() returned for {name} was thrown away, so its requests are not measured; "
        "use what it returns: app = otel_obs.instrument(app)"
    )


def unwritable_run_dir(variable: str, path: str) -> SettingError:
    """The run directory that the user chose is not writable."""
    return SettingError(
        variable, path, "is not a writable directory; create it, or unset it to let otel_obs choose one"
    )


def unknown_service(reason: str, remedy: str) -> str:
    """The rules cannot decide which service a process belongs to."""
    return f"{reason}; it is a service of its own; {remedy}"


def split_service(alike: Iterable[int]) -> str:
    """A scrape shows this process only, although similar processes may be workers of the same service."""
    pids = ", ".join(map(str, alike))
    return (
        f"processes {pids} run the same program under the same parent, and are services of their own; "
        "if they are workers of one service, set OTEL_OBS_SERVICE_ID to one value for all of them"
    )


def id_of_another_version(service_id: str, others: Iterable[str]) -> str:
    """Processes with another version of otel_obs, and so another file format, use the same service id."""
    return (
        f"OTEL_OBS_SERVICE_ID={service_id!r} is also used by another version of otel_obs: "
        f"{', '.join(others)}; the two do not see each other's numbers; use one version, or an id for each"
    )


def id_of_another_user(service_id: str, users: Iterable[str]) -> str:
    """Processes of another user use the same service id."""
    return (
        f"OTEL_OBS_SERVICE_ID={service_id!r} is also used by user {', '.join(users)}; processes of different "
        "users do not see each other's numbers; run them as one user, or use an id for each"
    )


def port_of_own_service(settings: str, pid: int, directory: str) -> str:
    """Another service of the same user holds the address of the metrics server."""
    return (
        f"{settings} is served by process {pid} for another service of "
        f"this user, in {directory}, whose numbers are there; if both are one service, set "
        "OTEL_OBS_SERVICE_ID to one value for both, else choose another address"
    )


def undeclared_attributes(instrument: str, got: Iterable[str], declared: Iterable[str]) -> DeclarationError:
    """A measurement has attributes that the metric does not declare."""
    names = sorted(map(str, got))
    return DeclarationError(instrument, f"got attributes {names}; it declares {list(declared)}")


def unknown_variable(variable: str, nearest: str) -> str:
    """A variable with the prefix of otel_obs is unknown."""
    return f"{variable} is not a variable of otel_obs" + (f"; did you mean {nearest}?" if nearest else "")


def unknown_option(option: str, nearest: str) -> TypeError:
    """Code gives an unknown option."""
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    return TypeError(f"{option!r} is not an option of otel_obs{hint}")


def forbidden_value(instrument: str, key: str, value: object, allowed: Iterable[str]) -> DeclarationError:
    """An attribute has a value that is not in its closed set."""
    return DeclarationError(instrument, f"got {key}={value!r}; it declares {list(allowed)}")


def secret_value(key: str) -> DeclarationError:
    """The value given as a secret's id looks like the secret itself; the message does not show it."""
    return DeclarationError(key, "looks like a key", "give an id of the key, such as a number")


def not_a_timer(instrument: object) -> DeclarationError:
    """An object that is to record durations is no histogram or gauge."""
    return DeclarationError(
        getattr(instrument, "name", "") or type(instrument).__name__,
        "cannot take a duration",
        "give a histogram or a gauge",
    )


def not_a_function(given: object) -> DeclarationError:
    """A decorator is applied to an object that cannot be called."""
    return DeclarationError(type(given).__name__, "cannot be measured", "decorate a function or a method")


def not_a_text(parameter: str, value: object) -> DeclarationError:
    """The value of a label is not a str."""
    return DeclarationError(
        parameter, f"is {value!r}", "give a text, or a function that makes one from the call"
    )


def name_without_effect(variable: str, name: str, what: str, likely: str) -> str:
    """A setting names a family or label that no metric of the catalog has."""
    hint = f" (did you mean {likely}?)" if likely else ""
    return (
        f"{variable} names {name!r}, but no ready metric has such a {what}{hint}: it has no effect, "
        "nor on metrics of your own, which views change"
    )


def reader_of_one_process(reader: str) -> str:
    """A reader on the SDK's own provider shows one process, not all workers."""
    return (
        f"{reader} is on a MeterProvider of opentelemetry.sdk: it shows what this process has recorded, and "
        f"no other worker; for all workers, use otel_obs.configure(readers=[{reader}()]) and the meters of "
        "opentelemetry.metrics.get_meter()"
    )


def options_without_effect(options: Iterable[str]) -> str:
    """A reader's options have no effect in a registry that has the same families already."""
    return (
        f"PrometheusReader got {', '.join(options)}: without effect in prometheus_client's default registry, "
        "which has these families by the settings of otel_obs; give it a registry of its own, or use "
        "OTEL_OBS_NAMESPACE, OTEL_OBS_SCOPE_LABELS and OTEL_OBS_RESOURCE_LABELS"
    )


def port_beside_socket(port: int, host: str) -> str:
    """A port is set beside a Unix socket, which has none."""
    return f"OTEL_EXPORTER_PROMETHEUS_PORT={port} has no effect beside OTEL_EXPORTER_PROMETHEUS_HOST={host}"


def metrics_are_served(path: str, addresses: Iterable[str], workers: int, is_tls: bool) -> str:
    """The addresses of a service's metrics, and its number of workers."""
    scheme = "https" if is_tls else "http"
    places = [
        f"{each}, path {path}" if each.startswith("unix:") else f"{scheme}://{each}{path}"
        for each in addresses
    ]
    where = " and ".join(places) or f"{path} on the application's port"
    return f"metrics are served at {where}; of {workers} worker{'s' if workers != 1 else ''} so far"


def framework_not_measured(framework: str) -> str:
    """A framework is imported that otel_obs does not measure."""
    return (
        f"{framework} is imported, and otel_obs does not measure it: where it serves requests, they are not "
        "counted, and it answers no /metrics; OTEL_EXPORTER_PROMETHEUS_PORT serves a page beside it, for "
        "what you count yourself"
    )


def program_not_found(name: str, package: str) -> str:
    """A command is not installed, or not on PATH."""
    if package:
        return f"{name!r} is not installed here; install it with: pip install {package}"
    return f"{name!r} is no command that can be executed; check PATH"


def exporter_not_installed(path: str, key: str, remedy: str) -> str:
    """A configuration file names an exporter of metrics that is not there."""
    return (
        f"OTEL_CONFIG_FILE={path!r}: {key} names an exporter that is not installed; {remedy}; "
        "metrics are not pushed there, all else goes on"
    )


def key_not_supported(path: str, key: str) -> str:
    """A key of a configuration file has no effect."""
    return f"OTEL_CONFIG_FILE={path!r}: {key} is not supported, and has no effect"


def own_error(error: BaseException) -> str:
    """The message of a command that an error of ours ended."""
    return (
        f"an error of otel-obs itself ended this: {type(error).__name__}: {error}; "
        "please report it, with what `python -X dev -m otel_obs …` shows"
    )


def refusal(error: OSError) -> str:
    """The message for what the system refused to a command: the file, if it is one, and the reason."""
    where = f"{error.filename}: " if error.filename is not None else ""
    return f"{where}{error.strerror or error}"
