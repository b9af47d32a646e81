"""A network namespace of a test's own, with TAPs: it is gone with the test, however that ends."""

import contextlib
import ctypes
import os
import socket
import subprocess
import time

ETHER_TYPE = 0x88B5  # for local experiments; what guest/bare/net.c sends and answers
BROADCAST = b"\xff" * 6
CLONE_NEWNET = 0x40000000
PACKET_IGNORE_OUTGOING = 23  # linux/if_packet.h
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def why_not():
    """Why TAPs cannot be made here, or None."""
    if os.geteuid() != 0:
        return "only root makes network namespaces and TAPs"
    return None if os.path.exists("/dev/net/tun") else "no /dev/net/tun on this machine"


@contextlib.contextmanager
def namespace():
    """What runs inside, and the processes it starts, see a network of their own with nothing but lo."""
    before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(CLONE_NEWNET), "cannot make a network namespace")
        yield
    finally:
        _check(_libc.setns(before, CLONE_NEWNET), "cannot return from the network namespace")
        os.close(before)


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, text=True)


class Tap:
    """A TAP in this namespace, and the host's end of its wire: frames of ETHER_TYPE."""

    def __init__(self, name="mote0", mtu=1500):
        self.name = name
        # Nothing but the test's own frames: no IPv6 means no neighbour discovery.
        with contextlib.suppress(OSError), open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
            file.write("1")
        ip("tuntap", "add", "dev", name, "mode", "tap")
        ip("link", "set", name, "mtu", mtu, "up")
        self._socket = None

    def open(self):
        self.close()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHER_TYPE))
        self._socket.setsockopt(263, PACKET_IGNORE_OUTGOING, 1)  # SOL_PACKET
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind((self.name, ETHER_TYPE))
        self._socket.settimeout(0.2)
        return self

    def send(self, payload):
        self._socket.send(BROADCAST + b"\x02\0\0\0\0\1" + ETHER_TYPE.to_bytes(2, "big") + payload)

    def receive(self, limit=5):
        """The payload of the guest's next frame, or None after `limit` seconds."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                return self._socket.recv(1 << 17)[14:]
        return None

    def set(self, *words):
        ip("link", "set", self.name, *words)

    def delete(self):
        ip("link", "del", self.name)

    def close(self):
        if self._socket is not None:
            self._socket.close()
            self._socket = None
