"""A running `mote run`: its console, its messages, its end. Nothing started here outlives its test."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

PATIENCE = float(os.environ.get("MOTE_TEST_PATIENCE", "1"))  # what every limit is multiplied by; the lab needs more
LIMIT = 30  # seconds


def _status(code):
    return 128 - code if code < 0 else code


class Machine:
    """One process. `console` holds all bytes the guest has printed so far."""

    def __init__(self, process, reader, writer, log):
        self.process, self._reader, self._writer, self._log = process, reader, writer, log
        self.console = b""

    @property
    def pid(self):
        return self.process.pid

    @property
    def messages(self):
        """What mote itself has printed to its standard error."""
        return self._log.read_text(errors="replace")

    def _state(self):
        return f"console: {self.console[-2000:]!r}, messages: {self.messages!r}"

    def _read_more(self, deadline):
        """Adds what has come to `console`; False at the end of the stream. A time-out fails the test."""
        ready, _, _ = select.select([self._reader], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"timed out; {self._state()}")
        try:
            chunk = os.read(self._reader, 65536)
        except OSError:  # a pty whose other side is closed
            chunk = b""
        self.console += chunk
        return bool(chunk)

    def expect(self, text, limit=LIMIT):
        """Waits until `text` (bytes, a regular expression) is on the console; returns the match."""
        deadline = time.monotonic() + limit * PATIENCE
        while not (match := re.search(text, self.console)):
            if not self._read_more(deadline):
                raise AssertionError(f"ended without {text!r}; {self._state()}")
        return match

    def send(self, data):
        """Types `data`, all of it."""
        while data:
            data = data[os.write(self._writer, data) :]

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit=LIMIT):
        """Reads the console to its end; returns the exit status (128 + n for a signal)."""
        deadline = time.monotonic() + limit * PATIENCE
        if self._reader is not None:
            while self._read_more(deadline):
                pass
        return _status(self.process.wait(timeout=max(1.0, deadline - time.monotonic())))

    def wait_unread(self, limit=LIMIT):
        """Waits for the end without reading the console; returns the exit status."""
        return _status(self.process.wait(timeout=limit * PATIENCE))

    def foreground_group(self):
        """The process group in the foreground of the terminal."""
        return struct.unpack("i", fcntl.ioctl(self._reader, termios.TIOCGPGRP, bytes(4)))[0]

    def lines(self, prefix):
        """The console's lines that start with the word `prefix`, as text."""
        text = self.console.decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.startswith(prefix + " ")]

    def result(self):
        """The pairs of the guest's line `result key=value ...` as a dictionary."""
        found = self.lines("result")
        assert len(found) == 1, self._state()
        return dict(re.findall(r"(\S+)=(\S+)", found[0]))

    def good(self, **expected):
        """Waits for a bare guest's end without a device that needs a reset; returns its result, which has `expected`."""
        assert self.wait(60) == 0, self.messages
        result = self.result()
        assert result["needs-reset"] == "0", result
        for key, value in expected.items():
            assert result[key] == str(value), result
        return result

    def without_errors(self, **expected):
        """The same for a run of guest/bare/block.c, in which no request failed and no data was wrong."""
        assert self.wait(120) == 0, self.messages
        result = self.result()
        assert result.get("errors", "0") == "0" and result.get("mismatches", "0") == "0", result
        for key, value in expected.items():
            assert result[key] == str(value), result
        return result

    def memory_given_back(self, measure):
        """Follows a run of guest/bare/balloon.c to its end; returns how much of what measure(PID) counts went, and came again."""
        sizes = []
        for mark in (b"full\n", b"given\n", b"again\n"):
            self.expect(mark)
            sizes.append(measure(self.pid))
            self.send(b".")
        assert self.wait() == 0, self.messages
        full, given, again = sizes
        return full - given, again - given

    def close(self):
        """Kills the process and its children, closes our ends."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        for fd in {self._reader, self._writer} - {None}:
            with contextlib.suppress(OSError):
                os.close(fd)


class Launcher:
    """Starts machines for one test and ends them all with it."""

    def __init__(self, mote, folder):
        self.mote, self.folder = mote, folder
        self._machines = []

    def _log(self):
        return self.folder / f"messages-{len(self._machines)}.txt"

    def _keep(self, machine):
        self._machines.append(machine)
        return machine

    def command(self, *arguments):
        return [str(self.mote), "run", *map(str, arguments)]

    @staticmethod
    def _popen(command, log, errors=None, **streams):
        with open(log, "wb") as file:
            errors = file if errors is None else errors
            return subprocess.Popen(command, stderr=errors, start_new_session=True, **streams)

    def run(self, *arguments, errors=None):
        """`mote run ARGUMENTS` with pipes as standard input and output. `errors`: another standard error than a file."""
        log = self._log()
        process = self._popen(self.command(*arguments), log, errors, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        reader, writer = os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno())
        process.stdout.close()
        process.stdin.close()
        return self._keep(Machine(process, reader, writer, log))

    def run_on_terminal(self, *arguments, rows=24, columns=80, errors=None):
        """The same on a terminal of its own; the slave's side stays open for settings to be looked at. `errors`:
        "terminal" puts standard error there too."""
        return self._on_terminal(self.command(*arguments), rows, columns, errors)

    def shell_on_terminal(self):
        """An interactive bash, with job control, on a terminal of its own."""
        return self._on_terminal(["bash", "--norc", "--noprofile", "-i"], 24, 200)

    def _on_terminal(self, command, rows, columns, errors=None):
        log = self._log()
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

        settings = termios.tcgetattr(slave)

        def become_foreground():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        errors = slave if errors == "terminal" else errors
        process = self._popen(command, log, errors, stdin=slave, stdout=slave, preexec_fn=become_foreground)
        machine = self._keep(Machine(process, master, master, log))
        machine.terminal = slave
        machine.terminal_settings = settings  # those that mote must give back
        return machine

    def refuse(self, *arguments, status=240, limit=LIMIT):
        """Runs mote to its end, which must be `status` with one line on standard error; returns the line."""
        done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, timeout=limit * PATIENCE)
        text = done.stderr.decode()
        assert done.returncode == status, f"status {done.returncode}, not {status}: {text}"
        assert text.count("\n") == 1 and text.endswith("\n"), f"not one line: {text!r}"
        assert done.stdout == b"", done.stdout
        return text.strip()

    def close(self):
        for machine in self._machines:
            machine.close()
            if hasattr(machine, "terminal"):
                os.close(machine.terminal)
