"""KVM exits, user-space exits and instructions of one boot to init and its end, counted in the lab.

The lab's clock counts instructions (-icount): two runs differ by a few per cent at most. Monitors take turns
in one lab, so that they share what varies between labs.
"""

import json
import subprocess
import sys

from . import monitors as kinds
from .process import BenchError
from .report import Row

SECTION = "boot"
RUNS = 5
MEM_MIB = 128

# What Firecracker's boots of such a kernel cost when the targets were set; its own figures are measured anew.
TARGETS = {"user exits": ("value", 40), "exits": ("ratio", 0.95), "instructions": ("ratio", 0.80)}


# What a kernel says before it starts init: a boot with the console on must come this far.
EXPECTED = "Run /init as init process"


def variants(monitor):
    """[(label, words for the kernel, console on?, extra options)]: the plain boot first."""
    quiet = "" if monitor.name == kinds.Mote.name else "8250.nr_uarts=0"
    found = [("", quiet, False, ()), ("console", "console=ttyS0", True, ())]
    if monitor.name == kinds.Mote.name:
        found += [("entropy", quiet, False, ("--entropy",)), ("balloon", quiet, False, ("--balloon",)),
                  ("no pvpanic", quiet, False, ("--no-pvpanic",))]
    return found


def _command(monitor, env, label, words, console, extra):
    folder = env.work / monitor.name / (label.replace(" ", "-") or "plain")
    folder.mkdir(parents=True, exist_ok=True)
    cmdline = f"{monitor.linux_args} {words} root=/dev/vda ro init=/init end={monitor.linux_end}"
    return monitor.command(folder, env.linux_kernel(), " ".join(cmdline.split()), disk=env.root_disk(),
                           mem_mib=MEM_MIB, console=console, extra=extra)  # fmt: skip


def _plan(monitors, env, runs):
    """What the lab is to boot. Only the plain boot is repeated: it alone has targets that are ratios."""
    plan = []
    for monitor in monitors:
        for label, words, console, extra in variants(monitor):
            plan.append({
                "monitor": monitor.name,
                "variant": label,
                "command": _command(monitor, env, label, words, console, extra),
                "rounds": 1 if label else runs,
                "expected": EXPECTED if console else "",
            })  # fmt: skip
    return plan


def measure(monitors, env):
    plan = env.work / "boot-plan.json"
    plan.write_text(json.dumps(_plan(monitors, env, RUNS)))
    lab = [str(env.root / "tools" / "lab"), "--icount", "--mem", "3072", "--timeout", "3000", "--"]
    inner = [sys.executable, str(env.root / "tools" / "lib" / "bench" / "in_lab.py"), str(plan)]
    result = subprocess.run([*lab, *inner], capture_output=True, text=True)
    if result.returncode != 0:
        raise BenchError(f"boot: the lab run failed (status {result.returncode}): {result.stderr.strip()[-800:]}")
    return rows_of([json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")])


def rows_of(samples):
    """Rows of the plain boot, of the boot with its console, then what each further device adds in user-space exits."""
    rows, added = {}, {}
    for variant, suffix in (("", ""), ("console", ", console on")):
        for name in TARGETS:
            unit = "millions" if name == "instructions" else "exits"
            rows[variant, name] = Row(SECTION, name + suffix, unit, target=None if variant else TARGETS[name])
    for sample in samples:
        for name in TARGETS:
            if (sample["variant"], name) in rows:
                rows[sample["variant"], name].add(sample["monitor"], sample[name])
    plain = rows["", "user exits"].median(kinds.Mote.name)
    for sample in samples:
        device = sample["variant"].removeprefix("no ")
        if sample["monitor"] == kinds.Mote.name and (sample["variant"], "exits") not in rows:
            sign = -1 if sample["variant"].startswith("no ") else 1
            name = f"user exits that {device} adds"
            row = added.setdefault(device, Row(SECTION, name, "exits", target=("value", 25)))
            row.add(kinds.Mote.name, sign * (sample["user exits"] - plain))
    return [*rows.values(), *added.values()]
