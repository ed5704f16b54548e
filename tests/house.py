#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""house: the rules of the house as a test (docs/ARCHITECTURE.md). A rule that no test checks does not exist.

    house.py ROOT [--build BUILD]    checks the tree, and the objects and the program of a build when it is given
    house.py --self-test             plants one violation of each rule in a scratch tree and sees that each is found

Rules on the text: includes follow the arrows between folders; runtime/ and agents/ include no header of the outside world; every function in
a header has a comment; files have at most 800 lines and functions at most 70; lines of C have
at most 120 columns, in texts for people too, rows of tables and code in those apart; the first line names the licence; every folder has a README.md of
at most 60 lines that names its files; every invariant of docs/INVARIANTS.md is cited by code; nothing is left for later. Rules on
the build: no object of runtime/ or agents/ has mutable data of file scope, and the symbols that the program exports are exactly the
functions declared with STEAD_PUBLIC.
"""
import argparse
import fnmatch
import pathlib
import re
import subprocess
import sys
import tempfile

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 120
TABLE = re.compile(r"^ *\*  |^ *X\(|\\$")  # a row of a table in a comment, an entry of a list
README_LINES_MAX = 60

FOLDERS = ["include/stead", "runtime", "agents", "net", "persist", "node", "cmd", "examples"]
# Folders whose headers a folder may include; all may include stead/ and their own.
ARROWS = {
    "include/stead": [],
    "runtime": [],
    "agents": [],
    "examples": [],
    "net": ["runtime"],
    "persist": ["runtime"],
    "node": ["runtime", "agents", "net", "persist"],
    "cmd": ["runtime", "agents", "net", "persist", "node"],
}
# agents/ and examples/ are written against the public headers alone; a folder includes its own.
BANNED = re.compile(r"^(zmq|rocksdb|pthread|time|unistd|stdio|curl|threads|fcntl|poll|signal|errno)\b|^(sys|netinet|arpa|linux)/")
BANNED_IN = ["runtime", "agents"]
# A stack is memory with a guard below it: nobody outside can see that it was asked for, so it is no effect.
BANNED_BUT = {("runtime/fiber.c", "sys/mman.h")}
# allocator and compiler headers that the core may use
LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
SPDX = "SPDX-License-Identifier: Apache-2.0"


class House:
    """Collects what is wrong in one tree."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.wrong = []

    def refuse(self, rule, path, line, why):
        where = path.relative_to(self.root) if path.is_absolute() and self.root in path.parents else path
        self.wrong.append((rule, f"{where}:{line}: {why} [{rule}]"))

    def sources(self, folder, *suffixes):
        base = self.root / folder
        return sorted(p for p in base.rglob("*") if p.suffix in suffixes and p.is_file()) if base.is_dir() else []

    # ---- Text ----------------------------------------------------------------------------------

    def check_includes(self):
        for folder in FOLDERS:
            for path in self.sources(folder, ".c", ".h"):
                for number, line in enumerate(path.read_text().splitlines(), 1):
                    found = re.match(r'\s*#\s*include\s+[<"]([^>"]+)[>"]', line)
                    if found:
                        self.check_include(folder, path, number, found.group(1))

    def check_include(self, folder, path, number, name):
        if folder in BANNED_IN and BANNED.search(name) and (str(path.relative_to(self.root)), name) not in BANNED_BUT:
            self.refuse("banned header", path, number, f"{folder}/ includes <{name}>")
        target = name.rsplit("/", 1)[0] if "/" in name else ""
        ours = {"stead"} | {f for f in FOLDERS if f != "include/stead"} | {"tests"}
        top = target.split("/")[0]
        if top not in ours or top == "stead":
            return
        if top != folder and top not in ARROWS[folder]:
            self.refuse("arrow", path, number, f"{folder}/ may not include {name}")

    def all_sources(self):
        for folder in FOLDERS + ["tests"]:
            yield from self.sources(folder, ".c", ".h", ".py", ".cc")
        yield from (p for p in sorted((self.root / "scripts").glob("*")) if p.is_file())

    def check_texts(self):
        for path in self.all_sources():
            lines = path.read_text(errors="replace").splitlines()
            head = lines[:4] if lines and lines[0].startswith("#!") else lines[:1]
            if not any(SPDX in line for line in head) and path.suffix != ".md":
                self.refuse("licence", path, 1, f"the first line does not say {SPDX}")
            if len(lines) > FILE_LINES_MAX and "generated" not in "\n".join(lines[:6]):
                self.refuse("file length", path, len(lines), f"{len(lines)} lines, {FILE_LINES_MAX} at most")
            if path.suffix in (".c", ".h"):
                for number, line in enumerate(lines, 1):
                    if len(line) > LINE_COLUMNS_MAX and not TABLE.search(line):
                        self.refuse("line length", path, number, f"{len(line)} columns, {LINE_COLUMNS_MAX} at most")
            if path.name == "house.py":
                continue
            for number, line in enumerate(lines, 1):
                if LATER.search(line):
                    self.refuse("later", path, number, "something is left for later")

    def check_prose(self):
        """Texts for people fit a terminal and a diff: tables and code apart."""
        for path in sorted(self.root.glob("*.md")) + sorted(self.root.glob("docs/*.md")) + [
                self.root / folder / "README.md" for folder in FOLDERS + ["tests"]]:
            code = False
            for number, line in enumerate(path.read_text().splitlines() if path.is_file() else [], 1):
                code ^= line.lstrip().startswith("```")
                if len(line) > LINE_COLUMNS_MAX and not code and not line.lstrip().startswith("|") and not line.startswith("    "):
                    self.refuse("line length", path, number, f"{len(line)} columns, {LINE_COLUMNS_MAX} at most")

    def check_functions(self):
        """Functions as clang-format leaves them: a body opens and closes with a brace in the first column."""
        for path in self.all_sources():
            if path.suffix not in (".c", ".h"):
                continue
            start = None
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if line == "{":
                    start = number
                elif line.startswith("}") and start is not None:
                    if line == "}" and number - start + 1 > FUNCTION_LINES_MAX:
                        self.refuse("function length", path, start,
                                    f"{number - start + 1} lines, {FUNCTION_LINES_MAX} at most")
                    start = None

    PROTOTYPE = re.compile(r"^(?!static|typedef|struct [a-z_]+ \{|enum|union|#|extern|return|_Static_assert|STEAD_MODULE)"
                           r"[A-Za-z_][\w\s\*]*?\b(stead_\w+)\s*\(")

    def check_header_comments(self):
        """Each run of prototypes without a blank line in between needs a comment before its first."""
        for folder in FOLDERS:
            for path in self.sources(folder, ".h"):
                lines = path.read_text().splitlines()
                if "generated" in "\n".join(lines[:6]):
                    continue
                self.check_header(path, lines)

    def check_header(self, path, lines):
        documented = False  # a comment came since the last blank line
        in_comment = False
        depth = 0
        for number, line in enumerate(lines, 1):
            stripped = line.strip()
            if in_comment or stripped.startswith("/*"):
                section = re.match(r"/\* -{3,}", stripped)
                in_comment = "*/" not in line
                documented = documented or not section
                continue
            if not stripped:
                documented = False
            found = self.PROTOTYPE.match(line) if depth == 0 else None
            if found and not documented and "/*" not in line:
                self.refuse("undocumented", path, number, f"{found.group(1)}() has no comment before it")
            if not stripped.startswith("#") and 'extern "C"' not in line:
                depth = max(0, depth + line.count("{") - line.count("}"))

    def check_readmes(self):
        folders = [f for f in FOLDERS if f != "include/stead"] + ["tests", "docs", "scripts"]
        for folder in folders:
            base = self.root / folder
            if not base.is_dir() or not any(p.is_file() for p in base.iterdir()):
                continue
            readme = base / "README.md"
            if not readme.is_file():
                self.refuse("readme", base, 1, f"{folder}/ has no README.md")
            elif len(readme.read_text().splitlines()) > README_LINES_MAX:
                self.refuse("readme", readme, 1, f"over {README_LINES_MAX} lines")
            elif folder in FOLDERS:
                self.check_readme_names(base, readme)

    def check_readme_names(self, base, readme):
        """A file is named by its name, with or without what follows the dot, or by a pattern as `local_*`."""
        words = {word.split(".")[0] for quoted in re.findall(r"`([^`]+)`", readme.read_text()) for word in quoted.split()}
        for path in sorted(base.glob("*.[ch]")):
            if not any(fnmatch.fnmatchcase(path.stem, word) for word in words):
                self.refuse("readme", readme, 1, f"does not name {path.name}")

    def check_invariants(self):
        """Every numbered invariant is cited by the code that keeps it."""
        path = self.root / "docs/INVARIANTS.md"
        if not path.is_file():
            return
        code = "\n".join(p.read_text() for folder in ("runtime", "agents", "node") for p in self.sources(folder, ".c", ".h"))
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r"- \*\*([A-Z]\d+)\*\*", line)
            if found and not re.search(rf"\b{found.group(1)}\b", code):
                self.refuse("invariant", path, number, f"{found.group(1)} is cited nowhere in runtime/, agents/ or node/")

    # ---- Build ---------------------------------------------------------------------------------

    def nm(self, *args):
        return subprocess.run(["nm", *args], check=True, capture_output=True, text=True).stdout.splitlines()

    def check_objects(self, build):
        objects = [p for folder in BANNED_IN for p in build.glob(f"CMakeFiles/stead_{folder}.dir/{folder}/*.o")]
        if not objects:
            self.refuse("build", build, 1, "no objects of runtime/ or agents/: is it built?")
        for path in objects:
            self.check_object(path)

    def check_object(self, path):
        sections = constant_sections(path)
        # As ELF: nm's plugin would show what the compiler keeps beside it for the link, without sections.
        for line in self.nm("--target=elf64-little", "-f", "sysv", str(path)):
            fields = [field.strip() for field in line.split("|")]
            if len(fields) < 7 or fields[2] not in ("b", "B", "d", "D", "C", "s", "g"):
                continue
            if fields[6] in sections or fields[0].startswith(("__", ".", "asan.", "_ub")):
                continue
            self.refuse("mutable data", path, 1, f"{fields[0]} is mutable data of file scope ({fields[6]})")

    def declared_public(self):
        """Names declared with STEAD_PUBLIC in include/."""
        names = set()
        for path in self.sources("include/stead", ".h"):
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
            text = re.sub(r"^\s*#.*(?:\\\n.*)*", "", text, flags=re.M)
            for found in re.finditer(r"\bSTEAD_PUBLIC\b[^;{]*?\b(stead_\w+)\s*\(", text):
                names.add(found.group(1))
        return names

    def check_exports(self, program):
        declared = self.declared_public()
        exported = set()
        for line in self.nm("-D", "--defined-only", "--extern-only", str(program)):
            name = line.split()[-1].split("@")[0]
            if name.startswith(("_", "asan_", "__")) or name in ("main", "data_start", "environ", "stdin", "stdout", "stderr"):
                continue
            exported.add(name)
        for name in sorted(declared - exported):
            self.refuse("exports", program, 1, f"{name} is declared STEAD_PUBLIC and is not exported")
        for name in sorted(n for n in exported - declared if n.startswith("stead")):
            self.refuse("exports", program, 1, f"{name} is exported and not declared STEAD_PUBLIC in include/")

    def check_texts_all(self):
        self.check_includes()
        self.check_texts()
        self.check_functions()
        self.check_header_comments()
        self.check_readmes()
        self.check_prose()
        self.check_invariants()

    def check_build(self, build):
        self.check_objects(build)
        program = build / "stead"
        if program.is_file():
            self.check_exports(program)
        else:
            self.refuse("build", program, 1, "the program is not there")


