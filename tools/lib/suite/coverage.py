"""tools/fuzz --coverage: how many lines of the devices the seeds of the fuzz targets reach."""
import json
import os
import shutil

from suite import builds, fuzz
from suite.stage import ROOT

MEASURED = ROOT / "src" / "devices" / "virtio"
ENOUGH = 85  # percent of the lines, over all files


def _profile(context, build, name, folder):
    """Runs the target over its seeds alone; returns the profile it writes."""
    profile = folder / f"{name}.profraw"
    scratch = folder / name  # libFuzzer writes into its first folder
    scratch.mkdir()
    context.must([build / "tests" / "fuzz" / f"fuzz-{name}", "-runs=0", "-verbosity=0", scratch,
                  fuzz.SOURCES / "corpus" / name], limit=300, env={"LLVM_PROFILE_FILE": str(profile)})
    return profile


def _lines(context, binaries, profile):
    """{file: (lines, reached)} of what is measured."""
    report = context.folder / "coverage.json"
    objects = [word for binary in binaries[1:] for word in ("-object", str(binary))]
    context.must(["sh", "-c", 'out=$1; shift; exec "$@" > "$out"', "sh", report, "llvm-cov-19", "export", "-summary-only",
                  f"-instr-profile={profile}", binaries[0], *objects, "-sources", MEASURED])
    files = json.loads(report.read_text())["data"][0]["files"]
    return {os.path.relpath(file["filename"], MEASURED): (file["summary"]["lines"]["count"], file["summary"]["lines"]["covered"])
            for file in files}


def run(context, targets):
    """Prints a table; what is wrong, as a list."""
    # What meson tries out is instrumented too, and would leave a profile in the working directory.
    os.environ["LLVM_PROFILE_FILE"] = os.devnull
    # Nothing else links: only the targets have what answers to the fuzzer's instrumentation.
    builds.build("coverage", *(f"tests/fuzz/fuzz-{name}" for name in targets))(context)
    build = builds.folder("coverage")
    folder = context.folder / "profiles"
    folder.mkdir()
    profiles = [_profile(context, build, name, folder) for name in targets]
    merged = folder / "merged.profdata"
    context.must(["llvm-profdata-19", "merge", "-sparse", "-o", merged, *profiles])
    lines = _lines(context, [build / "tests" / "fuzz" / f"fuzz-{name}" for name in targets], merged)
    shutil.rmtree(folder)
    for file, (count, reached) in sorted(lines.items(), key=lambda item: item[1][1] / max(item[1][0], 1)):
        print(f"{100 * reached / max(count, 1):6.1f} %  {reached:5} of {count:5}  {file}")
    count = sum(count for count, _ in lines.values())
    reached = sum(reached for _, reached in lines.values())
    percent = 100 * reached / max(count, 1)
    print(f"{percent:6.1f} %  {reached:5} of {count:5}  {MEASURED.relative_to(ROOT)}, by the seeds of {len(targets)} targets")
    return [] if percent >= ENOUGH else [f"less than {ENOUGH} % of the lines"]
