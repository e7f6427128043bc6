"""The public addresses of an endpoint, as far as this machine knows them."""

from __future__ import annotations

import ipaddress
import socket
import urllib.parse
from collections.abc import Iterable

import psutil

from otel_obs.reading.fetch import is_loopback

WILDCARDS = ("0.0.0.0", "::")  # compared with the addresses of servers; nothing binds to them here


def public_addresses(address: str) -> list[str]:
    """The public IP addresses at which *address* can be reached; empty where none is known.

    A host name is resolved. A server on this machine's loopback counts as public if it listens on every
    address and the machine has a public one.
    """
    parts = urllib.parse.urlsplit(address)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if is_loopback(host):
        return sorted(_public(_interfaces())) if _listens_everywhere(port) else []
    return sorted(_public(_resolved(host, port)))


def _public(addresses: Iterable[str]) -> set[str]:
    return {address for address in addresses if ipaddress.ip_address(address).is_global}


def _resolved(host: str, port: int) -> set[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(entry[4][0]).partition("%")[0] for entry in found}


def _interfaces() -> set[str]:
    families = (socket.AF_INET, socket.AF_INET6)
    found = (entry for entries in psutil.net_if_addrs().values() for entry in entries)
    return {entry.address.partition("%")[0] for entry in found if entry.family in families}


def _listens_everywhere(port: int) -> bool:
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return False
    return any(
        connection.status == psutil.CONN_LISTEN
        and connection.laddr
        and connection.laddr.port == port
        and connection.laddr.ip in WILDCARDS
        for connection in connections
    )
