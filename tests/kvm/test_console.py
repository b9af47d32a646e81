"""The serial port and what it is connected to: pipes, terminals, files, sockets, nothing."""

import fcntl
import os
import re
import signal
import socket
import struct
import termios
import time

import pytest

FLOOD = 64 * 1024
# What guest/bare/serial.c sends as a flood.
FLOODED = b"".join(b"%07d\n" % line for line in range(FLOOD // 8))


def test_echo(guest):
    machine = guest("serial")
    machine.expect(b"echo\n")
    machine.send(b"round trip")
    machine.expect(b"round trip")
    machine.send(b"q")
    assert machine.wait() == 0


def test_output_is_whole_and_in_order(guest):
    machine = guest("serial", f"bare.mode=flood bare.bytes={FLOOD}")
    assert machine.wait() == 0
    assert machine.console == FLOODED


def test_output_without_a_later_exit_comes_out(guest):
    """Bytes of a guest that then never exits again are not kept back."""
    machine = guest("serial", "bare.mode=quiet")
    machine.expect(b"quiet\n", limit=5)


def test_input_waits_and_nothing_is_lost(guest):
    """10,000 bytes sent while the guest reads nothing: mote keeps few, the pipe holds the rest."""
    machine = guest("serial", "bare.mode=count bare.wait=1000M")
    machine.expect(b"ready\n")
    machine.send(b"x" * 10_000 + b"q")
    assert machine.wait() == 0
    assert machine.result() == {"bytes": "10000", "sum": str(10_000 * ord("x"))}


def test_unread_input_stays_in_the_pipe(guest):
    """What the guest does not read, mote does not take: a little only."""
    machine = guest("spin")
    machine.expect(b"spinning\n")
    machine.send(b"x" * 10_000)
    time.sleep(0.5)
    unread = struct.unpack("i", fcntl.ioctl(machine._writer, termios.FIONREAD, bytes(4)))[0]
    assert 10_000 - 2048 <= unread < 10_000
    machine.send_signal(signal.SIGQUIT)
    assert machine.wait() == 245


def test_end_of_input_is_not_the_end(launch, bare):
    """With standard input at its end the guest goes on."""
    machine = launch.run("--kernel", bare("button"), "--no-acpi", "--no-entropy", "--no-balloon")
    os.close(machine._writer)
    machine._writer = None
    machine.expect(b"waiting\n")
    time.sleep(0.3)
    assert machine.process.poll() is None
    machine.send_signal(15)
    assert machine.wait() == 0


def test_off(guest):
    machine = guest("serial", "bare.mode=flood bare.bytes=8K", "--console", "off")
    assert machine.wait() == 0
    assert machine.console == b""


def test_file(guest, tmp_path):
    path = tmp_path / "console.txt"
    machine = guest("serial", f"bare.mode=flood bare.bytes={FLOOD}", "--console", f"file:{path}")
    assert machine.wait() == 0
    assert path.read_bytes() == FLOODED
    assert machine.console == b""


def test_file_that_cannot_be_written(launch, bare, tmp_path):
    line = launch.refuse("--kernel", bare("hello"), "--no-acpi", "--console", f"file:{tmp_path}/no/such/folder")
    assert f"{tmp_path}/no/such/folder" in line and "No such file" in line


def test_socket(guest, tmp_path):
    path = tmp_path / "console.sock"
    machine = guest("serial", "", "--console", f"unix:{path}")
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, machine.messages
        time.sleep(0.01)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"abc")
        got = b""
        while b"abc" not in got:
            chunk = client.recv(100)
            assert chunk, got
            got += chunk
        client.sendall(b"q")
    assert machine.wait() == 0
    assert not path.exists()


COOKED = termios.ICANON | termios.ECHO | termios.ISIG


def cooked_bits(fd):
    """Which of the settings that make a terminal usable for a shell are on."""
    return termios.tcgetattr(fd)[3] & COOKED


def test_terminal_is_raw_and_given_back(guest):
    machine = guest("serial", terminal=True)
    machine.expect(b"echo\n")
    assert not cooked_bits(machine.terminal)
    machine.send(b"\x03\x1a\x1c")  # Ctrl-C, Ctrl-Z, Ctrl-\ are the guest's
    machine.expect(b"\x03\x1a\x1c")
    machine.send(b"q")
    assert machine.wait_unread(10) == 0
    assert termios.tcgetattr(machine.terminal) == machine.terminal_settings


@pytest.mark.parametrize("program, status", [("triple", 244), ("panic", 243), ("reset", 242)])
def test_terminal_is_given_back_after_a_bad_end(guest, program, status):
    machine = guest(program, terminal=True)
    assert machine.wait_unread(10) == status
    assert cooked_bits(machine.terminal) == COOKED


@pytest.mark.parametrize("number, status", [(15, 245), (1, 245), (3, 245), (11, 139)])
def test_terminal_is_given_back_after_a_signal(guest, number, status):
    machine = guest("spin", "", "--grace", 0, terminal=True)
    machine.expect(b"spinning\n")
    machine.send_signal(number)
    assert machine.wait_unread(10) == status
    assert cooked_bits(machine.terminal) == COOKED


def test_escape_quits(guest):
    machine = guest("spin", terminal=True)
    machine.expect(b"spinning\n")
    machine.send(b"\x01x")
    assert machine.wait_unread(10) == 245


def test_escape_sends_itself(guest):
    machine = guest("serial", terminal=True)
    machine.expect(b"echo\n")
    machine.send(b"<\x01a>")
    machine.expect(b"<\x01>")
    machine.send(b"q")
    assert machine.wait_unread(10) == 0


def test_escape_tells(guest):
    machine = guest("serial", terminal=True)
    machine.expect(b"echo\n")
    machine.send(b"\x01h")
    machine.expect(b"(?i)ctrl-a x")
    machine.send(b"q")
    assert machine.wait_unread(10) == 0


def test_inherited_descriptions_stay_blocking(guest):
    """O_NONBLOCK belongs to the open file, which the shell shares: mote must not set it."""
    machine = guest("serial", terminal=True)
    machine.expect(b"echo\n")
    assert os.get_blocking(machine.terminal)
    machine.send(b"q")
    assert machine.wait_unread(10) == 0


def test_a_full_pipe_blocks_no_vcpu(launch, bare):
    """Nobody reads the console: a guest that floods it, with more than mote keeps, still gets to its end."""
    machine = launch.run("--kernel", bare("serial"), "--no-acpi", "--no-entropy", "--no-balloon", "--cmdline",
                         "bare.mode=flood bare.bytes=1280K bare.exit=acpi", "--mem", "64M")  # fmt: skip
    assert machine.wait_unread(120) == 0
    # What nobody took is told: all that was printed but what the pipe holds.
    lost = int(re.search(r"mote: warning: console: the last (\d+) bytes of the guest's output are lost", machine.messages)[1])
    assert (1280 << 10) - (128 << 10) < lost <= (1280 << 10) + 200
