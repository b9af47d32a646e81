"""Unit tests (Catch2), in each of the builds."""
from suite import builds, results


def run(build):
    """A stage function: the unit tests of the build `build`."""
    def stage(context):
        report = context.folder / f"{context.name}.xml"
        names = [f"*{name}*" for name in context.only]
        status = context.command(
            [builds.unit_tests(build), "-r", "xml", "-o", report, *([",".join(names)] if names else [])],
            limit=600, env=builds.SANITIZER_ENV)
        return results.catch2(report, status)
    return stage
