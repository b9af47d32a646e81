"""mote under a shell's job control: stopped, in the background, and in the foreground again."""

import os
import shlex
import signal
import termios
import time

import pytest

PROMPT = b"ready[$] "


@pytest.fixture
def shell(launch, bare):
    """A bash whose function `guest` runs the guest that echoes its console. It edits no lines: its terminal is cooked."""
    found = launch.shell_on_terminal()
    command = launch.command("--kernel", bare("serial"), "--cmdline", "bare.exit=acpi", "--no-acpi", "--no-entropy", "--no-balloon",
                             "--mem", "64M")  # fmt: skip
    found.send(f"exec 2>&1; set +o emacs; guest() {{ exec {shlex.join(command)}; }}; PS1='ready'$'$ '\n".encode())
    found.expect(PROMPT)
    yield found
    found.send(b"exit\n")


def run(shell, line, answer):
    """Types `line`; waits for `answer` in what comes from then on."""
    shell.console = b""
    shell.send(line)
    return shell.expect(answer)


def guest_has_terminal(shell):
    return not termios.tcgetattr(shell.terminal)[3] & termios.ICANON


def until_guest_has_terminal(shell):
    end = time.monotonic() + 10
    while not guest_has_terminal(shell):
        assert time.monotonic() < end, "the terminal never became raw"
        time.sleep(0.02)


def stop(shell):
    """Ctrl-Z is the guest's, so who stops mote does it from elsewhere."""
    shell.console = b""
    os.killpg(shell.foreground_group(), signal.SIGTSTP)
    shell.expect(b"Stopped")
    shell.expect(PROMPT)
    assert not guest_has_terminal(shell)


def to_foreground_and_end(shell):
    """The guest gets what is typed again, and at its end the shell has its terminal back."""
    shell.send(b"fg\n")
    until_guest_has_terminal(shell)
    run(shell, b"typed", b"typed")
    run(shell, b"q", PROMPT)
    assert run(shell, b"echo status=$?=\n", rb"status=(\d+)=")[1] == b"0"
    assert not guest_has_terminal(shell)


def test_stopped_and_continued(shell):
    run(shell, b"(guest)\n", b"echo\n")
    until_guest_has_terminal(shell)
    stop(shell)
    to_foreground_and_end(shell)


def test_started_in_the_background(shell):
    run(shell, b"(guest) &\n", b"echo\r\n")
    time.sleep(0.5)
    assert not guest_has_terminal(shell)
    run(shell, b"jobs\n", b"Running")
    to_foreground_and_end(shell)


def test_goes_on_in_the_background(shell):
    run(shell, b"(guest)\n", b"echo\n")
    until_guest_has_terminal(shell)
    stop(shell)
    run(shell, b"bg\n", PROMPT)
    time.sleep(0.5)
    assert not guest_has_terminal(shell)
    run(shell, b"jobs\n", b"Running")
    to_foreground_and_end(shell)
