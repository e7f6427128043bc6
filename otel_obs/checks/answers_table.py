"""The checks of a whole answer: status, content type, syntax, time and size (OBS001 to OBS017)."""

from __future__ import annotations

from otel_obs.checks.check import CheckRow

ANSWER_CHECKS: tuple[CheckRow, ...] = (
    CheckRow(
        "OBS001",
        "error",
        "The endpoint cannot be reached",
        "Prometheus shows the target as down, and alerts on absent series are all that is left.",
        "Start the service, and correct the address, the port or the firewall. A service that listens on "
        "`127.0.0.1` inside a container is not reachable from outside it: bind it to `0.0.0.0`.",
    ),
    CheckRow(
        "OBS002",
        "error",
        "The endpoint answers with an error or a redirect to elsewhere",
        "Prometheus takes nothing but status 200: every series of the target goes stale.",
        "401 and 403: give Prometheus the token (`authorization` in its scrape configuration). 404: correct "
        "`metrics_path`. 5xx: the service's log says why.",
    ),
    CheckRow(
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
    CheckRow(
        "OBS004",
        "error",
        "The content type cannot be parsed, such as one with `charset` twice or without a value",
        "Go refuses a Content-Type with a parameter twice or unfinished, and with it Prometheus 3 the page.",
        "A web framework adds `charset` itself: give it the content type without one, or as a whole header.",
    ),
    CheckRow(
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
    CheckRow(
        "OBS006",
        "warning",
        "A scrape takes long",
        "Prometheus gives up after `scrape_timeout`, 10 s by default, and loses the whole scrape; until then "
        "the service is kept busy.",
        "Have fewer series, move collectors that query something to a thread of their own, or raise "
        "`scrape_timeout`.",
    ),
    CheckRow(
        "OBS007",
        "warning",
        "The page is large",
        "Each scrape sends and parses all of it, from each Prometheus that scrapes the service.",
        "Drop labels or families that nobody uses; histograms with many bounds and many label values "
        "come first.",
    ),
    CheckRow(
        "OBS008",
        "warning",
        "A large page is not compressed",
        "Prometheus asks for gzip with each scrape; a page shrinks to a tenth of its size.",
        "Let the endpoint or the proxy before it compress `text/plain` and `application/openmetrics-text`.",
    ),
    CheckRow(
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
    CheckRow(
        "OBS010",
        "error",
        "The text format cannot be parsed",
        "Prometheus refuses the whole page for one line that it cannot read.",
        "Use a client library's encoder rather than string formatting; escape `\\`, `\"` and newlines in "
        "label values.",
    ),
    CheckRow(
        "OBS011",
        "error",
        "OpenMetrics cannot be parsed",
        "Prometheus asks for OpenMetrics before text when it is allowed to, and refuses the whole page "
        "for one error.",
        "Update the client library; until then have the endpoint answer in text.",
    ),
    CheckRow(
        "OBS012",
        "error",
        "The protobuf format cannot be parsed",
        "Prometheus asks for protobuf first where native histograms are on, and refuses the whole page.",
        "Update the client library; until then have the endpoint answer in text.",
    ),
    CheckRow(
        "OBS013",
        "error",
        "A series is there twice",
        "Prometheus keeps one of both values and counts the other in "
        "`prometheus_target_scrapes_sample_duplicate_timestamp_total`; OpenMetrics' parsers refuse the page.",
        "Register each metric once; where two parts of a service expose the same series, give them a "
        "label that tells "
        "them apart.",
    ),
    CheckRow(
        "OBS014",
        "error",
        "A family is scattered, described twice, or described behind its samples",
        "Parsers that read a family at a time refuse the page or give samples the wrong type.",
        "Write HELP and TYPE of a family once, then all its samples; do not join pages by appending one "
        "to another.",
    ),
    CheckRow(
        "OBS015",
        "error",
        "The page is cut off",
        "What is missing looks like series that vanished: rates break off and alerts fire.",
        "Look for a proxy with a limit on size or time, or a worker that is killed while it answers. "
        "OpenMetrics ends "
        "with `# EOF`, and every format with a newline.",
    ),
    CheckRow(
        "OBS016",
        "error",
        "The formats of the endpoint say different things",
        "What is seen then depends on the version and the settings of the Prometheus that asks.",
        "Make all formats from one collection of the metrics.",
    ),
    CheckRow(
        "OBS017",
        "error",
        "The page holds no metric",
        "The target is up, and every panel and every alert about it stays empty.",
        "Expose the registry that the metrics are registered in; a service under several workers may have "
        "made them in another process. Where metrics appear with the first request, send one.",
    ),
)
