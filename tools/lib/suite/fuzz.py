"""Fuzz targets: each over its seeds, then some seconds further. libFuzzer, in the build with sanitizers."""
import os

from suite import builds
from suite.stage import ROOT, Outcome, describe

SECONDS = int(os.environ.get("MOTE_FUZZ_SECONDS") or 8)
SOURCES = ROOT / "tests" / "fuzz"


def targets():
    return sorted(source.stem for source in SOURCES.glob("*.cpp"))


def run_target(context, name, seconds, build=None, found=None):
    """What is wrong with the target `name` after `seconds`, or nothing. New inputs are added to the folder `found`;
    one that crashes the target stays beside the log."""
    seeds = SOURCES / "corpus" / name
    if not seeds.is_dir() or not any(seeds.iterdir()):
        return f"{name}: no seeds in {seeds.relative_to(ROOT)}"
    crashes = context.folder / f"fuzz-{name}"
    crashes.mkdir(exist_ok=True)
    target = (build or builds.folder("asan")) / "tests" / "fuzz" / f"fuzz-{name}"
    status = context.command(
        [target, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536",
         "-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={crashes}/", found or crashes, seeds],
        limit=seconds + 120, env=builds.SANITIZER_ENV)
    if status == 0:
        return ""
    kinds = ("crash", "timeout", "oom", "leak")
    inputs = sorted(str(path) for path in crashes.glob("*-*") if path.name.split("-")[0] in kinds)
    return f"{name}: {describe(status)}; input: {' '.join(inputs) or 'none written'}"


def run(context):
    outcome = Outcome()
    for name in targets():
        if context.only and not any(text in name for text in context.only):
            continue
        wrong = run_target(context, name, SECONDS)
        if wrong:
            outcome.failures.append(wrong)
        else:
            outcome.passed += 1
    if not outcome.passed and not outcome.failures:
        outcome.failures.append("no target ran")
    return outcome
