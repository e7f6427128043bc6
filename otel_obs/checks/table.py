"""Every check: a stable code, what it finds, why that hurts, and what to do about it.

A code is never given to something else, nor used again when its check is dropped. `docs/checks/` is generated
from this table.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["error", "warning"]


class Check(NamedTuple):
    """One row: `error` where numbers are lost or wrong, `warning` where they mislead or cost."""

    code: str
    level: Level
    title: str
    why: str
    remedy: str


CHECKS: tuple[Check, ...] = (
    Check(
        "OBS001",
        "error",
        "The endpoint cannot be reached",
        "Prometheus shows the target as down, and alerts on absent series are all that is left.",
        "Start the service, and correct the address, the port or the firewall. A service that listens on "
        "`127.0.0.1` inside a container is not reachable from outside it: bind it to `0.0.0.0`.",
    ),
    Check(
        "OBS002",
        "error",
        "The endpoint answers with an error or a redirect to elsewhere",
        "Prometheus takes nothing but status 200: every series of the target goes stale.",
        "401 and 403: give Prometheus the token (`authorization` in its scrape configuration). 404: correct "
        "`metrics_path`. 5xx: the service's log says why.",
    ),
    Check(
        "OBS003",
        "error",
        "The content type is missing, or is that of no exposition",
        "Prometheus 3 refuses a page whose Content-Type it does not know, unless "
        "`fallback_scrape_protocol` is set; "
        "others guess.",
        "Answer with the content type that the client library gives beside the page: "
        "`text/plain; version=0.0.4; charset=utf-8` or `application/openmetrics-text; version=1.0.0; "
        "charset=utf-8`.",
    ),
    Check(
        "OBS004",
        "error",
        "The content type cannot be parsed, such as one with `charset` twice",
        "Go refuses a Content-Type that has a parameter twice, and with it Prometheus 3 the page.",
        "A web framework adds `charset` itself: give it the content type without one, or as a whole header.",
    ),
    Check(
        "OBS005",
        "error",
        "The content type and the body disagree",
        "The page is read by the wrong parser: Prometheus refuses it, or takes OpenMetrics' exemplars "
        "and end mark "
        "for errors.",
        "Encode and announce one format, as the Accept header asks; a proxy or a cache in between must "
        "keep pages "
        "apart by Accept (`Vary: Accept`).",
    ),
    Check(
        "OBS006",
        "warning",
        "A scrape takes long",
        "Prometheus gives up after `scrape_timeout`, 10 s by default, and loses the whole scrape; until then "
        "the service is kept busy.",
        "Have fewer series, move collectors that query something to a thread of their own, or raise "
        "`scrape_timeout`.",
    ),
    Check(
        "OBS007",
        "warning",
        "The page is large",
        "Each scrape sends and parses all of it, from each Prometheus that scrapes the service.",
        "Drop labels or families that nobody uses; histograms with many bounds and many label values "
        "come first.",
    ),
    Check(
        "OBS008",
        "warning",
        "A large page is not compressed",
        "Prometheus asks for gzip with each scrape; a page shrinks to a tenth of its size.",
        "Let the endpoint or the proxy before it compress `text/plain` and `application/openmetrics-text`.",
    ),
    Check(
        "OBS009",
        "error",
        "Metrics are open to the world",
        "Whoever finds the page reads endpoints, versions, traffic and whatever is in labels, and can "
        "keep the "
        "service busy by scraping it.",
        "Ask for a token (`OTEL_OBS_METRICS_TOKEN`), serve metrics on a port of their own that is not "
        "published, or "
        "block the path in the proxy.",
    ),
    Check(
        "OBS010",
        "error",
        "The text format cannot be parsed",
        "Prometheus refuses the whole page for one line that it cannot read.",
        "Use a client library's encoder rather than string formatting; escape `\\`, `\"` and newlines in "
        "label values.",
    ),
    Check(
        "OBS011",
        "error",
        "OpenMetrics cannot be parsed",
        "Prometheus asks for OpenMetrics before text when it is allowed to, and refuses the whole page "
        "for one error.",
        "Update the client library; until then have the endpoint answer in text.",
    ),
    Check(
        "OBS012",
        "error",
        "The protobuf format cannot be parsed",
        "Prometheus asks for protobuf first where native histograms are on, and refuses the whole page.",
        "Update the client library; until then have the endpoint answer in text.",
    ),
    Check(
        "OBS013",
        "error",
        "A series is there twice",
        "Prometheus keeps one of both values and counts the other in "
        "`prometheus_target_scrapes_sample_duplicate_timestamp_total`; OpenMetrics' parsers refuse the page.",
        "Register each metric once; where two parts of a service expose the same series, give them a "
        "label that tells "
        "them apart.",
    ),
    Check(
        "OBS014",
        "error",
        "A family is scattered, described twice, or described behind its samples",
        "Parsers that read a family at a time refuse the page or give samples the wrong type.",
        "Write HELP and TYPE of a family once, then all its samples; do not join pages by appending one "
        "to another.",
    ),
    Check(
        "OBS015",
        "error",
        "The page is cut off",
        "What is missing looks like series that vanished: rates break off and alerts fire.",
        "Look for a proxy with a limit on size or time, or a worker that is killed while it answers. "
        "OpenMetrics ends "
        "with `# EOF`, and every format with a newline.",
    ),
    Check(
        "OBS016",
        "error",
        "The formats of the endpoint say different things",
        "What is seen then depends on the version and the settings of the Prometheus that asks.",
        "Make all formats from one collection of the metrics.",
    ),
    Check(
        "OBS020",
        "warning",
        "A counter's name does not end in `_total`",
        "Readers and query builders tell counters by their name; OpenMetrics adds `_total`, so the name "
        "changes with the format that is asked for.",
        "Name it `…_total`; keep the old name with a recording rule until dashboards have moved.",
    ),
    Check(
        "OBS021",
        "warning",
        "What is no counter has a name that ends in `_total`",
        "People and tools take `rate()` of it, which makes nonsense of a gauge.",
        "Drop the suffix, or make it a counter.",
    ),
    Check(
        "OBS022",
        "warning",
        "A metric has no TYPE",
        "Query editors, Prometheus' metadata and remote storage do not know whether to use `rate()`, and "
        "native histograms and `_created` cannot be told.",
        "Declare the metric through a client library, which writes TYPE.",
    ),
    Check(
        "OBS023",
        "warning",
        "A metric has no HELP",
        "Whoever is on call reads a name and has to guess.",
        "Give the metric a description that says what is counted, and when.",
    ),
    Check(
        "OBS024",
        "warning",
        "A metric is not in a base unit",
        "Dashboards that mix milliseconds with seconds are wrong by a factor of a thousand, and "
        "Grafana's units do not fit.",
        "Measure in seconds and bytes, and end the name in the unit; let the dashboard scale it.",
    ),
    Check(
        "OBS025",
        "warning",
        "A name mixes upper and lower case",
        "Names of Prometheus are in snake_case; what is not, is mistyped in queries, which then find "
        "nothing and do not say so.",
        "Rename it: `requestDuration` becomes `request_duration_seconds`.",
    ),
    Check(
        "OBS026",
        "warning",
        "A name has a colon",
        "Colons are for recording rules: it looks as if Prometheus had computed the metric.",
        "Rename it with an underscore.",
    ),
    Check(
        "OBS027",
        "warning",
        "A gauge or counter is named as samples of a histogram are",
        "`x_count` beside a histogram `x` is the same series to Prometheus; tools look for buckets that "
        "are not there.",
        "Rename it: `x_count` becomes `x_total` for a counter, and `x` for a gauge.",
    ),
    Check(
        "OBS028",
        "error",
        "A label is reserved",
        "Prometheus drops labels that begin with `__` after relabelling; `le` and `quantile` on other "
        "types are taken for buckets.",
        "Rename the label.",
    ),
    Check(
        "OBS029",
        "warning",
        "A label has the name of one of Prometheus' own",
        "The scraped label becomes `exported_job` or `exported_instance`, and queries by `job` find the "
        "other one.",
        "Rename the label; set `honor_labels` only for gateways that speak for others.",
    ),
    Check(
        "OBS030",
        "warning",
        "A label has an empty value",
        'To Prometheus a label with an empty value is the same as none: selectors such as `{x!=""}` '
        "and joins behave in ways nobody expects.",
        "Give an explicit value, such as `none`, or leave the label out.",
    ),
    Check(
        "OBS031",
        "warning",
        "A value is not a number",
        "`sum()`, `avg()` and alerts over series with one NaN are NaN, and comparisons are silently false.",
        "Do not set a value that is unknown; remove the series until it is known.",
    ),
    Check(
        "OBS032",
        "error",
        "A counter is below zero",
        "`rate()` takes each change towards zero for a reset.",
        "Use a gauge for what can fall below zero.",
    ),
    Check(
        "OBS033",
        "error",
        "A histogram contradicts itself",
        "Quantiles over buckets that fall, or that lack `+Inf`, are wrong or NaN; averages are, where "
        "`_count` differs.",
        "Write histograms with a client library, and have one worker answer for all.",
    ),
    Check(
        "OBS034",
        "warning",
        "A histogram's buckets catch next to nothing",
        "Quantiles cannot be higher than the highest bound: what is slow looks as if it were exactly there.",
        "Add higher bounds (`OTEL_OBS_BUCKETS`), or check that the values are in the unit that the "
        "bounds are in.",
    ),
    Check(
        "OBS035",
        "warning",
        "A histogram's first bucket catches everything",
        "Every quantile is a guess between zero and the first bound.",
        "Add lower bounds (`OTEL_OBS_BUCKETS`), or check that the values are in the unit that the bounds "
        "are in.",
    ),
    Check(
        "OBS036",
        "warning",
        "Samples carry times of their own",
        "Prometheus does not mark such series as stale when they vanish: for five minutes they show the "
        "last value, and samples that are too old are dropped.",
        "Leave the time out; for times of events, expose them as a gauge in seconds.",
    ),
    Check(
        "OBS037",
        "warning",
        "An info metric has another value than 1",
        "Joins multiply by it (`* on(…) group_left(version) app_info`), and change the numbers.",
        "Set it to 1, and put what varies into labels.",
    ),
    Check(
        "OBS040",
        "warning",
        "The page has very many series",
        "Each is memory in Prometheus for hours, money in a hosted one, and time in each scrape.",
        "Look at the families that are named first; drop a label, or have fewer buckets.",
    ),
    Check(
        "OBS041",
        "warning",
        "A label has very many values",
        "Each value multiplies the series of all other labels, and what grows with users or items never "
        "stops.",
        "Replace the value by its kind: a route's template, a status class, a size class.",
    ),
    Check(
        "OBS042",
        "warning",
        "A label holds ids",
        "Ids, addresses and full URLs make a new series for each user or request, and may be personal data.",
        "Put them into logs, traces and exemplars; label by the route's template.",
    ),
    Check(
        "OBS043",
        "error",
        "Series are lost to an overflow series",
        "The limit of series is reached: further label values are counted together, under "
        "`otel_metric_overflow`.",
        "Find the label that grows (OBS041), drop it, or raise `OTEL_OBS_CARDINALITY_LIMIT`.",
    ),
    Check(
        "OBS044",
        "error",
        "`target_info` has several series",
        "Joins with it fail: many-to-many matching is not allowed.",
        "Have one resource a service; with several workers, one of them must answer for all.",
    ),
    Check(
        "OBS050",
        "error",
        "A counter has fallen between two scrapes",
        "Prometheus takes a fall for a restart: `increase()` adds all of the new value as if it had just "
        "happened.",
        "Never set or reset counters. Where workers answer in turn, see OBS051.",
    ),
    Check(
        "OBS051",
        "error",
        "Values depend on which worker answers",
        "Each scrape sees one worker's part: `rate()` invents traffic at each change, and totals are too "
        "small.",
        "Have all workers answer with the sum: `otel_obs` does, or prometheus_client's multiprocess mode.",
    ),
    Check(
        "OBS060",
        "warning",
        "Two libraries count the same requests",
        "Dashboards that add both show twice the traffic, each request pays for both, and nobody knows "
        "which one is right.",
        "Keep one. `OTEL_OBS_HTTP=off` or `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` switches one off.",
    ),
)

BY_CODE = {check.code: check for check in CHECKS}


class Finding(NamedTuple):
    """One thing that is wrong: the check's code, the metric or header that has it, and what was seen."""

    code: str
    subject: str
    what: str

    @property
    def check(self) -> Check:
        """The row of the table."""
        return BY_CODE[self.code]
