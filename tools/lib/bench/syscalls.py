"""System calls and page faults from exec to the first KVM_RUN, all threads."""

import collections
import re
import subprocess

from .process import BenchError, running
from .report import Row

SECTION = "syscalls"
RUNS = 5

_CALL = re.compile(r"^\d+\s+(\w+)\(")


def _trace(monitor, command, env):
    """The names of the system calls before the first KVM_RUN, in order."""
    log = env.work / f"strace-{monitor.name}"
    with running(["strace", "-f", "-qq", "-e", "signal=none", "-o", str(log), *command]) as run:
        run.read_rest(60)
    names = []
    for line in log.read_text(errors="replace").splitlines():
        call = _CALL.match(line)  # lines that resume a call do not match
        if call and call[1] == "ioctl" and "KVM_RUN" in line:
            return names
        if call:
            names.append(call[1])
    raise BenchError(f"{monitor.name}: no KVM_RUN in {log}")


def _faults(monitor, command, env):
    """Page faults of the process before its first KVM_RUN."""
    data = env.work / "perf.data"
    kvm_run = 0xAE80  # _IO(KVMIO, 0x80)
    record = ["perf", "record", "-q", "-o", str(data)]
    for event in ("exceptions:page_fault_user", "exceptions:page_fault_kernel", "syscalls:sys_enter_ioctl"):
        record += ["-e", event]
    record += ["--filter", f"cmd=={kvm_run}", "--", *command]  # the filter belongs to the last event
    with running(record) as run:
        run.read_rest(60)
    script = ["perf", "script", "-i", str(data), "-F", "comm,time,event"]
    text = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    count = 0
    # Each CPU has a buffer of its own: sort by time.
    events = [(float(line.split(":")[0].split()[-1]), line) for line in text.splitlines() if ":" in line]
    for _, line in sorted(events):
        if "sys_enter_ioctl" in line:
            return count
        count += "page_fault" in line and not line.lstrip().startswith("perf")
    raise BenchError(f"{monitor.name}: perf saw no KVM_RUN; are tracepoints readable (root, tracefs)?")


def measure(monitors, env):
    calls = Row(SECTION, "system calls to KVM_RUN", "calls", target=("value", 120))
    faults = Row(SECTION, "page faults to KVM_RUN", "faults")
    notes = []
    for monitor in monitors:
        command = env.bare_command(monitor, "hello")
        for _ in range(RUNS):
            names = _trace(monitor, command, env)
            calls.add(monitor.name, len(names))
            faults.add(monitor.name, _faults(monitor, command, env))
        common = collections.Counter(names).most_common(8)
        notes.append(f"{monitor.name}: " + ", ".join(f"{count} {name}" for name, count in common))
    calls.note = "; ".join(notes)
    return [calls, faults]
