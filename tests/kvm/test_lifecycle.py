"""How a machine starts and ends, and what status tells it."""

import os
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