def constant_sections(path):
    """Sections that are never written after relocation: constants, also those that hold addresses."""
    names = set()
    out = subprocess.run(["readelf", "-SW", str(path)], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        found = re.match(r"\s*\[\s*\d+\]\s+(\S+)", line)
        if found and (found.group(1).startswith((".data.rel.ro", ".rodata"))):
            names.add(found.group(1))
    return names


# ---- Self-test ---------------------------------------------------------------------------------

C_HEAD = f"/* {SPDX} */\n"
# rule, file, text: one violation each
PLANTED = [
    ("arrow", "runtime/a.c", C_HEAD + '#include "net/codec.h"\n'),
    ("arrow", "agents/a.c", C_HEAD + '#include "runtime/base.h"\n'),
    ("arrow", "examples/a.c", C_HEAD + '#include "node/node.h"\n'),
    ("arrow", "net/a.c", C_HEAD + '#include "persist/store.h"\n'),
    ("banned header", "runtime/a.c", C_HEAD + "#include <stdio.h>\n"),
    ("banned header", "runtime/a.h", C_HEAD + "# include <sys/time.h>\n"),
    ("banned header", "agents/a.c", C_HEAD + "#include <zmq.h>\n"),
    ("banned header", "runtime/a.c", C_HEAD + "#include <sys/mman.h>\n"),
    ("banned header", "runtime/fiber.c", C_HEAD + "#include <sys/socket.h>\n"),
    ("licence", "runtime/a.c", "int stead_a;\n"),
    ("file length", "net/a.c", C_HEAD + "\n" * 801),
    ("line length", "net/a.c", C_HEAD + "/* " + "long " * 24 + "*/\n"),
    ("function length", "net/a.c", C_HEAD + "void stead_f(void)\n{\n" + "    ;\n" * 69 + "}\n"),
    ("later", "net/a.c", C_HEAD + "/* TO" + "DO: later */\n"),
    ("undocumented", "net/a.h", C_HEAD + "\nint stead_f(void);\n"),
    ("undocumented", "net/a.h", C_HEAD + "/* about f */\nint stead_f(void);\n\nint stead_g(void);\n"),
    ("readme", "net/README.md", "line\n" * 61),
    ("line length", "docs/LONG.md", "word " * 25 + "\n"),
    ("readme", "persist/README.md", None),
    ("readme", "net/unnamed.c", C_HEAD),
    ("invariant", "docs/INVARIANTS.md", "- **Z1** Nobody keeps this.\n"),
]


def plant(root, path, text):
    for folder in FOLDERS + ["docs", "scripts", "tests"]:
        (root / folder).mkdir(parents=True, exist_ok=True)
        if folder != "include/stead":
            (root / folder / "README.md").write_text("What it is: `a.h`, `fine.*`.\n")
    (root / "net" / "fine.h").write_text(C_HEAD + "/* About f and g. */\nint stead_f(void);\nint stead_g(void);\n")
    (root / "persist" / "fine.c").write_text(C_HEAD + '#include "runtime/base.h"\n#include "stead/value.h"\n')
    if text is None:
        (root / path).unlink()
    elif path:
        (root / path).write_text(text)


def objects_self_test(root):
    """Builds one object with every sort of data and asks for exactly the mutable ones."""
    source = root / "data.c"
    source.write_text("""static int hidden_zero; int shared = 3; static const char *const names[] = {"a"};
        const int constant = 4; int f(void) { static int counted; return counted++ + hidden_zero++ + *names[0] + shared; }""")
    object_path = root / "data.o"
    subprocess.run(["cc", "-fPIC", "-O0", "-c", str(source), "-o", str(object_path)], check=True)
    house = House(root)
    house.check_object(object_path)
    found = sorted(re.search(r": (\w+)", text.split("data.o:1")[1]).group(1) for _, text in house.wrong)
    return found == ["counted", "hidden_zero", "shared"] or found


def exports_self_test(root):
    """A shared object that exports one function too many and one too few."""
    (root / "include/stead/a.h").write_text("#define X 1\n/* STEAD_PUBLIC int stead_no(void); */\n"
                                            "STEAD_PUBLIC int\nstead_a(void);\nSTEAD_PUBLIC int stead_b(int (*f)(void));\n")
    (root / "a.c").write_text("int stead_a(void){return 0;} int stead_c(void){return 0;}")
    subprocess.run(["cc", "-shared", "-fPIC", str(root / "a.c"), "-o", str(root / "a.so")], check=True)
    house = House(root)
    house.check_exports(root / "a.so")
    text = "\n".join(t for _, t in house.wrong)
    return len(house.wrong) == 2 and "stead_b is declared" in text and "stead_c is exported" in text or text


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch) / "clean"
        plant(root, "", "")
        house = House(root)
        house.check_texts_all()
        failures += [f"a clean tree is refused: {text}" for _, text in house.wrong]
        for number, (rule, path, text) in enumerate(PLANTED):
            root = pathlib.Path(scratch) / str(number)
            plant(root, path, text)
            house = House(root)
            house.check_texts_all()
            if rule not in [r for r, _ in house.wrong]:
                failures.append(f"planted in {path}: [{rule}] is not found, only {house.wrong}")
        for check in (objects_self_test, exports_self_test):
            answer = check(pathlib.Path(scratch) / "clean")
            if answer is not True:
                failures.append(f"{check.__name__}: {answer}")
    for failure in failures:
        print(failure)
    print(f"house: {len(PLANTED) + 2} planted violations, {len(failures)} not as they should be")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description="checks the rules of the house")
    parser.add_argument("root", nargs="?")
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if options.root is None:
        parser.error("ROOT or --self-test")
    house = House(pathlib.Path(options.root).resolve())
    house.check_texts_all()
    if options.build is not None:
        house.check_build(options.build.resolve())
    for _, text in house.wrong:
        print(text)
    print(f"house: {len(house.wrong)} violations")
    return 1 if house.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
