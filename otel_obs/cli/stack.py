"""`otel-obs stack`: Prometheus, Alertmanager and Grafana on this machine, without Docker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from otel_obs.catalog.kit.naming import Naming
from otel_obs.cli import output
from otel_obs.errors import OperationsError
from otel_obs.ops.alerts.alert import LANGUAGES
from otel_obs.ops.bundle import Wish, bundle_files
from otel_obs.ops.generated_files import write_files
from otel_obs.ops.objectives import parse_objective
from otel_obs.ops.prometheus_config import ScrapeJob
from otel_obs.ops.refusals import refuse_quantity
from otel_obs.ops.service_facts import MonitoredService, fetch_page, named_by
from otel_obs.ops.stack.download import RELEASES, RELEASES_FETCHED, fetch_release
from otel_obs.ops.stack.processes import log_of, logs_of, stack_ports, stack_state, start_stack, stop_stack
from otel_obs.ops.stack.programs import BY_NAME, all_ports, part_program
from otel_obs.ops.stack.records import only_one
from otel_obs.ops.stack.stores import StackStores
from otel_obs.reading.fetch import address
from otel_obs.reading.last_lines import last_lines
from otel_obs.settings import Settings

RootOption = Annotated[
    Path, typer.Option("--dir", help="Where the stack keeps its configuration, data and logs.")
]
ROOT = Path("monitoring")
USUAL_SERVICE = "http://127.0.0.1:8000"
stack = typer.Typer(
    no_args_is_help=True,
    help="Run Prometheus, Alertmanager and Grafana on this machine, without Docker.",
)


def up(
    source: Annotated[
        str, typer.Option("--from", metavar="URL", help="The service that is watched.")
    ] = USUAL_SERVICE,
    root: RootOption = ROOT,
    job: Annotated[
        str, typer.Option(help="The service's name; OTEL_SERVICE_NAME, or what it calls itself, by default.")
    ] = "",
    port: Annotated[list[str] | None, typer.Option(help="`prometheus=9091`; again for another part.")] = None,
    slo: Annotated[list[str] | None, typer.Option(help="An objective; again for more.")] = None,
    interval: Annotated[str, typer.Option(help="Between two scrapes.")] = "15s",
    webhook: Annotated[
        str, typer.Option(help="Where alerts go; by default they are only shown by Alertmanager.")
    ] = "",
    language: Annotated[str, typer.Option(help="Of alerts and dashboards: en, ko.")] = "en",
    retention: Annotated[str, typer.Option(help="How long samples are kept.")] = "15d",
    size: Annotated[str, typer.Option(help="How much they may take.")] = "10GB",
    force: Annotated[bool, typer.Option("--force", help="Write over configuration changed by hand.")] = False,
    token_file: output.TokenFileOption = None,
    json: output.JsonOption = False,
) -> None:
    """Start the installed parts, with the configuration for a running service, and wait until they are ready.

    Parts that run already are left alone. Grafana is started if its program is on the path.
    """
    named_by("--language", language, LANGUAGES)
    refuse_quantity("--retention", retention, ("h", "d", "w", "y"), "15d")
    refuse_quantity("--size", size, ("MB", "GB", "TB"), "10GB")
    settings = Settings.from_env()
    naming = Naming.from_settings(settings)
    at = stack_ports(root.resolve(), ports := _ports(port or []))
    page = fetch_page(source, output.fetching(None, token_file, 10.0))
    # Without naming settings here, the naming is inferred from the page.
    service = MonitoredService.of_page(
        job or settings.service_name, page, naming if naming != Naming() else None, source
    )
    token = str(token_file.resolve()) if token_file else ""
    stores = StackStores(root, at)
    wish = Wish(
        service,
        (
            ScrapeJob.of_address(service.job, address(source), token),
            ScrapeJob("prometheus", (f"127.0.0.1:{at['prometheus']}",)),
            *stores.jobs(),
        ),
        objectives=tuple(map(parse_objective, slo or ())),
        language=language,
        interval=interval,
        alertmanager=f"127.0.0.1:{at['alertmanager']}",
        webhook=webhook or "http://127.0.0.1:9/",
        prometheus_url=f"http://127.0.0.1:{at['prometheus']}",
        dashboards_path=str((root / "config" / "grafana" / "dashboards").resolve()),
        sources=tuple(stores.sources()),
    )
    can_draw = _can_draw()
    files = {
        kind: bundle_files(kind, wish) for kind in ("prometheus", "alertmanager", *(["grafana"] * can_draw))
    }
    for path, text in stores.files().items():
        kind, _, name = path.partition("/")
        files[kind] = {name: text}
    say = _saying(json)
    with only_one(root.resolve(), say):
        renewed = [kind for kind, texts in files.items() if write_files(root / "config" / kind, texts, force)]
        states = start_stack(root.resolve(), ports, retention, size, say, renewed)
    for told in (stores.hint(), _about_grafana(root, can_draw)):
        if told:
            say(told)
    if json:
        output.print_json(states)


def _about_grafana(root: Path, can_draw: bool) -> str:
    """Why there are no dashboards, and how to get them; "" where Grafana runs."""
    if part_program(BY_NAME["grafana"], root) and can_draw:
        return ""
    where = root / "config" / "grafana" / "dashboards"
    if not can_draw:
        return "no dashboards: they need Python 3.11, and pip install 'otel-obs[dashboards]'"
    return f"grafana is not on the path: its dashboards are in {where}"


def _can_draw() -> bool:
    try:
        import grafana_foundation_sdk
    except ImportError:
        return False
    return bool(grafana_foundation_sdk)


def _ports(given: list[str]) -> dict[str, int]:
    ports: dict[str, int] = {}
    for text in given:
        part, _, number = text.partition("=")
        if part not in all_ports({}) or not _is_port(number):
            raise OperationsError(
                f"--port {text}",
                "is no port of a part",
                f"write {', '.join(f'{name}=PORT' for name in all_ports({}))}",
            )
        if ports.setdefault(part, int(number)) != int(number):
            raise OperationsError(f"--port {part}", "is given twice, with two numbers", "give it once")
    return ports


def _is_port(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) < 6 and 0 < int(number) < 65536


def status(root: RootOption = ROOT, json: output.JsonOption = False) -> None:
    """Show the state of each part. Exit codes: 0 every started part is ready, 1 one is not."""
    states = stack_state(root.resolve())
    if json:
        output.print_json(states)
    else:
        screen = output.console()
        for state in states:
            how = "ready" if state.is_ready else "running, not ready" if state.pid else "not running"
            screen.print(
                output.foreign_text(f"{state.name}: {how}; http://127.0.0.1:{state.port}; {state.log}")
            )
        if not states:
            screen.print(output.foreign_text(f"no stack was started in {root}"))
    output.found_something(not states or not all(state.is_ready for state in states))


def logs(
    part: Annotated[
        str, typer.Argument(help=f"One of: {', '.join(BY_NAME)}; every one that has a log by default.")
    ] = "",
    root: RootOption = ROOT,
    lines: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many lines of its end, of 16 MiB at most.")
    ] = 50,
    json: output.JsonOption = False,
) -> None:
    """Show the end of a part's log, or of each log."""
    paths = [log_of(root.resolve(), part)] if part else logs_of(root.resolve())
    found = {str(path): last_lines(path, lines) for path in paths}
    if json:
        shown = [{"log": log, "lines": end} for log, end in found.items()]
        output.print_json(shown[0] if part else shown)
        return
    screen = output.console()
    for log, end in found.items():
        if len(found) > 1:
            screen.print(output.foreign_text(f"==> {log} <=="))
        for line in end:
            screen.print(output.foreign_text(line))


