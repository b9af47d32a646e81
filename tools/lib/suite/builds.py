"""The builds that tests need. Each lives in build-NAME/ and is kept: the next run compiles what changed."""
import hashlib
import os
import shutil
import subprocess

from suite.stage import ROOT, Outcome

CLANG = {"CC": "clang-19", "CXX": "clang++-19"}
COMMON = ["-Dwerror=true", "-Dbuildtype=custom", "-Ddebug=false", "-Db_lundef=false"]

# name: (compilers, meson options). Line numbers (-g1) are all that a failure needs; sanitizers stop at the
# first finding, so that none goes unseen.
BUILDS = {
    "gcc": ({"CC": "gcc", "CXX": "g++"}, ["-Doptimization=2", "-Dcpp_args=-g1"]),
    "asan": (CLANG, ["-Doptimization=1", "-Db_sanitize=address,undefined", "-Dfuzz=true",
                     "-Dcpp_args=-g1 -fno-sanitize-recover=all -fno-omit-frame-pointer"]),
    # For tools/fuzz --coverage.
    "coverage": (CLANG, ["-Doptimization=0", "-Dfuzz=true", "-Dtests=false",
                         "-Dcpp_args=-g1 -fprofile-instr-generate -fcoverage-mapping",
                         "-Dcpp_link_args=-fprofile-instr-generate"]),
    "tsan": (CLANG, ["-Doptimization=1", "-Db_sanitize=thread", "-Dcpp_args=-g1"]),
}

SANITIZER_ENV = {
    "ASAN_OPTIONS": "allow_addr2line=1:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "allow_addr2line=1:print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "allow_addr2line=1:halt_on_error=0:second_deadlock_stack=1",
    "LSAN_OPTIONS": "report_objects=1",
}


def folder(name):
    return ROOT / f"build-{name}"


def unit_tests(name):
    return folder(name) / "tests" / "unit" / "unit-tests"


def _cached(env):
    """The compilers, by way of ccache where it is installed: meson adds it to its own choice only."""
    return {name: f"ccache {compiler}" for name, compiler in env.items()} if shutil.which("ccache") else env


def _key(env, options):
    """Changes where configuring anew is due; ninja notices everything else."""
    text = "\n".join([*_cached(env).values(), *options])
    for tool in (env["CXX"], "meson"):
        text += subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    return hashlib.sha256(text.encode()).hexdigest()


def build(name, *targets):
    """A stage function that makes the build `name`: all of it, or `targets`."""
    def run(context):
        env, specific = BUILDS[name]
        options = COMMON + specific
        target = folder(name)
        key = _key(env, options)
        key_file = target / ".key"
        if not (target / "build.ninja").exists() or not key_file.exists() or key_file.read_text() != key:
            subprocess.run(["rm", "-rf", str(target)], check=True)
            context.must(["meson", "setup", target, ROOT, *options], env=_cached(env))
            key_file.write_text(key)
        jobs = os.environ.get("MOTE_JOBS")
        context.must(["ninja", "-C", target, *(["-j", jobs] if jobs else []), *targets])
        return Outcome(passed=1)
    return run


def release(context):
    context.must(["tools/build"])
    context.must(["tools/check-binary"])
    return Outcome(passed=2)
