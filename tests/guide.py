#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/AGENTS.md and docs/ORCHESTRATIONS.md must be true where a compiler can tell: every ```c block is compiled by itself, with warnings as errors. A block that has no
#include of its own gets stead/stead.h and stead/orchestration.h; one with STEAD_MODULE or STEAD_ORCHESTRATORS is linked as a module, and looked at as the node would: the symbol is there.
Usage: guide.py SOURCE_DIR [--cc CC]"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("root", type=pathlib.Path)
parser.add_argument("--cc", default="cc")
options = parser.parse_args()
# What an excerpt leaves unused is used by the agent that it is an excerpt of.
EXCERPT = ["-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-unused-variable"]
SYMBOLS = {"STEAD_MODULE": "stead_module", "STEAD_ORCHESTRATORS": "stead_orchestrators"}
failures = []
blocks = []
for name in ("AGENTS.md", "ORCHESTRATIONS.md"):
    text = (options.root / "docs" / name).read_text()
    found = [(name, text[:block.start()].count("\n") + 2, block.group(1)) for block in re.finditer(r"^```c\n(.*?)^```", text, re.M | re.S)]
    if not found:
        failures.append(f"{name} has no examples")
    blocks += found

with tempfile.TemporaryDirectory() as scratch:
    for name, line, block in blocks:
        prelude = "" if "#include" in block else '#include <string.h>\n#include "stead/stead.h"\n#include "stead/orchestration.h"\n'
        source = pathlib.Path(scratch) / f"{name}{line}.c"
        source.write_text(f'{prelude}#line {line} "{name}"\n{block}')
        symbols = [symbol for macro, symbol in SYMBOLS.items() if re.search(rf"^{macro}\(", block, re.M)]
        output = ["-shared", "-fPIC", "-o", str(source.with_suffix(".so"))] if symbols else ["-fsyntax-only"]
        done = subprocess.run([options.cc, "-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror", *([] if symbols else EXCERPT),
                               f"-I{options.root}/include", *output, str(source)], capture_output=True, text=True)
        if done.returncode != 0:
            failures.append(done.stderr)
            continue
        exported = subprocess.run(["nm", "-D", "--defined-only", str(source.with_suffix(".so"))], check=True, capture_output=True,
                                  text=True).stdout.split() if symbols else []
        failures += [f"{name}:{line}: the module has no symbol {symbol}" for symbol in symbols if symbol not in exported]
for failure in failures:
    print(failure)
print(f"guide: {len(blocks)} examples, {len(failures)} do not compile")
sys.exit(bool(failures) or not blocks)
