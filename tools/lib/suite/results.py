"""Reads what test programs report: Catch2's XML (version 2 and 3) and pytest's JUnit XML."""
import xml.etree.ElementTree as ElementTree

from suite.stage import Outcome, describe


def _events(path):
    """Parser events of a file that may end early, as a crashed program leaves it."""
    try:
        yield from ElementTree.iterparse(path, events=("start", "end"))
    except (ElementTree.ParseError, FileNotFoundError):
        return


def _catch2_failures(case):
    for expression in case.iter("Expression"):
        if expression.get("success") == "true":
            continue
        original = (expression.findtext("Original") or "").strip()
        expanded = (expression.findtext("Expanded") or "").strip()
        thrown = (expression.findtext("Exception") or "").strip()
        yield (f"{expression.get('filename')}:{expression.get('line')}: {original}"
               + (f"  ({expanded})" if expanded != original else "") + (f"  threw {thrown}" if thrown else ""))
    for kind in ("Failure", "Exception", "FatalErrorCondition"):
        for node in case.iter(kind):
            if node.get("filename"):
                yield f"{node.get('filename')}:{node.get('line')}: {(node.text or '').strip()}"


def catch2(path, status):
    """The Outcome of a Catch2 program that wrote `path` (-r xml) and ended with `status`."""
    outcome = Outcome()
    current = None
    for event, node in _events(path):
        if node.tag != "TestCase":
            continue
        if event == "start":
            current = node.get("name")
            continue
        current = None
        result = node.find("OverallResult")
        if result is not None and result.get("success") == "true":
            if int(result.get("skips") or 0):
                outcome.skips.append(f"{node.get('name')}: {(node.findtext('.//Skip') or 'no reason').strip()}")
            else:
                outcome.passed += 1
        else:
            outcome.failures.append("\n".join([node.get("name"), *_catch2_failures(node)]))
    if status != 0 and not outcome.failures:
        where = f" in '{current}'" if current else ""
        outcome.failures.append(f"ended with {describe(status)}{where}")
    elif outcome.passed == 0 and not outcome.failures:
        outcome.failures.append("no test ran")
    return outcome


def junit(path, status):
    """The Outcome of a pytest run that wrote `path` (--junitxml) and ended with `status`."""
    outcome = Outcome()
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))
    except (ElementTree.ParseError, FileNotFoundError):
        outcome.failures.append(f"no report; ended with {describe(status)}")
        return outcome
    for case in cases:
        name = f"{case.get('classname')}::{case.get('name')}"
        wrong = [node for node in case if node.tag in ("failure", "error")]
        skipped = case.find("skipped")
        if wrong:
            lines = (wrong[0].get("message") or "no message").splitlines()
            outcome.failures.append(f"{name}: {lines[0][:300]}")
        elif skipped is not None:
            outcome.skips.append(f"{name}: {skipped.get('message')}")
        else:
            outcome.passed += 1
    if status == 5:
        outcome.failures.append("no test ran")
    elif status != 0 and not outcome.failures:
        outcome.failures.append(f"pytest ended with {describe(status)}")
    return outcome
