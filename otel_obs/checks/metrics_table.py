"""The checks of the metrics on a page: names, labels, values, series, and changes over time (from OBS020)."""

from __future__ import annotations

from otel_obs.checks.check import CheckRow

METRIC_CHECKS: tuple[CheckRow, ...] = (
    CheckRow(
        "OBS020",
        "warning",
        "A counter's name does not end in `_total`",
        "Readers and query builders tell counters by their name; OpenMetrics adds `_total`, so the name "
        "changes with the format that is asked for.",
        "Name it `…_total`; keep the old name with a recording rule until dashboards have moved.",
    ),
    CheckRow(
        "OBS021",
        "warning",
        "What is no counter has a name that ends in `_total`",
        "People and tools take `rate()` of it, which makes nonsense of a gauge.",
        "Drop the suffix, or make it a counter.",
    ),
    CheckRow(
        "OBS022",
        "warning",
        "A metric has no TYPE",
        "Query editors, Prometheus' metadata and remote storage do not know whether to use `rate()`, and "
        "native histograms and `_created` cannot be told.",
        "Declare the metric through a client library, which writes TYPE.",
    ),
    CheckRow(
        "OBS023",
        "warning",
        "A metric has no HELP",
        "Whoever is on call reads a name and has to guess.",
        "Give the metric a description that says what is counted, and when.",
    ),
    CheckRow(
        "OBS024",
        "warning",
        "A metric is not in a base unit",
        "Dashboards that mix milliseconds with seconds are wrong by a factor of a thousand, and "
        "Grafana's units do not fit.",
        "Measure in seconds and bytes, and end the name in the unit; let the dashboard scale it.",
    ),
    CheckRow(
        "OBS025",
        "warning",
        "A name mixes upper and lower case",
        "Names of Prometheus are in snake_case; what is not, is mistyped in queries, which then find "
        "nothing and do not say so.",
        "Rename it: `requestDuration` becomes `request_duration_seconds`.",
    ),
    CheckRow(
        "OBS026",
        "warning",
        "A name has a colon",
        "Colons are for recording rules: it looks as if Prometheus had computed the metric.",
        "Rename it with an underscore.",
    ),
    CheckRow(
        "OBS027",
        "warning",
        "A gauge or counter is named as samples of a histogram are",
        "`x_count` beside a histogram `x` is the same series to Prometheus; tools look for buckets that "
        "are not there.",
        "Rename it: `x_count` becomes `x_total` for a counter, and `x` for a gauge.",
    ),
    CheckRow(
        "OBS028",
        "error",
        "A label is reserved",
        "Prometheus drops labels that begin with `__` after relabelling; `le` and `quantile` on other "
        "types are taken for buckets.",
        "Rename the label.",
    ),
    CheckRow(
        "OBS029",
        "warning",
        "A label has the name of one of Prometheus' own",
        "The scraped label becomes `exported_job` or `exported_instance`, and queries by `job` find the "
        "other one.",
        "Rename the label; set `honor_labels` only for gateways that speak for others.",
    ),
    CheckRow(
        "OBS030",
        "warning",
        "A label has an empty value",
        'To Prometheus a label with an empty value is the same as none: selectors such as `{x!=""}` '
        "and joins behave in ways nobody expects.",
        "Give an explicit value, such as `none`, or leave the label out.",
    ),
    CheckRow(
        "OBS031",
        "warning",
        "A value is not a number",
        "`sum()`, `avg()` and alerts over series with one NaN are NaN, and comparisons are silently false.",
        "Do not set a value that is unknown; remove the series until it is known.",
    ),
    CheckRow(
        "OBS032",
        "error",
        "A counter is below zero",
        "`rate()` takes each change towards zero for a reset.",
        "Use a gauge for what can fall below zero.",
    ),
    CheckRow(
        "OBS033",
        "error",
        "A histogram contradicts itself",
        "Quantiles over buckets that fall, or that lack `+Inf`, are wrong or NaN; averages are, where "
        "`_count` differs.",
        "Write histograms with a client library, and have one worker answer for all.",
    ),
    CheckRow(
        "OBS034",
        "warning",
        "A histogram's buckets catch next to nothing",
        "Quantiles cannot be higher than the highest bound: what is slow looks as if it were exactly there.",
        "Add higher bounds (`OTEL_OBS_BUCKETS`), or check that the values are in the unit that the "
        "bounds are in.",
    ),
    CheckRow(
        "OBS035",
        "warning",
        "A histogram's first bucket catches everything",
        "Every quantile is a guess between zero and the first bound.",
        "Add lower bounds (`OTEL_OBS_BUCKETS`), or check that the values are in the unit that the bounds "
        "are in.",
    ),
    CheckRow(
        "OBS036",
        "warning",
        "Samples carry times of their own",
        "Prometheus does not mark such series as stale when they vanish: for five minutes they show the "
        "last value, and samples that are too old are dropped.",
        "Leave the time out; for times of events, expose them as a gauge in seconds.",
    ),
    CheckRow(
        "OBS037",
        "warning",
        "An info metric has another value than 1",
        "Joins multiply by it (`* on(…) group_left(version) app_info`), and change the numbers.",
        "Set it to 1, and put what varies into labels.",
    ),
    CheckRow(
        "OBS040",
        "warning",
        "The page has very many series",
        "Each is memory in Prometheus for hours, money in a hosted one, and time in each scrape.",
        "Look at the families that are named first; drop a label, or have fewer buckets.",
    ),
    CheckRow(
        "OBS041",
        "warning",
        "A label has very many values",
        "Each value multiplies the series of all other labels, and what grows with users or items never "
        "stops.",
        "Replace the value by its kind: a route's template, a status class, a size class.",
    ),
    CheckRow(
        "OBS042",
        "warning",
        "A label holds ids",
        "Ids, addresses and full URLs make a new series for each user or request, and may be personal data.",
        "Put them into logs, traces and exemplars; label by the route's template.",
    ),
    CheckRow(
        "OBS043",
        "error",
        "Series are lost to an overflow series",
        "The limit of series is reached: further label values are counted together, under "
        "`otel_metric_overflow`.",
        "Find the label that grows (OBS041), drop it, or raise `OTEL_OBS_CARDINALITY_LIMIT`.",
    ),
    CheckRow(
        "OBS044",
        "error",
        "`target_info` has several series",
        "Joins with it fail: many-to-many matching is not allowed.",
        "Have one resource a service; with several workers, one of them must answer for all.",
    ),
    CheckRow(
        "OBS050",
        "error",
        "A counter has fallen between two scrapes",
        "Prometheus takes a fall for a restart: `increase()` adds all of the new value as if it had just "
        "happened.",
        "Never set or reset counters. Where workers answer in turn, see OBS051.",
    ),
    CheckRow(
        "OBS051",
        "error",
        "Values depend on which worker answers",
        "Each scrape sees one worker's part: `rate()` invents traffic at each change, and totals are too "
        "small.",
        "Have all workers answer with the sum: `otel_obs` does, or prometheus_client's multiprocess mode.",
    ),
    CheckRow(
        "OBS060",
        "warning",
        "Two libraries count the same requests",
        "Dashboards that add both show twice the traffic, each request pays for both, and nobody knows "
        "which one is right.",
        "Keep one. `OTEL_OBS_HTTP=off` or `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` switches one off.",
    ),
)
