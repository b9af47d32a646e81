"""Running a monitor: never left behind, its output timed, its threads looked at."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path


class BenchError(Exception):
    """A measurement that could not be made; the text says what and why."""


class Running:
    """A monitor's process with its output in a pipe."""

    def __init__(self, command, stderr, realtime, console_input):
        self.command, self.stderr = command, stderr
        self.started = time.monotonic()
        if realtime:
            command = ["chrt", "-f", "1", *command]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE if console_input else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=stderr, start_new_session=True,
        )  # fmt: skip
        self.output = b""

    @property
    def pid(self):
        return self.process.pid

    def _printed(self):
        self.stderr.seek(0)
        return f"it printed {self.output[-500:]!r} and {self.stderr.read()[-500:]!r}"

    def type(self, data):
        """Sends `data` to the guest's console."""
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read_until(self, text, timeout):
        """Reads on until `text` has come; returns the time of the read that brought it."""
        deadline = time.monotonic() + timeout
        pipe = self.process.stdout.fileno()
        while text not in self.output:
            ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(pipe, 65536) if ready else b""
            now = time.monotonic()
            if not chunk:
                why = "timed out" if not ready else f"ended (status {self.process.wait()})"
                raise BenchError(f"{self.command[0]}: {why} before {text!r}; {self._printed()}")
            self.output += chunk
        return now

    def read_rest(self, timeout):
        """Waits for the end; returns the exit status."""
        deadline = time.monotonic() + timeout
        pipe = self.process.stdout.fileno()
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise BenchError(f"{self.command[0]}: still runs after {timeout} s")
            chunk = os.read(pipe, 65536)
            if not chunk:
                return self.process.wait(timeout=max(1, deadline - time.monotonic()))
            self.output += chunk


@contextlib.contextmanager
def running(command, realtime=False, console_input=False):
    """Starts `command`; whatever happens, the process and its children are gone afterwards. With `realtime` it goes
    before all other programs of the machine."""
    with tempfile.TemporaryFile() as stderr:
        run = Running(command, stderr, realtime, console_input)
        try:
            yield run
        finally:
            if run.process.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.process.wait()
            run.process.stdout.close()
            if run.process.stdin:
                run.process.stdin.close()


def threads(pid):
    """{thread id: name} of a process."""
    names = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            names[int(task.name)] = (task / "comm").read_text().strip()
    return names


def cpu_nanoseconds(pid, thread_ids):
    """CPU time that the threads used so far."""
    total = 0
    for tid in thread_ids:
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{pid}/task/{tid}/schedstat").read_text().split()[0])
    return total


def pin(pid, is_vcpu, realtime=False):
    """Puts the vCPU thread on the last CPU and all others on the first; returns the others' ids. With `realtime`
    other programs of the machine do not run in between."""
    cpus = sorted(os.sched_getaffinity(0))
    others = []
    for tid, name in threads(pid).items():
        with contextlib.suppress(OSError):
            os.sched_setaffinity(tid, {cpus[-1] if is_vcpu(name) else cpus[0]})
            if realtime:
                os.sched_setscheduler(tid, os.SCHED_FIFO, os.sched_param(1))
        if not is_vcpu(name):
            others.append(tid)
    return others
