"""`otel-obs generate`: configurations, rules and dashboards for a service, made from its metrics."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from otel_obs.catalog.kit.naming import Naming
from otel_obs.cli import output
from otel_obs.errors import OperationsError
from otel_obs.ops.alerts.alert import LANGUAGES, Links
from otel_obs.ops.bundle import ALL, KINDS, Wish, bundle_files
from otel_obs.ops.generated_files import write_files
from otel_obs.ops.hosts import SERVERS
from otel_obs.ops.kubernetes.kustomize import RELEASE
from otel_obs.ops.objectives import parse_objective
from otel_obs.ops.prometheus_config import PLACES, RemoteWrite, ScrapeJob
from otel_obs.ops.refusals import refuse_doubles
from otel_obs.ops.service_facts import DEFAULT_JOB, MonitoredService, fetch_page, named_by
from otel_obs.reading.fetch import address, is_loopback
from otel_obs.settings import Settings

WhatArgument = Annotated[str, typer.Argument(metavar="WHAT", help=f"One of: {', '.join([*KINDS, ALL])}.")]
TextOptions = list[str] | None


def generate(
    what: WhatArgument,
    out: Annotated[Path, typer.Option("--out", help="The directory to write to; it is made.")],
    source: Annotated[
        str, typer.Option("--from", metavar="URL", help="A running service, whose /metrics says what it has.")
    ] = "",
    groups: Annotated[
        str, typer.Option(help="In its place: groups of the catalog, and families of their own, with commas.")
    ] = "",
    job: Annotated[
        str, typer.Option(help="The service's name; OTEL_SERVICE_NAME, or what it calls itself, by default.")
    ] = "",
    target: Annotated[
        TextOptions,
        typer.Option(help="`host:port` to scrape, in the place of that of --from; again for more."),
    ] = None,
    place: Annotated[str, typer.Option(help=f"Where Prometheus runs: {', '.join(PLACES)}.")] = "local",
    slo: Annotated[
        TextOptions,
        typer.Option(help="An objective: `availability=99.9` or `latency=95%<500ms`; again for more."),
    ] = None,
    limit: Annotated[
        TextOptions, typer.Option(help="A threshold: `HighErrorRate=0.02`; again for more.")
    ] = None,
    language: Annotated[str, typer.Option(help=f"Of the alerts: {', '.join(LANGUAGES)}.")] = "en",
    interval: Annotated[str, typer.Option(help="Between two scrapes.")] = "15s",
    external_label: Annotated[
        TextOptions, typer.Option(help="`key=value` on all that leaves Prometheus.")
    ] = None,
    alertmanager: Annotated[str, typer.Option(help="Its address.")] = "localhost:9093",
    webhook: Annotated[str, typer.Option(help="Where alerts go, in the place of Slack and e-mail.")] = "",
    remote_write: Annotated[str, typer.Option(help="The address of a store that samples are sent to.")] = "",
    image: Annotated[str, typer.Option(help="What Kubernetes runs.")] = "",
    release: Annotated[
        str,
        typer.Option(
            help="The Helm release of kube-prometheus-stack, which ignores what has another `release`."
        ),
    ] = RELEASE,
    server: Annotated[
        str, typer.Option(help=f"What serves it on a host: {', '.join(SERVERS)}.")
    ] = "gunicorn",
    domain: Annotated[str, typer.Option(help="Under which name the world reaches it.")] = "shop.example.org",
    runbooks: Annotated[str, typer.Option(help="Where docs/runbooks/ is served.")] = Links().runbooks,
    grafana: Annotated[str, typer.Option(help="Where Grafana is.")] = Links().grafana,
    force: Annotated[bool, typer.Option("--force", help="Write over what was changed by hand.")] = False,
    json: output.JsonOption = False,
    header: output.HeaderOption = None,
    token_file: output.TokenFileOption = None,
    timeout: output.TimeoutOption = 10.0,
) -> None:
    """Write configurations, rules, alerts and dashboards for a service, only for the metrics that it has.

    Names follow the same variables as the service's: set OTEL_OBS_NAMESPACE, OTEL_OBS_NAMES, OTEL_OBS_LABELS
    and OTEL_OBS_PROFILE here as there. A file that was changed by hand is kept and named. Exit codes: 0
    written, 2 not possible.
    """
    if source and groups:
        raise OperationsError("generate", "got both --from and --groups", "give one of them")
    if not (source or groups):
        raise OperationsError("generate", "needs to know what the service has", "give --from URL or --groups")
    named_by("--place", place, PLACES)
    named_by("--language", language, LANGUAGES)
    named_by("--server", server, tuple(SERVERS))
    settings = Settings.from_env()
    name, naming = job or settings.service_name, Naming.from_settings(settings)
    is_inside = "docker" in (what, place)
    # From a container, `localhost` is the container.
    usual = "host.docker.internal:8000" if is_inside else "localhost:8000"
    if source:
        page = fetch_page(source, output.fetching(header, token_file, timeout))
        # Without naming settings here, the naming is inferred from the page.
        service = MonitoredService.of_page(name, page, naming if naming != Naming() else None, source)
        scraped = ScrapeJob.of_address(service.job, address(source))
        host, _, port = scraped.targets[0].rpartition(":")
        usual = f"host.docker.internal:{port}" if is_inside and is_loopback(host) else scraped.targets[0]
    else:
        service = MonitoredService.of_groups(name or DEFAULT_JOB, groups.replace(" ", "").split(","), naming)
        scraped = ScrapeJob(service.job, ())
    wish = Wish(
        service,
        (replace(scraped, targets=tuple(target or (usual,))),),
        objectives=tuple(map(parse_objective, slo or ())),
        limits={key: _number(key, value) for key, value in _pairs("--limit", limit).items()},
        language=language,
        links=Links(runbooks, grafana),
        interval=interval,
        external=_pairs("--external-label", external_label),
        alertmanager=alertmanager,
        webhook=webhook,
        remote_write=(RemoteWrite(remote_write),) if remote_write else (),
        place=place,
        image=image,
        release=release,
        domain=domain,
        server=server,
    )
    written = write_files(out, bundle_files(what, wish), force)
    if json:
        output.print_json({"groups": service.groups, "written": written})
        return
    screen = output.console()
    for path in written:
        done = "wrote" if (out / path).exists() else "removed"
        screen.print(output.foreign_text(f"{done} {out / path}"))
    count = sum((out / path).exists() for path in written)
    files = "1 file" if count == 1 else f"{count} files"
    screen.print(output.foreign_text(f"{service.job} has {', '.join(service.groups)}; {files} written"))


def _pairs(option: str, given: TextOptions) -> dict[str, str]:
    """What `key=value` says, given as often as there are keys."""
    pairs = [text.partition("=") for text in given or ()]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise OperationsError(f"{option} {key + equals + value!r}", "is no pair", "write it as key=value")
    refuse_doubles(option, (key for key, _, _ in pairs), "give it once")
    return {key: value for key, _, value in pairs}


def _number(key: str, value: str) -> float:
    with contextlib.suppress(ValueError):
        number = float(value)
        if math.isfinite(number):
            return number
    raise OperationsError(f"--limit {key}={value}", "is no number", f"write it as {key}=0.02")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app,
        "generate",
        generate,
        "generate prometheus --from localhost:8000 --out monitoring",
        "generate all --groups http,model,cache --out monitoring --slo availability=99.9",
        "generate docker --from localhost:8000 --out monitoring --slo availability=99.9",
        "generate kubernetes --groups http,model --job shop --out k8s --image registry.example.org/shop:1",
        "generate hosts --groups http --job shop --domain shop.example.org --server uvicorn --out hosts",
        "generate clouds --from localhost:8000 --job shop --image registry.example.org/shop:1 --out clouds",
        "generate alerts --from localhost:8000 --out monitoring --language ko --limit HighErrorRate=0.02",
    )
