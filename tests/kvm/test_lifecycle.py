"""How a machine starts and ends, and what status tells it."""

import os
import select
import signal
import time

import pytest


def test_hello(guest):
    machine = guest("hello")
    assert machine.wait() == 0
    assert machine.console == b"hello\n"
    assert machine.messages == ""


@pytest.mark.parametrize("program, status", [("poweroff", 0), ("reset", 242), ("panic", 243), ("triple", 244)])
def test_exit_status(guest, program, status):
    machine = guest(program)
    assert machine.wait() == status
    assert machine.console == b""
    assert machine.messages.count("\n") == (0 if status == 0 else 1)


@pytest.mark.parametrize("program, status", [("poweroff", 0), ("reset", 242), ("panic", 243), ("triple", 244)])
def test_exit_status_without_console(guest, program, status):
    assert guest(program, "", "--console", "off").wait() == status


@pytest.mark.parametrize("cpus", [1, 2, 4, 32])
def test_ends_with_idle_cpus(guest, cpus):
    """CPUs that the guest never starts do not keep mote from ending."""
    machine = guest("hello", "", "--cpus", cpus)
    assert machine.wait() == 0
    assert machine.console == b"hello\n"


def test_power_button(guest):
    machine = guest("button")
    machine.expect(b"waiting\n")
    machine.send_signal(signal.SIGTERM)
    machine.expect(rb"button events=[1-9]")
    assert machine.wait() == 0


def test_grace_time(guest):
    """A guest that ignores the button ends when the grace time is over, and not before."""
    machine = guest("spin", "", "--grace", 1)
    machine.expect(b"spinning\n")
    began = time.monotonic()
    machine.send_signal(signal.SIGTERM)
    assert machine.wait() == 245
    assert 0.9 < time.monotonic() - began < 10


def test_second_sigterm_ends_at_once(guest):
    machine = guest("spin", "", "--grace", 100)
    machine.expect(b"spinning\n")
    machine.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert machine.process.poll() is None
    machine.send_signal(signal.SIGTERM)
    assert machine.wait(10) == 245


def test_sigquit_ends_at_once(guest):
    machine = guest("spin", "", "--grace", 100)
    machine.expect(b"spinning\n")
    machine.send_signal(signal.SIGQUIT)
    assert machine.wait(10) == 245


@pytest.mark.parametrize("signals", [[signal.SIGQUIT], [signal.SIGTERM, signal.SIGTERM]])
def test_ends_with_standard_error_full(guest, full_pipe, signals):
    """Nobody reads what mote says: it ends all the same."""
    machine = guest("spin", "", "--grace", 100, errors=full_pipe)
    machine.expect(b"spinning\n")
    for number in signals:
        machine.send_signal(number)
        time.sleep(0.2)
    assert machine.wait(10) == 245


def test_a_failed_start_ends_with_standard_error_full(launch, tmp_path, full_pipe):
    """The same where the machine cannot even be made."""
    kernel = tmp_path / "noise"
    kernel.write_bytes(b"noise" * 4096)
    machine = launch.run("--kernel", kernel, errors=full_pipe)
    time.sleep(1)
    machine.send_signal(signal.SIGTERM)
    assert machine.wait(10) == 240


def test_ends_on_a_terminal_that_nobody_reads(guest):
    """The guest has filled the terminal, which is standard error too."""
    machine = guest("serial", "bare.mode=flood bare.bytes=1G", terminal=True, errors="terminal")
    deadline = time.monotonic() + 30
    while select.select([], [machine.terminal], [], 0)[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    machine.send_signal(signal.SIGQUIT)
    assert machine.wait_unread(10) == 245


def test_no_thread_is_left_spinning(guest):
    """A guest that waits for its console costs mote's own threads nothing."""
    machine = guest("spin")
    machine.expect(b"spinning\n")
    tasks = f"/proc/{machine.pid}/task"

    def own_cpu_time():
        total = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/comm") as name:
                if name.read().startswith("vcpu"):
                    continue
            with open(f"{tasks}/{task}/schedstat") as times:
                total += int(times.read().split()[0])
        return total

    before = own_cpu_time()
    time.sleep(1)
    assert own_cpu_time() - before < 50_000_000  # nanoseconds
    machine.send_signal(signal.SIGQUIT)
    assert machine.wait(10) == 245
