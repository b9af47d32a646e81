"""--net user in a Linux guest: address, route and name server by passt's DHCP, and servers of the host beyond it."""

import contextlib
import hashlib
import os
import shutil
import socket
import threading

import pytest

from support_py import network
from support_py.machine import PATIENCE

OUTSIDE = "10.99.0.1"  # a server's address; the host's own is 10.88.0.2
SIZE = 1 << 20
SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/${mask:-24} dev $interface
ip route add default via $router
echo nameserver $dns > /run/resolv.conf
"""


@pytest.fixture
def host():
    """A network with an address, a default route and a name server's address, and a server elsewhere."""
    reason = network.why_not() or (None if shutil.which("passt") else "passt is not installed (sudo apt install passt)")
    if reason:
        pytest.skip(f"USER NETWORKING NOT TESTED: {reason}")
    with network.namespace():
        network.ip("link", "set", "lo", "up")
        network.ip("addr", "add", f"{OUTSIDE}/32", "dev", "lo")
        tap = network.Tap("uplink")
        network.ip("addr", "add", "10.88.0.2/24", "dev", tap.name)
        network.ip("route", "add", "default", "via", "10.88.0.1")
        yield
        tap.close()


class Server:
    """Answers each HTTP request to `address` with `data`; counts them."""

    def __init__(self, address, data):
        self.listener = socket.create_server((address, 0))
        self.port, self.data, self.served = self.listener.getsockname()[1], data, 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.settimeout(60 * PATIENCE)
                self.served += 1
                with connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + self.data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_a_guest_gets_an_address_and_reaches_servers(boot, host):
    data = os.urandom(SIZE)
    server, local = Server(OUTSIDE, data), Server("127.0.0.1", b"secret\n")
    shell = boot("own", "--net", "user,mac=52:54:00:00:88:02")
    lines = "; ".join(f"echo '{line}' >> /run/dhcp" for line in SCRIPT.splitlines())
    shell.run(f"ip link set eth0 up; {lines}; chmod +x /run/dhcp")
    told = shell.run("udhcpc -i eth0 -n -q -s /run/dhcp -t 5")
    assert "10.88.0.2" in told, told
    assert "default via 10.88.0.1" in shell.run("ip route")
    # Not nc: Debian 12's passt stalls where the guest shuts its direction down before the data has come.
    told = shell.run(f"wget -q -O - http://{OUTSIDE}:{server.port}/ | sha256sum")
    assert told.split()[0] == hashlib.sha256(data).hexdigest()
    # The host's loopback is not for guests: not by the gateway's address, not by its own.
    shell.run("ip link set lo down; ip route add 127.0.0.0/8 via 10.88.0.1; echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet")
    for address in ("10.88.0.1", "127.0.0.1"):
        assert "secret" not in shell.run(f"wget -q -T 5 -O - http://{address}:{local.port}/")
    assert local.served == 0
    assert shell.end("poweroff") == 0
    server.close()
    local.close()
