# SPDX-License-Identifier: Apache-2.0
"""The faulty disk itself: a check that was never seen to fail is not trusted. Python's own system calls go through the library."""
import errno
import os
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from faulty_disk import FaultyDisk

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else "build/stead"
LIBRARY = os.path.join(os.path.dirname(os.path.abspath(PROGRAM)), "tests", "system", "faulty_disk.so")

PRELUDE = """
import errno, os, signal, sys
folder = sys.argv[1]
def create(name):
    return os.open(os.path.join(folder, name), os.O_RDWR | os.O_CREAT, 0o666)
def attempt(call, *args):
    try:
        call(*args)
        return 0
    except OSError as error:
        return error.errno
"""


class FaultyDiskTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = os.path.join(self.scratch.name, "data")
        os.mkdir(self.folder)
        self.disk = FaultyDisk(LIBRARY, self.folder, os.path.join(self.scratch.name, "state"))

    def tearDown(self):
        self.scratch.cleanup()

    def run_script(self, script, **faults):
        environment = self.disk.environment(**faults)
        environment["ASAN_OPTIONS"] = ""
        return subprocess.run([sys.executable, "-c", PRELUDE + script, self.folder], env=environment,
                              capture_output=True, text=True, timeout=30)

    def content(self, name):
        with open(os.path.join(self.folder, name), "rb") as file:
            return file.read()

    def test_unsynced_bytes_are_gone_after_a_kill(self):
        with open(os.path.join(self.folder, "old"), "wb") as file:
            file.write(b"before")
        result = self.run_script("""
a = create("a"); os.write(a, b"synced"); os.fdatasync(a); os.write(a, b" and not")
b = create("b"); os.write(b, b"never synced")
c = create("c.new"); os.write(c, b"renamed"); os.fsync(c); os.rename(folder + "/c.new", folder + "/c")
d = create("d"); os.write(d, b"gone"); os.unlink(folder + "/d")
o = os.open(folder + "/old", os.O_WRONLY | os.O_APPEND); os.write(o, b" and after")
os.kill(os.getpid(), signal.SIGKILL)
""")
        self.assertEqual(result.returncode, -signal.SIGKILL)
        self.assertEqual(self.content("a"), b"synced and not")
        self.assertEqual(self.disk.drop_unsynced(), len(" and not" "never synced" " and after"))
        self.assertEqual(self.content("a"), b"synced")
        self.assertEqual(self.content("b"), b"")
        self.assertEqual(self.content("c"), b"renamed")
        self.assertEqual(self.content("old"), b"before")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "d")))

    def test_reads_of_a_reactor_fail_while_the_file_is_there(self):
        switch = os.path.join(self.scratch.name, "bad")
        result = self.run_script(f"""
a = create("a.sst"); b = create("b"); os.write(a, b"bytes"); os.write(b, b"bytes")
codes = []
for thread in ("other", "stead-react-0"):
    for switch in (False, True):
        open("/proc/self/comm", "w").write(thread)
        if switch:
            open("{switch}", "w").close()
        codes.append([attempt(os.pread, file, 5, 0) for file in (a, b)])
        if switch:
            os.unlink("{switch}")
print(codes)
""", bad_file=switch)
        self.assertEqual(result.stdout, f"[[0, 0], [0, 0], [0, 0], [{errno.EIO}, 0]]\n", result.stderr)

    def test_chosen_sync_fails_once_and_keeps_nothing(self):
        result = self.run_script("""
a = create("a")
codes = []
for word in (b"1", b"2", b"3"):
    os.write(a, word)
    codes.append(attempt(os.fdatasync, a))
    if codes[-1] != 0:
        break
print(codes)
""", fail_sync=2)
        self.assertEqual(result.stdout.strip(), str([0, errno.EIO]))
        self.assertEqual(self.disk.counters()["failed_syncs"], 1)
        self.disk.drop_unsynced()
        self.assertEqual(self.content("a"), b"1")

    def test_disk_is_full_after_so_many_bytes(self):
        result = self.run_script("""
a = create("a")
print([attempt(os.write, a, b"x" * 400) for _ in range(3)])
""", full_after=1000)
        self.assertEqual(result.stdout.strip(), str([0, 0, errno.ENOSPC]))

    def test_disk_is_full_while_a_file_is_there(self):
        switch = os.path.join(self.scratch.name, "full")
        result = self.run_script(f"""
a = create("a")
before = attempt(os.write, a, b"x")
open({switch!r}, "w").close()
during = attempt(os.write, a, b"x")
os.unlink({switch!r})
print([before, during, attempt(os.write, a, b"x")])
""", full_file=switch)
        self.assertEqual(result.stdout.strip(), str([0, errno.ENOSPC, 0]))

    def test_full_disk_has_room_for_some_files(self):
        switch = os.path.join(self.scratch.name, "full")
        open(switch, "w").close()
        result = self.run_script("""
print([attempt(os.write, create(name), b"x") for name in ("a.log", "a.sst")])
""", full_file=switch, full_but=".log")
        self.assertEqual(result.stdout.strip(), str([0, errno.ENOSPC]))

    def test_syncs_are_delayed_and_counted(self):
        result = self.run_script("""
import time
a = create("a")
start = time.monotonic()
for _ in range(10):
    os.write(a, b"x")
    os.fdatasync(a)
print(time.monotonic() - start)
""", delay_us=2000)
        self.assertGreaterEqual(float(result.stdout), 0.02)
        self.assertEqual(self.disk.counters()["syncs"], 10)
        self.assertEqual(self.disk.counters()["bytes"], 10)

    def test_files_elsewhere_are_left_alone(self):
        result = self.run_script("""
a = os.open(folder + "/../elsewhere", os.O_RDWR | os.O_CREAT, 0o666)
os.write(a, b"x" * 100)
print(attempt(os.fdatasync, a))
""", fail_sync=1, full_after=1)
        self.assertEqual(result.stdout.strip(), "0")


if __name__ == "__main__":
    unittest.main()
