"""--net auto in Linux guests: an address by DHCP, the host, and by NAT a server in another network namespace."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from support_py import network
from support_py.guest_program import GuestProgram
from support_py.machine import PATIENCE

HOST, SERVER = "203.0.113.2", "203.0.113.1"  # the host's uplink, and who is behind it
CONNECTIONS = 200
LIMIT = 120


class Namespace:
    """A network namespace behind a wire of the host's. It has no route to guests: only what NAT lets look like the host
    is answered."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        mine = os.readlink("/proc/self/ns/net")
        for _ in range(1000):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{self.process.pid}/ns/net") != mine:
                    break
            time.sleep(0.01)
        network.ip("link", "add", "uplink", "type", "veth", "peer", "name", "inside", "netns", self.process.pid)
        network.ip("addr", "add", f"{HOST}/24", "dev", "uplink")
        network.ip("link", "set", "uplink", "up")
        network.ip("route", "add", "default", "via", SERVER)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "addr", "add", f"{SERVER}/24", "dev", "inside")
        self.run("ip", "link", "set", "inside", "up")

    def command(self, *words):
        return ["nsenter", "-t", str(self.process.pid), "-n", *words]

    def run(self, *words):
        subprocess.run(self.command(*words), check=True)

    def output(self, *words):
        return subprocess.run(self.command(*words), check=True, capture_output=True, text=True).stdout

    def listen(self):
        """A listening socket in there."""
        made = []

        def make():
            with open(f"/proc/{self.process.pid}/ns/net") as there:
                assert ctypes.CDLL(None, use_errno=True).setns(there.fileno(), network.CLONE_NEWNET) == 0
            made.append(socket.create_server((SERVER, 0), backlog=CONNECTIONS))

        thread = threading.Thread(target=make)  # a namespace is a thread's own
        thread.start()
        thread.join()
        made[0].settimeout(LIMIT * PATIENCE)
        return made[0]

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def outside():
    reason = network.why_not()
    if reason:
        pytest.skip(f"NETWORKS NOT TESTED: {reason}")
    with network.namespace():
        network.ip("link", "set", "lo", "up")
        there = Namespace()
        yield there
        there.close()


def connect(shell):
    """Lets the guest ask for its address; returns it and the host's."""
    told = shell.run("udhcpc -i eth0 -n -q -t 10")
    guest = re.search(r"lease of (\S+) obtained", told)
    assert guest, told
    router = re.search(r"default via (\S+) dev eth0", shell.run("ip route"))
    return guest[1], router[1]


def host_name_servers():
    with contextlib.suppress(OSError), open("/etc/resolv.conf") as file:
        found = re.findall(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)", file.read(), re.MULTILINE)
        return [server for server in found if not server.startswith("127.")]
    return []


def test_two_guests_reach_the_host_and_what_is_behind_it(boot, outside):
    shells = [boot("debian", "--net", "auto"), boot("own", "--net", "auto,mtu=1400")]
    networks = [connect(shell) for shell in shells]
    assert networks == [("10.213.0.2", "10.213.0.1"), ("10.213.0.6", "10.213.0.5")]
    assert shells[1].run("cat /sys/class/net/eth0/mtu").strip() == "1400"
    for server in host_name_servers():
        assert f"nameserver {server}" in shells[0].run("cat /etc/resolv.conf")
    listener = outside.listen()
    for shell, (_, router) in zip(shells, networks, strict=True):
        for address in (router, HOST, SERVER):
            assert "2 packets received" in shell.run(f"ping -c 2 -i 0.2 {address}"), address
        answer = threading.Thread(target=answer_all, args=(listener, 1, b"by NAT\n"))
        answer.start()
        assert "by NAT" in shell.run(f"echo hello | nc {SERVER} {listener.getsockname()[1]}")
        answer.join()
    # Guests do not reach each other, nor link-local addresses by the host.
    assert "0 packets received" in shells[0].run("ping -c 1 -W 2 10.213.0.6")
    shells[0].machine.send_signal(signal.SIGKILL)
    shells[0].machine.wait()
    links = subprocess.run(["ip", "-br", "link"], check=True, capture_output=True, text=True).stdout
    assert "mote0" not in links and "mote1" in links
    assert "2 packets received" in shells[1].run(f"ping -c 2 -i 0.2 {SERVER}")
    assert shells[1].end("poweroff") == 0


def answer_all(listener, count, text):
    """Waits until `count` connections are there at once, all from the host's address; answers each with its line."""
    connections = []
    for _ in range(count):
        connection, (address, _) = listener.accept()
        assert address == HOST
        connection.settimeout(LIMIT * PATIENCE)
        connections.append(connection)
    for connection in connections:
        with connection:
            line = connection.makefile("rb").readline()
            connection.sendall(text or line)


def test_iperf3_both_ways_and_many_connections(boot, outside, tmp_path):
    program = GuestProgram("iperf3", tmp_path)
    shell = boot("debian", "--net", "auto", "--disk", f"{program.disk},ro")
    connect(shell)
    iperf3 = program.unpack(shell, "/dev/vdb")
    server = subprocess.Popen(outside.command("iperf3", "-s"), stdout=subprocess.DEVNULL)
    try:
        for way in ("-P 8", "-R"):
            # Within the time that the shell waits: what stands still tells where it stands.
            why = "cat /proc/net/tcp /proc/interrupts /proc/net/dev"
            stop = f"timeout -s INT {25 * PATIENCE:.0f}"
            told = shell.run(f"{stop} {iperf3} -c {SERVER} -n 16M {way}; s=$?; [ $s = 0 ] || {why}; echo status $s")
            there = outside.output("cat", "/proc/net/tcp", "/proc/net/dev") if "status 0" not in told else ""
            assert "status 0" in told and "receiver" in told, told + there
    finally:
        server.kill()
        server.wait()

    listener = outside.listen()
    answer = threading.Thread(target=answer_all, args=(listener, CONNECTIONS, None))
    answer.start()
    ask = f"(echo $i | nc {SERVER} {listener.getsockname()[1]} > /run/o/$i) &"
    told = shell.run(f"mkdir /run/o; for i in $(seq {CONNECTIONS}); do {ask} done 2> /dev/null; wait; cat /run/o/* | sort -n | uniq | wc -l")
    answer.join()
    assert told.split()[-1] == str(CONNECTIONS), told
    assert shell.end("poweroff") == 0
