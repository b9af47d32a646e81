"""tools/check: everything that can be said about the sources without running them."""
import argparse
import sys
import tempfile
import time
from pathlib import Path

from check import clang, docs, scripts, shape
from suite import builds
from suite.stage import Context, StageFailed


def _build(name):
    """GCC's and clang's warning walls: the build of everything, warnings being errors."""
    with tempfile.TemporaryDirectory() as folder:
        context = Context(f"build-{name}", Path(folder), [])
        try:
            builds.build(name)(context)
        except StageFailed as error:
            yield f"build-{name}:1: {error}"
            yield from context.log.read_text(errors="replace").splitlines()[-40:]


def _tidy(options):
    findings = list(_build("asan"))
    return findings or clang.Tidy(options.fix, options.changed).run()


# name: (what it looks at, whether it is quick, the function)
CHECKS = {
    "includes": ("includes point downwards only", True, lambda options: scripts.includes()),
    "layout": ("C and C++ as clang-format lays it out", True, lambda options: clang.layout(options.fix)),
    "text": ("blanks, tabs, include guards, no #if for architectures", True, lambda options: shape.text(options.fix)),
    "sizes": ("files of at most 500 lines", True, lambda options: shape.sizes()),
    "functions": ("functions of at most 60 lines", True, lambda options: shape.functions()),
    "executable": ("scripts can be executed, other files cannot", True, lambda options: scripts.executable()),
    "shell": ("bash -n, shellcheck", True, lambda options: scripts.shell()),
    "python": ("pyflakes", True, lambda options: scripts.python()),
    "links": ("links of the documentation", True, lambda options: docs.links()),
    "promises": ("each promise names a test that is there", True, lambda options: docs.promises()),
    "gcc": ("everything builds with GCC, warnings being errors", False, lambda options: _build("gcc")),
    "clang": ("everything builds with clang, warnings being errors", False, lambda options: _build("asan")),
    "tidy": ("clang-tidy", False, _tidy),
}


def main():
    parser = argparse.ArgumentParser(
        prog="tools/check", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Check the sources, or only the checks NAME.",
        epilog="Checks:\n" + "\n".join(f"  {name:10} {text}" for name, (text, _, _) in CHECKS.items()))
    parser.add_argument("--fix", action="store_true", help="mend what can be mended")
    parser.add_argument("--quick", action="store_true", help="leave out what compiles")
    parser.add_argument("--changed", action="store_true", help="clang-tidy only for files that differ from main")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    for name in options.names:
        if name not in CHECKS:
            parser.error(f"no check '{name}'")
    total = 0
    for name, (_, quick, function) in CHECKS.items():
        if name not in options.names if options.names else options.quick and not quick:
            continue
        began = time.monotonic()
        findings = list(function(options))
        total += len(findings)
        print(f"{name}: {len(findings) or 'no'} findings, {time.monotonic() - began:.1f} s", flush=True)
        for line in findings:
            print(f"    {line}", flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
