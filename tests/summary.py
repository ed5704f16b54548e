#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up test results and prints "N passed, N failed, N skipped" alone on the last line; exits 1 when one failed or none ran.
Usage: summary.py FILE... where a FILE is a JUnit report of ctest, or a log whose last line is such a line."""
import pathlib
import re
import sys
import xml.etree.ElementTree as tree


def of_report(path):
    passed, failed, skipped = 0, [], 0
    for case in tree.parse(path).getroot().iter("testcase"):
        status = case.get("status")
        if case.find("failure") is not None or status == "fail":
            failed.append(case.get("name"))
        elif status == "run":
            passed += 1
        else:
            skipped += 1
    for name in failed:
        print(f"FAILED: {name}")
    return passed, len(failed), skipped


def of_log(path):
    lines = pathlib.Path(path).read_text(errors="replace").strip().splitlines()
    found = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", lines[-1]) if lines else None
    if found is None:
        print(f"FAILED: {path} does not end with its result")
        return 0, 1, 0
    return tuple(int(number) for number in found.groups())


def main():
    totals = (0, 0, 0)
    for path in sys.argv[1:]:
        try:
            counts = of_report(path) if path.endswith(".xml") else of_log(path)
        except (OSError, tree.ParseError) as error:
            print(f"FAILED: {path}: {error}")
            counts = (0, 1, 0)
        totals = tuple(a + b for a, b in zip(totals, counts))
    print("%d passed, %d failed, %d skipped" % totals)
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
