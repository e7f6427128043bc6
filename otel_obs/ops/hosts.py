"""A service on a host without containers: a systemd unit, proxy configurations with TLS, log rotation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from otel_obs.ops.yaml_text import NOTE, yaml_text


class HostedService(NamedTuple):
    """A service on a host.

    Attributes:
        name: The name of its unit, its user and its directories.
        port: The port that it listens on, on loopback.
        domain: Its public host name.
        workers: The number of worker processes.
        metrics_path: The path of its metrics; the proxies do not forward it.
        server: One of `SERVERS`.
    """

    name: str
    port: int = 8000
    domain: str = "shop.example.org"
    workers: int = 4
    metrics_path: str = "/metrics"
    server: str = "gunicorn"


SERVERS: Mapping[str, str] = {
    "gunicorn": "/opt/{name}/venv/bin/gunicorn --no-control-socket \\\n"
    "    --worker-tmp-dir /dev/shm -w {workers} -b 127.0.0.1:{port} app:app",
    "uvicorn": "/opt/{name}/venv/bin/uvicorn \\\n"
    "    --workers {workers} --host 127.0.0.1 --port {port} app:app",
}
"""The commands of the servers: gunicorn for WSGI, uvicorn for ASGI."""

_UNIT = """\
{note}[Unit]
Description={name}
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
WorkingDirectory=/opt/{name}
EnvironmentFile=-/etc/{name}/service.env
ExecStart=/opt/{name}/venv/bin/opentelemetry-instrument -- {command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
# The server has 30 s for requests that are under way; only it gets SIGTERM, and the rest is killed after it.
KillMode=mixed
TimeoutStopSec=40
LimitNOFILE=65536

# A user of its own, which exists while the service runs. What the workers count is below /dev/shm.
DynamicUser=yes
StateDirectory={name}
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# Left out: ProcSubset=pid hides /proc/meminfo, which system_memory_percent is read from;
# MemoryDenyWriteExecute=yes ends what compiles at run time, as many libraries for models do.

[Install]
WantedBy=multi-user.target
"""

_NGINX = """\
{note}# Goes below http {{ }}, such as in /etc/nginx/conf.d/{name}.conf.
upstream {name} {{
    server 127.0.0.1:{port};
    keepalive 32;
}}

server {{
    listen 80;
    server_name {domain};
    return 308 https://$host$request_uri;
}}

server {{
    listen 443 ssl;
    server_name {domain};
    ssl_certificate /etc/letsencrypt/live/{domain}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/{domain}/privkey.pem;
    ssl_protocols TLSv1.2 TLSv1.3;

    # The metrics stay inside: Prometheus asks 127.0.0.1:{port} itself. nginx has decoded the path, and
    # resolved its dots and slashes, before it looks here: no way of writing it leads around this.
    location ~* ^{metrics_path} {{
        return 404;
    }}

    location / {{
        proxy_pass http://{name};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        # A streamed answer goes on as it comes.
        proxy_buffering off;
        proxy_read_timeout 120s;
    }}
}}
"""

_LOGROTATE = """\
{note}# Goes to /etc/logrotate.d/{name}. For logs in files; what goes to standard error is the journal's,
# which rotates by itself (SystemMaxUse= in /etc/systemd/journald.conf).
/var/log/{name}/*.log {{
    daily
    maxsize 100M
    rotate 14
    compress
    delaycompress
    missingok
    notifempty
    sharedscripts
    postrotate
        # gunicorn opens its log files anew
        systemctl kill --kill-whom=main --signal=USR1 {name}.service 2>/dev/null || true
    endscript
}}
"""


def unit(service: HostedService) -> str:
    """A hardened systemd unit."""
    values = service._asdict()
    return _UNIT.format(note=NOTE, command=SERVERS[service.server].format(**values), **values)


def nginx(service: HostedService) -> str:
    """The configuration of nginx as its proxy, with TLS."""
    return _NGINX.format(note=NOTE, **service._asdict())


def logrotate(service: HostedService) -> str:
    """The configuration of logrotate for its log files."""
    return _LOGROTATE.format(note=NOTE, **service._asdict())


def traefik(service: HostedService) -> dict[str, Any]:
    """A dynamic configuration of Traefik, with TLS; no router matches the path of the metrics."""
    rule = f"Host(`{service.domain}`) && !PathRegexp(`(?i)^/+{service.metrics_path.lstrip('/')}`)"
    return {
        "http": {
            "routers": {
                service.name: {
                    "rule": rule,
                    "entryPoints": ["websecure"],
                    "service": service.name,
                    "tls": {"certResolver": "letsencrypt"},
                }
            },
            "services": {
                service.name: {"loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{service.port}"}]}}
            },
        },
        "tls": {"options": {"default": {"minVersion": "VersionTLS12"}}},
    }


def host_files(service: HostedService) -> dict[str, str]:
    """All files, by name."""
    return {
        f"{service.name}.service": unit(service),
        "nginx.conf": nginx(service),
        "traefik.yml": yaml_text(traefik(service)),
        "logrotate": logrotate(service),
    }
