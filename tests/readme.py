#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""README.md must be true where a machine can tell: the agent it shows is examples/counter.c to the letter, has at most 40 lines, compiles
with the line that is shown, and every document and folder it names is there. Usage: readme.py SOURCE_DIR"""
import pathlib
import re
import subprocess
import sys
import tempfile

root = pathlib.Path(sys.argv[1])
readme = (root / "README.md").read_text()
failures = []

shown = re.search(r"```c\n(.*?)```", readme, re.S).group(1)
if shown != (root / "examples/counter.c").read_text():
    failures.append("the agent shown is not examples/counter.c")
if shown.count("\n") > 40:
    failures.append(f"the agent has {shown.count(chr(10))} lines, more than 40")

for target in re.findall(r"\]\(([^)#]+)\)", readme):
    if "://" not in target and not (root / target).exists():
        failures.append(f"there is no {target}")
for script in re.findall(r"^    (scripts/\w+)", readme, re.M):
    if not (root / script).exists():
        failures.append(f"there is no {script}")

compiler_line = re.search(r"^cc .*$", readme, re.M).group(0)
with tempfile.TemporaryDirectory() as scratch:
    line = compiler_line.replace("-o counter.so", f"-o {scratch}/counter.so")
    if subprocess.run(line, shell=True, cwd=root).returncode != 0:
        failures.append(f"does not compile: {compiler_line}")

for failure in failures:
    print(f"README.md: {failure}")
sys.exit(bool(failures))