def down(root: RootOption = ROOT, json: output.JsonOption = False) -> None:
    """Stop every part; the data stay."""
    say = _saying(json)
    ended = stop_stack(root.resolve(), say)
    if json:
        output.print_json({"ended": ended})
    elif not ended:
        say("nothing was running")


def fetch(
    root: RootOption = ROOT,
    base: Annotated[str, typer.Option(help="Where releases are.")] = RELEASES,
    json: output.JsonOption = False,
) -> None:
    """Download Prometheus and Alertmanager for this system, and check the published SHA-256."""
    say, installed = _saying(json), []
    for release in RELEASES_FETCHED:
        installed.append(str(fetch_release(release, root.resolve(), base, say)))
        say(f"installed {installed[-1]}")
    if json:
        output.print_json({"installed": installed})


def _saying(is_json: bool) -> Callable[[str], None]:
    """Tells what is being done: on standard error where standard output is for a program."""
    screen = output.error_console() if is_json else output.console()
    return lambda text: screen.print(output.foreign_text(text))


EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    up: (
        "up --from localhost:8000",
        "up --from localhost:8000 --port prometheus=9091 --slo availability=99.9 --json",
    ),
    status: ("status", "status --json"),
    logs: ("logs", "logs prometheus", "logs alertmanager --lines 200"),
    down: ("down",),
    fetch: ("fetch", "fetch --dir /srv/monitoring"),
}
for command, examples in EXAMPLES.items():
    output.add_command(stack, command.__name__, command, *(f"stack {example}" for example in examples))


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(stack, name="stack", epilog="**Examples**\n\n    otel-obs stack up --from localhost:8000")
