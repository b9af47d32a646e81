"""pytest suites: on this machine, or all in one start of the lab where this machine cannot run them."""
import os
import subprocess
import sys

from suite import builds, results
from suite.stage import ROOT, Outcome

LAB_MEMORY_MIB = 7168  # a test boots a guest of 5 GiB
LAB_MEMORY_SMALL_MIB = 3072
LAB_PATIENCE = "10"  # what a time limit is multiplied by in the lab
LAB_LIMIT = 2400  # seconds


def mote():
    return ROOT / "build" / "mote"


def kvm_usable():
    """True where bare guests can run: /dev/kvm is there and may be opened."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def linux_can_run():
    """(True, "") where Linux runs on this machine's /dev/kvm, else (False, the reason)."""
    done = subprocess.run([mote(), "check", "--quiet"], capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout.strip()


def _arguments(context, tests, marks, report):
    arguments = [sys.executable, "-B", "-m", "pytest", "-v", "-rs", "-p", "no:cacheprovider", f"--junitxml={report}",
                 "-c", ROOT / "tests" / "pytest.ini", *(ROOT / test for test in tests)]
    if marks:
        arguments += ["-m", marks]
    if context.only:
        arguments += ["-k", " or ".join(context.only)]
    return arguments


def _environment():
    return {"MOTE": str(mote()), "MOTE_BARE": str(ROOT / "build" / "guest" / "bare"),
            "MOTE_CACHE": os.environ["MOTE_CACHE"], "PYTHONDONTWRITEBYTECODE": "1", "MOTE_PACKAGES": "skip"}


def here(context, tests, marks="", limit=1500):
    """Runs `tests` on this machine."""
    report = context.folder / f"{context.name}.xml"
    status = context.command(_arguments(context, tests, marks, report), limit=limit, env=_environment())
    return results.junit(report, status)


def in_lab(context, tests, marks=""):
    """Runs `tests` in one lab; `out` is the only folder whose writes come back."""
    out = context.folder / f"{context.name}-out"
    out.mkdir()
    report = out / "report.xml"
    memory = LAB_MEMORY_MIB if _memory_free_mib() > LAB_MEMORY_MIB + 2048 else LAB_MEMORY_SMALL_MIB
    variables = [f"{name}={value}" for name, value in {**_environment(), "MOTE_TEST_PATIENCE": LAB_PATIENCE}.items()]
    status = context.command(["tools/lab", "--mem", memory, "--out", out, "--timeout", LAB_LIMIT, "--",
                              "env", *variables, *_arguments(context, tests, marks, report)], limit=LAB_LIMIT + 300)
    return results.junit(report, status)


def _memory_free_mib():
    with open("/proc/meminfo", encoding="ascii") as lines:
        values = dict(line.split(":") for line in lines)
    return int(values["MemAvailable"].split()[0]) // 1024


def kvm(context):
    """tests/kvm: bare guests, on any kind of /dev/kvm; in the lab where there is none."""
    return here(context, ["tests/kvm"]) if kvm_usable() else in_lab(context, ["tests/kvm"])


def kvm_unit(context):
    """Tests of src/kvm and src/vmm with guests of a few bytes (Catch2)."""
    report = context.folder / f"{context.name}-out"
    report.mkdir()
    file = report / "report.xml"
    command = [builds.folder("gcc") / "tests" / "kvm_unit" / "kvm-unit-tests", "-r", "xml", "-o", file]
    if not kvm_usable():
        command = ["tools/lab", "--out", report, "--", *command]
    return results.catch2(file, context.command(command, limit=600))


def e2e(context):
    """tests/e2e: Linux guests. Tests marked `host` stay here: they start the lab themselves or need none."""
    able, reason = linux_can_run()
    if able:
        return here(context, ["tests/e2e"], "not host")
    with open(context.log, "a", encoding="utf-8") as log:
        log.write(f"in the lab: {reason}\n")
    return in_lab(context, ["tests/e2e"], "not host")


def e2e_host(context):
    return here(context, ["tests/e2e"], "host")


def images(context):
    """Makes, or finds in the cache, what the guests boot from."""
    for script in ("guest/lab/build", "guest/rootfs/build", "guest/kernel/build"):
        context.must([script], limit=1800)
    context.must(["bash", "-c", 'folder=$(guest/debian-kernel/fetch) && guest/initramfs/build "$folder"'])
    return Outcome(passed=1)
