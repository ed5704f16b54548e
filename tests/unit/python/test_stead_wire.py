#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Python wire against the golden bytes of the C tests: one format, two implementations."""

import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TESTS, "system"))
import stead_wire as wire  # noqa: E402


def golden(name, path=os.path.join(TESTS, "unit", "net", "golden.h")):
    """The bytes of #define GOLDEN_<name>."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    body = re.search(r"#define GOLDEN_%s\s*\\?\n?((?:\s*\"[0-9a-f]*\"\s*\\?\n?)+)" % name, text)
    return bytes.fromhex("".join(re.findall(r'"([0-9a-f]*)"', body.group(1))))


def golden_table():
    """The table of tests/unit/runtime/test_table.c."""
    with open(os.path.join(TESTS, "unit", "runtime", "test_table.c"), encoding="utf-8") as file:
        body = re.search(r"golden\[\] =\s*((?:\"[0-9a-f]*\"\s*)+);", file.read())
    return bytes.fromhex("".join(re.findall(r'"([0-9a-f]*)"', body.group(1))))


class Records(unittest.TestCase):
    def test_golden_records_decode_and_encode_to_the_same_bytes(self):
        for name in ("CALL", "SIGNAL", "ANSWER", "ACK", "JOB"):
            with self.subTest(name):
                self.assertEqual(wire.encode(wire.decode(golden(name))), golden(name))

    def test_golden_call_reads_as_documented(self):
        record = wire.decode(golden("CALL"))
        self.assertEqual((record.type, record.address, record.op), (wire.CALL, b"counter/alice", b"add"))
        self.assertEqual(record.value(), {"by": 5})
        self.assertEqual(record.groups["session"][2:], (9, 8))
        self.assertEqual(record.slot, wire.slot_of(record.address))

    def test_golden_job_has_its_limits(self):
        record = wire.decode(golden("JOB"))
        self.assertEqual((record.address, record.op, record.groups["limits"]), (b"word/a", b"count", (2500, 60000, 1000)))

    def test_record_with_an_optional_extension_skips_it(self):
        record = wire.decode(golden("FULL"))
        self.assertEqual((record.op, record.key, record.value()), (b"report", b"once-only", [1, 2, 3]))

    def test_record_truncated_anywhere_is_refused(self):
        data = golden("CALL")
        for size in range(len(data)):
            with self.assertRaises(wire.WireError):
                wire.decode(data[:size])

    def test_golden_frame_holds_its_records(self):
        records = wire.decode_frame(golden("FRAME"))
        self.assertEqual(len(records), 2)
        self.assertEqual(records[0], golden("CALL"))
        self.assertEqual(wire.encode_frames(records), [golden("FRAME")])

    def test_frames_hold_at_most_64_records(self):
        frames = wire.encode_frames([b"x" * 64] * 130)
        self.assertEqual([len(wire.decode_frame(frame)) for frame in frames], [64, 64, 2])


class Slots(unittest.TestCase):
    def test_braces_pick_the_slot(self):
        self.assertEqual(wire.slot_of(b"cart/{alice}:1"), wire.slot_of(b"wallet/{alice}"))
        self.assertEqual(wire.hashed_part(b"cart/{}{bob}"), b"bob")
        self.assertEqual(wire.hashed_part(b"cart/{open"), b"cart/{open")
        self.assertEqual(wire.slot_of(b"a/b", 3) >> 12, 3)


class Tables(unittest.TestCase):
    def test_golden_table_routes_as_built(self):
        table = wire.Table(golden_table())
        self.assertEqual((table.version, table.formed), (42, True))
        self.assertEqual(table.nodes[1]["labels"], ["gpu", "ssd"])
        self.assertEqual([table.shard_of(slot) for slot in (0, 2047, 2048, 4096, 8192)], [1, 1, 2, 3, 0])
        self.assertEqual([place.node for place in table.pool(b"train/x")], [1, 1])
        self.assertIsNone(table.pool(b"counter/x"))
        self.assertIn(table.owner(b"counter/x").endpoint, ("tcp://127.0.0.1:7401", "tcp://127.0.0.1:7410"))


if __name__ == "__main__":
    unittest.main()
