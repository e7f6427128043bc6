"""Which families an exposition holds: each name has one TYPE, HELP, UNIT and owner.

Source: OpenTelemetry specification, Prometheus and OpenMetrics Compatibility, Metric Metadata and
Instrumentation Scope.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from otel_obs.cells.attributes import Attributes
from otel_obs.cells.layout import Kind, Scope, Stream
from otel_obs.cells.snapshot import Column, SeriesTable, Snapshot
from otel_obs.exposition.names import TOTAL, Spelling, Translation, scope_attributes, unit_word
from otel_obs.host.once import LogOnce

FamilyType = Literal[
    "counter", "gauge", "histogram", "info", "summary", "stateset", "gaugehistogram", "unknown"
]

TARGET_INFO = "target_info"

once = LogOnce()


def by_name(stream: Stream) -> tuple[str, ...]:
    """The default label order: no attribute comes first, all follow by name."""
    return ()


@dataclass(frozen=True)
class Options:
    """What a service chooses about its expositions; the default is what most want.

    Attributes:
        resource: The attributes of the service's resource; they become `target_info`.
        resource_labels: Keys, or patterns like `k8s.*`, of resource attributes that every series gets as
            labels (the specification's `resource_constant_labels`).
        scope_labels: When series get `otel_scope_name` and its like: "on" is the specification's default,
            "off" is never, "auto" where two scopes define one family and only the labels tell them apart.
        translation: The specification's `translation_strategy`.
        prometheus_scopes: Scopes in which a name without a dot is the Prometheus name that the metric was
            declared by, less its suffixes; no translation changes that.
        has_target_info: Whether `target_info` is exposed.
        yielding_scopes: Scopes whose families are left out if another scope, or prometheus_client, defines a
            family of that name: those of libraries that count on an application's behalf.
        label_order: Gives the attributes of a stream whose labels come first, in order; the others follow
            by name.
    """

    resource: Attributes = ()
    resource_labels: tuple[str, ...] = ()
    scope_labels: Literal["auto", "on", "off"] = "auto"
    translation: Translation = "UnderscoreEscapingWithSuffixes"
    prometheus_scopes: frozenset[str] = frozenset()
    has_target_info: bool = True
    yielding_scopes: frozenset[str] = frozenset()
    label_order: Callable[[Stream], tuple[str, ...]] = by_name


DEFAULT_OPTIONS = Options()


class Member(NamedTuple):
    """One column of a family, and the attributes that all its series get besides their own."""

    column: Column
    extra: Attributes = ()


@dataclass(frozen=True, slots=True)
class Family:
    """What goes under one `# TYPE` line. `name` has all suffixes: `http_requests_total`, `target_info`.

    The labels of the attributes in `label_order` come first, in that order; the others follow by name.
    """

    name: str
    type: FamilyType
    unit: str
    help: str
    members: tuple[Member, ...]
    label_order: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The name without the suffix of its type, which OpenMetrics puts into its `# TYPE` line."""
        return stem(self.name, self.type)

    def as_unknown(self) -> list[Family]:
        """The same without a type: its samples are under their full names, and reserve no other."""
        return [replace(self, type="unknown")]


_TYPES: dict[Kind, FamilyType] = {
    Kind.COUNTER: "counter",
    Kind.UPDOWN: "gauge",
    Kind.GAUGE: "gauge",
    Kind.HISTOGRAM: "histogram",
    Kind.EXPONENTIAL: "histogram",
}

STEM_SUFFIXES: dict[FamilyType, str] = {"counter": TOTAL, "info": "_info"}

_SAMPLE_SUFFIXES: dict[FamilyType, tuple[str, ...]] = {
    "histogram": ("_bucket", "_count", "_sum"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("_count", "_sum"),
}

_WITH_CREATED = ("counter", "histogram", "summary")


def stem(name: str, family_type: FamilyType) -> str:
    """Take the suffix of its type off the name of a family."""
    suffix = STEM_SUFFIXES.get(family_type, "")
    return name.removesuffix(suffix) or name


def sample_names(name: str, family_type: FamilyType, is_openmetrics: bool) -> set[str]:
    """Every name that a family takes: no other family of the exposition may have one of them."""
    names = {name, *(name + suffix for suffix in _SAMPLE_SUFFIXES.get(family_type, ()))}
    if is_openmetrics:
        names.add(stem(name, family_type))
        if family_type in _WITH_CREATED:
            names.add(stem(name, family_type) + "_created")
    return names


class NamedFamily(Protocol):
    """A family of any origin."""

    @property
    def name(self) -> str:
        """The name, with the suffix of its type."""

    @property
    def type(self) -> FamilyType:
        """The type."""


N = TypeVar("N", bound=NamedFamily)


def plan(
    snapshot: Snapshot, options: Options, naming: Spelling, others: Collection[str] = ()
) -> list[Family]:
    """Sort the columns of *snapshot* into families, by when the first series of each began.

    TYPE, HELP and UNIT of a family depend only on the identity of its streams, not on the state of this
    worker: every worker writes the same, at every scrape.

    Args:
        snapshot: What a scrape reads.
        options: The service's choices.
        naming: How names are spelt.
        others: Names of families that are exposed beside these; they only affect yielding scopes.
    """
    families = list(_target_info(options.resource, naming) if options.has_target_info else ())
    in_order = snapshot._replace(columns=sorted(snapshot.columns, key=_place))
    for name, columns in _by_name(in_order, naming, options.prometheus_scopes).items():
        families.extend(_family(name, _owners(name, columns, options, others), options))
    return families


def warn_once(message: str, key: Hashable = None) -> None:
    """Log *message* as a warning, the first time that it comes.

    Args:
        message: The line.
        key: What the line is about, where it says something that differs from time to time.
    """
    once.warning(message if key is None else key, "%s", message)


def _place(column: Column) -> tuple[Any, ...]:
    """The sort key of a column: when its first series began, then the identity of its stream."""
    return column.table.began_s, *_identity(column.table.stream)


def _identity(stream: Stream) -> tuple[Any, ...]:
    """A key that identifies a stream, and that can be sorted."""
    scope = stream.scope
    return (
        scope.name,
        scope.version or "",
        scope.schema_url or "",
        repr(scope.attributes),
        stream.name,
        stream.kind,
        *stream[2:4],
        *stream[5:],
    )


def _by_name(snapshot: Snapshot, naming: Spelling, fixed: frozenset[str]) -> dict[str, list[Column]]:
    declared = Spelling(escaping=naming.escaping)
    columns: dict[str, list[Column]] = {}
    for column in snapshot.columns:
        stream = column.table.stream
        is_declared = stream.scope.name in fixed and "." not in stream.name
        name = (declared if is_declared else naming).family(stream)
        columns.setdefault(name, []).append(column)
    return columns


def _owners(name: str, columns: list[Column], options: Options, others: Collection[str]) -> list[Column]:
    """*columns* without those of yielding scopes, if another owner has the name."""
    if not options.yielding_scopes:
        return columns
    firm = [column for column in columns if column.table.stream.scope.name not in options.yielding_scopes]
    if len(firm) == len(columns) or not (firm or name in others):
        return columns
    warn_of_owner(name)
    return firm


def warn_of_owner(name: str) -> None:
    """Say once in the service that the application has a family of its own under a name of ours."""
    once.warning_of_service(
        f"owner of {name}",
        f"{name!r} is defined by the application; the one of otel_obs is not exposed; "
        "to see both, rename the application's, or ours with OTEL_OBS_NAMES or OTEL_OBS_NAMESPACE; "
        "OTEL_OBS_HTTP=off switches ours off. What the application counts with prometheus_client, or with "
        "otel_obs.prometheus, is added up over all workers too (OTEL_OBS_CLIENT)",
    )


def _family(name: str, columns: list[Column], options: Options) -> Iterator[Family]:
    if not columns:
        return
    first = min((column.table.stream for column in columns), key=_identity)
    family_type = _TYPES[first.kind]
    columns = [column for column in columns if _has_type(column, family_type, name)]
    streams = sorted((column.table.stream for column in columns), key=_identity)
    own = _resource_labels(options.resource, options.resource_labels)
    has_scopes = _has_scope_labels(streams, options)
    yield Family(
        name,
        family_type,
        _first("UNIT", name, (unit_word(stream.unit) for stream in streams)),
        _first("HELP", name, (stream.description for stream in streams)),
        tuple(Member(column, own + _scope_labels(column, has_scopes)) for column in columns),
        next(filter(None, map(options.label_order, streams)), ()),
    )


def _has_type(column: Column, family_type: FamilyType, name: str) -> bool:
    own = _TYPES[column.table.stream.kind]
    if own != family_type:
        scope = column.table.stream.scope.name
        warn_once(
            f"the {own} {name!r} of scope {scope!r} is not exposed: {name!r} is a {family_type} already; "
            "rename one"
        )
    return own == family_type


def _first(comment: str, name: str, texts: Iterable[str]) -> str:
    """The first text that says anything; later ones that differ are dropped with a warning."""
    said = [text for text in texts if text]
    for text in said:
        if text != said[0]:
            warn_once(f"{name!r} has two {comment} comments: {said[0]!r} is exposed, {text!r} is dropped")
    return said[0] if said else ""


def _scope_labels(column: Column, has_scopes: bool) -> Attributes:
    return scope_attributes(column.table.stream.scope) if has_scopes else ()


def _has_scope_labels(streams: list[Stream], options: Options) -> bool:
    if options.scope_labels == "auto":
        scopes: set[Scope] = {stream.scope for stream in streams}
        return len(scopes) > 1
    return options.scope_labels == "on"


def _resource_labels(resource: Attributes, patterns: tuple[str, ...]) -> Attributes:
    return tuple(
        (key, value) for key, value in resource if any(fnmatchcase(key, pattern) for pattern in patterns)
    )


def _target_info(resource: Attributes, naming: Spelling) -> Iterator[Family]:
    if resource:
        column = _target_info_column(resource)
        name = naming.family(column.table.stream)
        yield Family(name, "info", "", "Target metadata", (Member(column),))


@lru_cache(maxsize=8)
def _target_info_column(resource: Attributes) -> Column:
    """The same object for the same resource, so that its labels are made once."""
    return Column(SeriesTable(Stream(Kind.GAUGE, TARGET_INFO), [resource], [0.0]), [1.0], {})


def restrict(families: Iterable[N], names: Collection[str], is_openmetrics: bool) -> list[N]:
    """Keep the families of which a sample is in *names*, as the query parameter `name[]` asks."""
    wanted = set(names)
    return [family for family in families if wanted & sample_names(family.name, family.type, is_openmetrics)]
