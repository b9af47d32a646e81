"""`--net auto` from outside: what it makes on the host, that nothing of it stays, and a TAP that is handed over. In a
network namespace of each test's own; guests are bare."""

import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support_py import network

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x1, 0x2, 0x1000, 0x4000


@pytest.fixture(autouse=True)
def own_network():
    reason = network.why_not()
    if not reason and not shutil.which("nft"):
        reason = "no nft here (sudo apt install nftables iptables)"
    if reason:
        pytest.skip(f"NETWORKS NOT TESTED: {reason}")
    with network.namespace():
        network.ip("link", "set", "lo", "up")
        yield


def told(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def taps():
    return re.findall(r"^(mote\d+)\s", told("ip", "-br", "link"), re.MULTILINE)


def tables():
    return re.findall(r"^table inet (mote\d+)$", told("nft", "list", "tables"), re.MULTILINE)


def docker_rules():
    return re.findall(r'"mote:(mote\d+)"', told("nft", "list", "chain", "ip", "filter", "DOCKER-USER"))


def with_docker():
    """What Docker does to a host's firewall, and an uplink."""
    told("iptables", "-N", "DOCKER-USER")
    told("iptables", "-A", "DOCKER-USER", "-j", "RETURN")
    told("iptables", "-A", "FORWARD", "-j", "DOCKER-USER")
    told("iptables", "-P", "FORWARD", "DROP")
    network.Tap("uplink")
    network.ip("addr", "add", "192.0.2.1/24", "dev", "uplink")
    network.ip("route", "add", "default", "via", "192.0.2.2")


@pytest.fixture
def start(launch, bare):
    def run(net="auto"):
        machine = launch.run("--kernel", bare("spin"), "--no-acpi", "--mem", "64M", "--net", net)
        machine.expect(b"spinning\n")
        return machine

    return run


def kill(machine):
    machine.send_signal(signal.SIGKILL)
    assert machine.wait() == 137
    time.sleep(0.1)


def test_a_network_in_one_step_and_nothing_left_of_it(start):
    machine = start()
    assert taps() == tables() == ["mote0"]
    assert "10.213.0.1/30" in told("ip", "-br", "addr", "show", "mote0")
    table = told("nft", "list", "table", "inet", "mote0")
    assert "flags owner" in table and "masquerade" in table
    with open("/proc/sys/net/ipv4/ip_forward") as file:
        assert file.read() == "1\n"
    assert "ip_forward was 0 and is 1 now" in machine.messages
    assert subprocess.run(["nft", "delete", "table", "inet", "mote0"], capture_output=True, check=False).returncode != 0
    kill(machine)
    assert taps() == tables() == []


def test_many_at_the_same_time_do_not_collide(start):
    with ThreadPoolExecutor(4) as pool:
        machines = list(pool.map(lambda _: start(), range(4)))
    assert sorted(taps()) == sorted(tables()) == [f"mote{i}" for i in range(4)]
    assert len(set(re.findall(r"10\.213\.0\.\d+/30", told("ip", "-br", "addr")))) == 4
    kill(machines[0])
    assert len(taps()) == len(tables()) == 3
    machines[1].send_signal(signal.SIGQUIT)
    assert machines[1].wait() == 245
    assert len(taps()) == len(tables()) == 2


def test_a_subnet_that_the_host_uses_is_left_alone(start):
    network.Tap("lan")
    network.ip("addr", "add", "10.0.0.1/8", "dev", "lan")
    start()
    assert "172.29.0.1/30" in told("ip", "-br", "addr", "show", "mote0")


def test_docker_lets_the_guest_pass_and_stale_rules_go(start):
    with_docker()
    first, second = start(), start()
    assert sorted(docker_rules()) == ["mote0", "mote0", "mote1", "mote1"]
    assert "-A DOCKER-USER -i mote0 -o uplink" in told("iptables", "-S", "DOCKER-USER")
    kill(first)
    kill(second)
    third = start()  # removes what the other two have left, and has rules of its own
    assert docker_rules() == ["mote0", "mote0"]
    third.send_signal(signal.SIGQUIT)
    assert third.wait() == 245
    assert docker_rules() == []
    assert told("iptables", "-S", "DOCKER-USER").splitlines()[-1] == "-A DOCKER-USER -j RETURN"


def test_a_firewall_that_forwards_nothing_is_told(start):
    told("iptables", "-P", "FORWARD", "DROP")
    assert "sudo iptables -I FORWARD -i mote0 -j ACCEPT" in start().messages


def test_without_rights_the_way_out_is_told(launch, bare):
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]
    told_it = subprocess.run(
        [*command, *launch.command("--kernel", bare("spin"), "--net", "auto")], capture_output=True, text=True, check=False
    )
    assert told_it.returncode == 240
    assert told_it.stderr.count("\n") == 1 and told_it.stderr.endswith("use sudo, or --net user, which needs no rights\n")
    assert taps() == []


def handed_over(flags, name=b"given"):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name, flags))
    return fd


def run_with(launch, bare, fd, *options):
    """mote's end, where `fd` is open for it; it is killed after a second of running."""
    command = launch.command("--kernel", bare("hello"), "--cmdline", "bare.exit=acpi", "--no-acpi", "--mem", "64M", *options)
    return subprocess.run(command, pass_fds=[fd], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def test_a_tap_that_is_handed_over(launch, bare):
    fd = handed_over(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
    done = run_with(launch, bare, fd, "--net", f"fd={fd},mac=52:54:00:00:00:01,rx_bps=1M")
    os.close(fd)
    assert done.returncode == 0, done.stderr


def test_descriptors_that_are_no_tap(launch, bare):
    def refuse(fd, number=None):
        done = run_with(launch, bare, fd, "--net", f"fd={fd if number is None else number}")
        assert done.returncode == 240 and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    tun = handed_over(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, b"tun")
    plain = handed_over(IFF_TAP | IFF_NO_PI, b"plain")
    with open("/dev/null") as null:
        assert "is no TAP that is attached" in refuse(null.fileno())
    assert "is a TUN" in refuse(tun)
    assert "is a TAP with the flags" in refuse(plain)
    assert "is not open" in refuse(plain, 999)
    os.close(tun)
    os.close(plain)
