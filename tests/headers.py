#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every header can be included alone: the public ones in C11 without extensions and in C++11, with warnings as errors; the inner ones in the C
they are written in. Usage: headers.py SOURCE_DIR [--cc CC] [--cxx CXX]"""
import argparse
import concurrent.futures
import pathlib
import subprocess
import sys

# Headers that are parts of another file, not of an interface: they are included once, where they say.
PARTS = {"runtime/crc32c_table.h"}
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only"]

parser = argparse.ArgumentParser()
parser.add_argument("root", type=pathlib.Path)
parser.add_argument("--cc", default="cc")
parser.add_argument("--cxx", default="c++")
options = parser.parse_args()


def compile_alone(header, command):
    """None, or what the compiler said. The header is included twice: its guard is tested too."""
    source = f'#include "{header}"\n#include "{header}"\nextern int stead_not_empty;\n'
    done = subprocess.run(command + WARNINGS + [f"-I{options.root}/include", f"-I{options.root}", "-"],
                          input=source, text=True, capture_output=True)
    return None if done.returncode == 0 else f"{header} alone, by {' '.join(command)}:\n{done.stderr}"


def jobs():
    for path in sorted((options.root / "include/stead").glob("*.h")):
        yield f"stead/{path.name}", [options.cc, "-std=c11", "-pedantic", "-xc"]
        yield f"stead/{path.name}", [options.cxx, "-std=c++11", "-pedantic", "-xc++"]
    for folder in ("runtime", "agents", "net", "persist", "node", "cmd"):
        for path in sorted((options.root / folder).glob("*.h")):
            name = f"{folder}/{path.name}"
            if name not in PARTS:
                yield name, [options.cc, "-std=gnu11", "-xc", "-Wconversion"]


with concurrent.futures.ThreadPoolExecutor(2) as pool:
    answers = list(pool.map(lambda job: compile_alone(*job), jobs()))
failures = [answer for answer in answers if answer]
for failure in failures:
    print(failure)
print(f"headers: {len(answers)} compiled alone, {len(failures)} cannot be")
sys.exit(bool(failures))
