"""tools/test: the whole test suite of mote."""
import argparse
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

from suite.plan import plan
from suite.schedule import Schedule
from suite.stage import end_all

KEPT_RUNS = 5


def arguments(stages):
    parser = argparse.ArgumentParser(
        prog="tools/test", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run every test of mote, or the stages NAME (with what they need).",
        epilog="Stages:\n" + "\n".join(f"  {s.name:12} {s.title}" for s in stages)
        + "\n\nNAME:TEXT runs the tests of a stage whose name contains TEXT.")
    parser.add_argument("--quick", action="store_true", help="only what takes a minute or two")
    parser.add_argument("--list", action="store_true", help="print the names of the stages")
    parser.add_argument("names", nargs="*", metavar="NAME")
    return parser.parse_args()


def chosen(stages, options):
    """The stages to run, with all that they need, and the names of tests asked for in each."""
    by_name = {stage.name: stage for stage in stages}
    only = {}
    for name in options.names:
        stage, _, test = name.partition(":")
        if stage not in by_name:
            sys.exit(f"tools/test: no stage '{stage}'; there are: {' '.join(by_name)}")
        only.setdefault(stage, [])
        if test:
            only[stage].append(test)
    wanted = set(only) or {stage.name for stage in stages if stage.quick or not options.quick}
    pending = list(wanted)
    while pending:
        for need in by_name[pending.pop()].needs:
            if need not in wanted:
                wanted.add(need)
                pending.append(need)
    return [stage for stage in stages if stage.name in wanted], only


def log_folder():
    """A fresh folder for logs in the cache; those of the last few runs stay."""
    root = Path(os.environ["MOTE_CACHE"]) / "test-logs"
    root.mkdir(parents=True, exist_ok=True)
    for old in sorted(root.iterdir())[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    folder = root / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    folder.mkdir()
    return folder


def take_signals():
    """SIGTERM ends this program in order. What was ignored when it started (in the background, by nohup) stays
    without effect on it, but not on the programs under test: a handler is not inherited, ignoring is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def main():
    cores = os.cpu_count() or 1
    stages = plan(cores)
    options = arguments(stages)
    if options.list:
        print("\n".join(stage.name for stage in stages))
        return 0
    selection, only = chosen(stages, options)
    folder = log_folder()
    began = time.monotonic()
    # One more than there are: the lab waits now and then, and so does a build at its links.
    take_signals()
    try:
        results = Schedule(selection, cores + 1, folder, only).run()
    finally:
        end_all()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\ntook {time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time; logs: {folder}")
    for name, outcome in results.items():
        for line in outcome.skips:
            print(f"skipped {name}: {line}")
        for line in outcome.failures:
            print(f"FAILED {name}: {line.splitlines()[0]}")
    failed = sum(len(outcome.failures) for outcome in results.values())
    skipped = sum(len(outcome.skips) for outcome in results.values())
    print(f"{sum(outcome.passed for outcome in results.values())} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
