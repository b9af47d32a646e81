"""Runs in the lab: boots what the plan says, counts, and prints one JSON object for each boot."""

import json
import os
import signal
import subprocess
import sys
import time

EVENTS = {"kvm:kvm_exit": "exits", "kvm:kvm_userspace_exit": "user exits"}
LIMIT = 300  # seconds of the lab's clock for one boot


def counted(command, log):
    """One boot with exits counted by tracepoints: {name: count}."""
    counts = "/tmp/counts"
    perf = ["perf", "stat", "-a", "-x", ",", "-o", counts, "-e", ",".join(EVENTS), "--", *command]
    with open(log, "wb") as out:
        subprocess.run(perf, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=LIMIT)
    found = {}
    with open(counts, encoding="ascii") as lines:
        for line in lines:
            fields = line.split(",")
            if len(fields) > 2 and fields[2] in EVENTS:
                found[EVENTS[fields[2]]] = int(fields[0])
    if len(found) != len(EVENTS):
        raise RuntimeError("perf stat counted nothing: is tracefs mounted?")
    return found


def timed(command, log):
    """One boot, from exec to exit, in millions of nanoseconds: of instructions, under -icount."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    signal.alarm(LIMIT)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
    begin = time.monotonic_ns()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    os.waitpid(pid, 0)
    end = time.monotonic_ns()
    signal.alarm(0)
    os.close(out)
    os.close(null)
    return {"instructions": (end - begin) / 1e6}


def main(path):
    with open(path, encoding="utf-8") as text:
        plan = json.load(text)
    if not os.path.exists("/sys/kernel/tracing/events"):
        subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"], check=True)
    log = "/tmp/output"
    # The first boots read files over virtiofs into the lab's page cache: they do not count. The very first of all
    # also shows in its console whether this kernel gets to its init under this monitor.
    for run in plan:
        if run["expected"]:
            timed(run["command"], log)
            with open(log, "rb") as output:
                text = output.read().decode(errors="replace")
            if run["expected"] not in text:
                raise SystemExit(f"{run['monitor']}: the guest did not get to its init: {text[-1500:]}")
    for number in range(max(run["rounds"] for run in plan)):
        for run in plan:
            if number < run["rounds"]:
                sample = {"monitor": run["monitor"], "variant": run["variant"]}
                print(json.dumps(sample | timed(run["command"], log) | counted(run["command"], log)), flush=True)


main(sys.argv[1])
