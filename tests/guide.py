#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""docs/AGENTS.md must be true where a compiler can tell: every ```c block is compiled by itself, with warnings as errors. A block that has no #include
of its own gets stead/stead.h; one with STEAD_MODULE is linked as a module, and its kinds are looked at as the node would: the symbol is there.
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
text = (options.root / "docs/AGENTS.md").read_text()
# What an excerpt leaves unused is used by the agent that it is an excerpt of.
EXCERPT = ["-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-unused-variable"]
failures = []
blocks = [(text[:found.start()].count("\n") + 2, found.group(1)) for found in re.finditer(r"^```c\n(.*?)^```", text, re.M | re.S)]

with tempfile.TemporaryDirectory() as scratch:
    for line, block in blocks:
        prelude = "" if "#include" in block else '#include <string.h>\n#include "stead/stead.h"\n'
        source = pathlib.Path(scratch) / f"line{line}.c"
        source.write_text(f'{prelude}#line {line} "AGENTS.md"\n{block}')
        module = "STEAD_MODULE" in block
        output = ["-shared", "-fPIC", "-o", str(source.with_suffix(".so"))] if module else ["-fsyntax-only"]
        done = subprocess.run([options.cc, "-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror", *([] if module else EXCERPT),
                               f"-I{options.root}/include", *output, str(source)], capture_output=True, text=True)
        if done.returncode != 0:
            failures.append(done.stderr)
        elif module and "stead_module" not in subprocess.run(["nm", "-D", "--defined-only", str(source.with_suffix(".so"))], check=True,
                                                             capture_output=True, text=True).stdout:
            failures.append(f"AGENTS.md:{line}: the module has no symbol stead_module")
for failure in failures:
    print(failure)
print(f"guide: {len(blocks)} examples, {len(failures)} do not compile")
sys.exit(bool(failures) or not blocks)
