"""Fuzz targets: each over its seeds, then some seconds further. libFuzzer, in the build with sanitizers."""
import os

from suite import builds
from suite.stage import ROOT, Outcome, describe

SECONDS = int(os.environ.get("MOTE_FUZZ_SECONDS") or 8)
SOURCES = ROOT / "tests" / "fuzz"


def _run_one(context, name):
    """What is wrong with the target `name`, or nothing. An input that crashes it stays beside the log."""
    seeds = SOURCES / "corpus" / name
    if not seeds.is_dir() or not any(seeds.iterdir()):
        return f"{name}: no seeds in {seeds.relative_to(ROOT)}"
    found = context.folder / f"fuzz-{name}"
    found.mkdir()
    target = builds.folder("asan") / "tests" / "fuzz" / f"fuzz-{name}"
    status = context.command(
        [target, f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536",
         "-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={found}/", found, seeds],
        limit=SECONDS + 120, env=builds.SANITIZER_ENV)
    if status == 0:
        return ""
    crashes = sorted(str(path) for path in found.glob("*-*") if path.name.split("-")[0] in ("crash", "timeout", "oom", "leak"))
    return f"{name}: {describe(status)}; input: {' '.join(crashes) or 'none written'}"


def run(context):
    outcome = Outcome()
    for source in sorted(SOURCES.glob("*.cpp")):
        if context.only and not any(text in source.stem for text in context.only):
            continue
        wrong = _run_one(context, source.stem)
        if wrong:
            outcome.failures.append(wrong)
        else:
            outcome.passed += 1
    if not outcome.passed and not outcome.failures:
        outcome.failures.append("no target ran")
    return outcome
