"""Which stages there are, what each needs, and in which order they are taken."""
from suite import builds, fuzz, lint, pytests, unit
from suite.stage import Stage


def plan(cores):
    """All stages; `cores` is what the machine has."""
    return [
        Stage("check", "tools/check --quick", lint.run, quick=True),
        Stage("release", "build: release", builds.release, cores=cores, quick=True),
        Stage("images", "images: kernels, root file system, lab", pytests.images, cores=cores),
        Stage("e2e", "end to end: Linux guests", pytests.e2e, needs=("release", "images")),
        Stage("build-gcc", "build: GCC, warnings are errors", builds.build("gcc"), cores=cores, quick=True),
        Stage("unit", "unit tests (GCC)", unit.run("gcc"), needs=("build-gcc",), quick=True),
        Stage("build-asan", "build: clang, address and undefined behaviour", builds.build("asan"), cores=cores),
        Stage("fuzz", "fuzz targets", fuzz.run, needs=("build-asan",)),
        Stage("unit-asan", "unit tests (ASan, UBSan)", unit.run("asan"), needs=("build-asan",)),
        Stage("build-tsan", "build: clang, threads", builds.build("tsan"), cores=cores),
        Stage("unit-tsan", "unit tests (TSan)", unit.run("tsan"), needs=("build-tsan",)),
        Stage("python", "tests of the tools", lambda context: pytests.here(context, ["tests/bench", "tests/tools"]),
              quick=True),
        Stage("kvm-unit", "KVM tests: vCPUs", pytests.kvm_unit, needs=("build-gcc",), alone=True, quick=True),
        Stage("kvm", "KVM tests: bare guests", pytests.kvm, needs=("release",), alone=True, quick=True),
        Stage("e2e-host", "end to end: the tools", pytests.e2e_host, needs=("release", "images"), alone=True),
    ]
