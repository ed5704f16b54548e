# SPDX-License-Identifier: Apache-2.0
"""The other side of faulty_disk.c: the environment that switches it on, its counters, and the loss of what was not synced.

    disk = FaultyDisk(library, folder, state_file)
    process = subprocess.Popen(..., env=disk.environment(fail_sync=3))
    ... process.kill(); process.wait() ...
    lost = disk.drop_unsynced()
"""
import os
import struct

HEADER = struct.Struct("<8sQQQQ")
RECORD = struct.Struct("<1008sQQ")
RECORDS_AT = 1024


class FaultyDisk:
    def __init__(self, library, folder, state):
        self.library = os.path.abspath(library)
        self.folder = os.path.abspath(folder)
        self.state = os.path.abspath(state)

    def environment(self, base=None, delay_us=None, fail_sync=None, full_after=None, full_file=None,
                    full_but=None, bad_file=None, read_us=None):
        """A copy of `base` (default: ours) with the library switched on."""
        environment = dict(os.environ if base is None else base)
        settings = {
            "LD_PRELOAD": self.library,
            "STEAD_DISK_FOLDER": self.folder,
            "STEAD_DISK_STATE": self.state,
            "STEAD_DISK_DELAY_US": delay_us,
            "STEAD_DISK_FAIL_SYNC": fail_sync,
            "STEAD_DISK_FULL_AFTER": full_after,
            "STEAD_DISK_FULL_FILE": full_file,
            "STEAD_DISK_FULL_BUT": full_but,
            "STEAD_DISK_BAD_FILE": bad_file,
            "STEAD_DISK_READ_US": read_us,
        }
        environment.update({name: str(value) for name, value in settings.items() if value is not None})
        return environment

    def counters(self):
        """{"records", "syncs", "bytes", "failed_syncs"} of all processes since the state file was made."""
        with open(self.state, "rb") as file:
            magic, records, syncs, written, failed = HEADER.unpack(file.read(HEADER.size))
        assert magic == b"STEADFD1", magic
        return {"records": records, "syncs": syncs, "bytes": written, "failed_syncs": failed}

    def records(self):
        """[(path, synced length)] of the files that are there."""
        result = []
        with open(self.state, "rb") as file:
            count = self.counters()["records"]
            file.seek(RECORDS_AT)
            for _ in range(count):
                path, synced, present = RECORD.unpack(file.read(RECORD.size))
                if present:
                    result.append((path.split(b"\0", 1)[0].decode(), synced))
        return result

    def drop_unsynced(self):
        """Cuts every file to what was synced, and forgets the account. No process may have the folder open. Gives the bytes lost."""
        lost = 0
        for path, synced in self.records():
            if os.path.exists(path) and os.path.getsize(path) > synced:
                lost += os.path.getsize(path) - synced
                os.truncate(path, synced)
        os.remove(self.state)
        return lost
