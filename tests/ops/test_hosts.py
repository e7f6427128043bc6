"""Hosts of one's own: systemd's own checks of the unit, and nginx with TLS in front of a real service."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from otel_obs.ops.hosts import SERVERS, HostedService, logrotate, nginx, traefik, unit
from otel_obs.ops.yaml_text import yaml_text
from tests.ops.promtools import found
from tests.support.ports import free_port
from tests.support.processes import Service, tool
from tests.support.waiting import until

SYSTEMD, NGINX = shutil.which("systemd-analyze"), shutil.which("nginx")
LOGROTATE, TRAEFIK = shutil.which("logrotate"), found("traefik")
needs_systemd = pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not there")
WORST = 20
"""Of 100 points of exposure that `systemd-analyze security` counts; 2.0 in its own table."""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "shop.service"
    # What the unit starts is not on this machine.
    file.write_text(text.replace("/opt/shop/venv/bin/opentelemetry-instrument", sys.executable))
    return file


def verify(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SYSTEMD), "verify", str(file)], capture_output=True, text=True, timeout=240)


@needs_systemd
@pytest.mark.parametrize("server", SERVERS)
def test_systemd_has_nothing_to_say_of_the_unit_and_finds_what_is_misspelt(
    server: str, tmp_path: Path
) -> None:
    file = written(tmp_path, unit(HostedService("shop", server=server)))

    done = verify(file)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "shop" in line]) == (0, [])
    file.write_text(file.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in verify(file).stderr


@needs_systemd
def test_the_unit_is_confined(tmp_path: Path) -> None:
    file = written(tmp_path, unit(HostedService("shop")))
    command = [str(SYSTEMD), "security", "--offline=true", f"--threshold={WORST}", "--no-pager", str(file)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text("\n".join(line for line in file.read_text().splitlines() if "Restrict" not in line))
    assert subprocess.run(command, capture_output=True, timeout=240).returncode != 0


SERVICE = """
from flask import Flask, request
app = Flask("web")

@app.get("/health")
def health():
    return request.headers.get("X-Forwarded-Proto", "none")
