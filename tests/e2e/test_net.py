"""A Linux guest's network on a real TAP: addresses, ping, and bulk data both ways with offloads."""

import contextlib
import hashlib
import os
import re
import socket
import threading
import time

import pytest

from support_py import network
from support_py.machine import PATIENCE

HOST, GUEST, MAC = "10.77.0.1", "10.77.0.2", "52:54:00:00:77:02"
SIZE = 4 << 20
LARGEST_PLAIN = 1514
PACKET_OUTGOING = 4  # linux/if_packet.h: from the host to the guest, on a TAP
LIMIT = 120  # seconds, for one transfer


@pytest.fixture
def tap():
    reason = network.why_not()
    if reason:
        pytest.skip(f"NETWORK DEVICES NOT TESTED: {reason}")
    with network.namespace():
        tap = network.Tap()
        network.ip("link", "set", "lo", "up")
        network.ip("addr", "add", f"{HOST}/24", "dev", tap.name)
        yield tap
        tap.close()


@contextlib.contextmanager
def server(serve):
    """A listening socket whose first connection `serve` gets, on a thread; yields port and what it returned."""
    listener = socket.create_server((HOST, 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    listener.settimeout(LIMIT * PATIENCE)
    answer = []

    def run():
        connection, _ = listener.accept()
        connection.settimeout(LIMIT * PATIENCE)
        with connection:
            answer.append(serve(connection))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1], answer
    finally:
        thread.join()
        listener.close()


def receive_all(connection):
    data = b""
    while len(data) < SIZE:
        chunk = connection.recv(1 << 16)
        if not chunk:
            break
        data += chunk
    return data


def receive_late(connection):
    """Lets the sender's queue grow first: busybox's nc writes 1 KiB at a time, and an eager receiver would get that."""
    time.sleep(2)
    return receive_all(connection)


def longest_frames(sniffer):
    """The longest frame seen each way: to the guest, from the guest."""
    longest = {True: 0, False: 0}
    with contextlib.suppress(BlockingIOError):
        while True:
            size, address = sniffer.recvfrom_into(bytearray(1), 1, socket.MSG_TRUNC | socket.MSG_DONTWAIT)
            outgoing = address[2] == PACKET_OUTGOING
            longest[outgoing] = max(longest[outgoing], size)
    return longest[True], longest[False]


def test_bulk_data_both_ways(boot, tap):
    """What arrives is what was sent; the frames on the wire are larger than its MTU, so offloads are at work."""
    data = os.urandom(SIZE)
    shell = boot("own", "--net", f"tap={tap.name},mac={MAC}")
    assert shell.run("cat /sys/class/net/eth0/address").strip() == MAC
    assert shell.run("cat /sys/class/net/eth0/mtu").strip() == "1500"
    shell.run(f"ip link set eth0 up; ip addr add {GUEST}/24 dev eth0")
    assert re.search(r"3 packets received", shell.run(f"ping -c 3 -i 0.2 {HOST}"))

    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sniffer:  # ETH_P_ALL
        sniffer.bind((tap.name, 3))
        with server(lambda connection: connection.sendall(data)) as (port, _):
            told = shell.run(f"nc {HOST} {port} < /dev/null > /run/data; sha256sum /run/data")
        assert told.split()[0] == hashlib.sha256(data).hexdigest()
        to_guest, _ = longest_frames(sniffer)
        with server(receive_late) as (port, got):
            shell.run(f"nc {HOST} {port} < /run/data > /dev/null")
        assert got == [data]
        _, from_guest = longest_frames(sniffer)
    assert to_guest > LARGEST_PLAIN and from_guest > LARGEST_PLAIN, (to_guest, from_guest)

    tap.set("down")
    assert "0 packets received" in shell.run(f"ping -c 1 -W 1 {HOST}")
    tap.set("up")
    assert "3 packets received" in shell.run(f"ping -c 3 -i 0.2 {HOST}")
    tap.delete()
    assert "0 packets received" in shell.run(f"ping -c 1 -W 1 {HOST}")
    assert shell.end("poweroff") == 0
