"""tools/fuzz: the fuzz targets for minutes or hours, and whether they find bugs that were planted."""
import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from suite import builds, coverage, fuzz
from suite.stage import ROOT, Context, StageFailed, end_all

PLANTED = ROOT / "tests" / "fuzz" / "planted"
PLANTED_LIMIT = 300  # seconds in which a planted bug has to be found


def arguments():
    parser = argparse.ArgumentParser(
        prog="tools/fuzz", description="Run the fuzz targets in turn over all CPUs, each for its share of the time. "
        "What they find interesting is kept in the cache, and the next run goes on from there.",
        epilog="Targets: " + " ".join(fuzz.targets()) + ". Status 1: something was found (or a planted bug was not).")
    parser.add_argument("--minutes", type=float, default=30, help="for all targets together (default 30)")
    parser.add_argument("--planted", action="store_true",
                        help="instead: plant each bug of tests/fuzz/planted in a copy, and see that it is found")
    parser.add_argument("--coverage", action="store_true",
                        help="instead: tell how many lines of src/devices/virtio the seeds reach; fails below 85 %%")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="some targets, or planted bugs, only")
    options = parser.parse_args()
    known = [path.stem for path in PLANTED.glob("*.patch")] if options.planted else fuzz.targets()
    for name in options.targets:
        if name not in known:
            parser.error(f"no {'planted bug' if options.planted else 'target'} '{name}'; there are: {' '.join(sorted(known))}")
    options.targets = options.targets or sorted(known)
    return options


def cache(name):
    folder = Path(os.environ["MOTE_CACHE"]) / "fuzz" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_long(context, options):
    """The findings of all targets."""
    builds.build("asan")(context)
    cores = os.cpu_count() or 1
    seconds = max(1, round(options.minutes * 60 * cores / len(options.targets)))
    print(f"fuzz: {len(options.targets)} targets, {seconds} s each, {cores} at a time", flush=True)

    def one(name):
        wrong = fuzz.run_target(Context(name, context.folder, []), name, seconds, found=cache(name))
        print(f"fuzz: {wrong or name + ': nothing found'}", flush=True)
        return wrong

    with ThreadPoolExecutor(cores) as pool:
        return [wrong for wrong in pool.map(one, options.targets) if wrong]


def copy_sources(tree):
    """The sources as they are now; files that are the same keep their times, for the build."""
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, files.stdout.decode().split("\0")):
        source, copy = ROOT / name, tree / name
        if source.is_file() and not (copy.is_file() and copy.read_bytes() == source.read_bytes()):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)


def run_planted(context, options):
    """The planted bugs that were not found."""
    folder = cache("planted")
    tree, build = folder / "tree", folder / "build"
    missed = []
    for name in options.targets:
        patch = PLANTED / f"{name}.patch"
        target = patch.read_text(encoding="utf-8").splitlines()[0].removeprefix("Target: ")
        copy_sources(tree)
        context.must(["patch", "-p0", "--no-backup-if-mismatch", "-i", patch], cwd=tree)
        env, specific = builds.BUILDS["asan"]
        if not (build / "build.ninja").exists():
            context.must(["meson", "setup", build, tree, *builds.COMMON, *specific, "-Dwerror=false", "-Dtests=false"], env=env)
        context.must(["ninja", "-C", build, f"tests/fuzz/fuzz-{target}"])
        begin = time.monotonic()
        found = fuzz.run_target(context, target, PLANTED_LIMIT, build=build)
        print(f"fuzz: {name}: " + (f"found after {time.monotonic() - begin:.0f} s" if found else "NOT FOUND"), flush=True)
        if not found:
            missed.append(name)
        shutil.rmtree(context.folder / f"fuzz-{target}")
    return missed


def main():
    options = arguments()
    folder = cache("logs") / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir()
    context = Context("fuzz", folder, [])
    try:
        if options.coverage:
            wrong = coverage.run(context, options.targets)
        else:
            wrong = run_planted(context, options) if options.planted else run_long(context, options)
    except StageFailed as failure:
        sys.exit(f"tools/fuzz: {failure}; log: {context.log}")
    finally:
        end_all()
    print(f"fuzz: {len(options.targets)} run, {len(wrong)} failed; logs: {folder}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