"""


def certificate(directory: Path) -> None:
    place = directory / "live"
    place.mkdir()
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    files = ["-keyout", str(place / "privkey.pem"), "-out", str(place / "fullchain.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True, timeout=240)


def configured(directory: Path, service: HostedService, http: int, https: int) -> Path:
    """The generated configuration with ports and files of this test."""
    text = nginx(service).replace("listen 80;", f"listen 127.0.0.1:{http};")
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{https} ssl;")
    text = re.sub(r"/etc/letsencrypt/live/[^/]+", str(directory / "live"), text)
    places = "".join(
        f"{kind}_temp_path {directory / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"daemon off;\npid {directory}/pid;\nerror_log stderr;\nevents {{}}\n"
    whole += f"http {{\naccess_log off;\n{places}{text}\n}}\n"
    file = directory / "nginx.conf"
    file.write_text(whole)
    return file


def fetched(url: str) -> tuple[int, str]:
    context = ssl._create_unverified_context()

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), Stay)
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


WAYS = (
    "/metrics",
    "/metrics/",
    "/metrics?name[]=http_requests_total",
    "//metrics",
    "/./metrics",
    "/health/../metrics",
    "/%6detrics",
    "/%2e/metrics",
    "/METRICS",
    "/metrics/live",
    "/metrics;x",
)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_nginx_speaks_tls_and_keeps_the_metrics_inside_however_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(SERVICE)
    certificate(tmp_path)
    http, https = free_port(), free_port()
    with Service(
        tool("opentelemetry-instrument"),
        tool("gunicorn"),
        *("-w", "2", "-b", "127.0.0.1:{port}", "web:app"),
        cwd=tmp_path,
        log_file=tmp_path / "log",
    ) as service:
        file = configured(tmp_path, HostedService("shop", service.port), http, https)
        arguments = ("-p", str(tmp_path), "-c", str(file))
        with Service(str(NGINX), *arguments, log_file=tmp_path / "nginx.log", ready_path=None):
            outside = f"https://127.0.0.1:{https}"
            until(lambda: fetched(f"{outside}/health")[0] == 200, "nginx", 150)

            assert fetched(f"{outside}/health") == (200, "https")
            assert fetched(f"http://127.0.0.1:{http}/health")[0] == 308
            assert service.get("/metrics").text.count("# TYPE") > 5
            for way in WAYS:
                status, body = fetched(outside + way)
                assert (way, status, "# TYPE" in body) == (way, 404, False)


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
def test_logrotate_reads_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "logrotate"
    file.write_text(logrotate(HostedService("shop")))
    command = [str(LOGROTATE), "--debug", "--state", str(tmp_path / "state"), str(file)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=240)

    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr.lower()


def traefik_files(directory: Path, service: HostedService, http: int, https: int) -> Path:
    """The generated configuration with a certificate of this test, and what starts Traefik as the docs have it."""
    made = traefik(service)
    (router,) = made["http"]["routers"].values()
    assert router.pop("tls") == {"certResolver": "letsencrypt"}
    router["tls"] = {}
    live = {"certFile": str(directory / "live/fullchain.pem"), "keyFile": str(directory / "live/privkey.pem")}
    made["tls"]["certificates"] = [live]
    dynamic = directory / "dynamic"
    dynamic.mkdir()
    (dynamic / "traefik.yml").write_text(yaml_text(made))
    redirections = {"entryPoint": {"to": f":{https}", "scheme": "https"}}
    static = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "DEBUG"},
        "entryPoints": {
            "web": {"address": f"127.0.0.1:{http}", "http": {"redirections": redirections}},
            "websecure": {"address": f"127.0.0.1:{https}"},
        },
        "providers": {"file": {"directory": str(dynamic)}},
    }
    file = directory / "static.yml"
    file.write_text(yaml_text(static))
    return file


@pytest.mark.skipif(TRAEFIK is None, reason="scripts/traefik fetches it")
def test_traefik_speaks_tls_and_keeps_the_metrics_inside_however_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(SERVICE)
    certificate(tmp_path)
    http, https = free_port(), free_port()
    with Service(
        tool("opentelemetry-instrument"),
        tool("gunicorn"),
        *("-w", "2", "-b", "127.0.0.1:{port}", "web:app"),
        cwd=tmp_path,
        log_file=tmp_path / "log",
    ) as service:
        domain = "127.0.0.1"
        file = traefik_files(tmp_path, HostedService("shop", service.port, domain), http, https)
        log = tmp_path / "traefik.log"
        with Service(str(TRAEFIK), f"--configFile={file}", log_file=log, ready_path=None):
            outside = f"https://{domain}:{https}"
            until(lambda: fetched(f"{outside}/health")[0] == 200, "Traefik", 150)

            assert fetched(f"{outside}/health") == (200, "https")
            assert fetched(f"http://{domain}:{http}/health")[0] in (301, 308)
            assert service.get("/metrics").text.count("# TYPE") > 5
            answers = {way: fetched(outside + way) for way in WAYS}
    assert [way for way, (status, body) in answers.items() if status < 400 or "# TYPE" in body] == []
    assert [line for line in log.read_text().splitlines() if " ERR " in line] == []


@pytest.mark.skipif(TRAEFIK is None, reason="scripts/traefik fetches it")
def test_traefik_refuses_a_misspelt_field(tmp_path: Path) -> None:
    certificate(tmp_path)
    file = traefik_files(tmp_path, HostedService("shop"), free_port(), free_port())
    dynamic = tmp_path / "dynamic" / "traefik.yml"
    dynamic.write_text(dynamic.read_text().replace("loadBalancer:", "loadBalancers:"))
    log = tmp_path / "traefik.log"
    with Service(str(TRAEFIK), f"--configFile={file}", log_file=log, ready_path=None):
        until(lambda: "field not found" in log.read_text(), "the message", 150)


@pytest.mark.parametrize("way", ["/metrics", "//metrics", "/METRICS", "/metrics/live"])
def test_traefik_has_no_router_for_the_metrics(way: str) -> None:
    (router,) = traefik(HostedService("shop"))["http"]["routers"].values()
    found = re.fullmatch(r"Host\(`shop\.example\.org`\) && !PathRegexp\(`(.*)`\)", router["rule"])

    assert found is not None
    assert re.search(found[1], way)
    assert not re.search(found[1], "/health")
    assert router["tls"]
