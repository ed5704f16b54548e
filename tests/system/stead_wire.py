# SPDX-License-Identifier: Apache-2.0
"""The wire of stead in Python, written from docs/FORMATS.md, section Wire, alone: records, frames, slots, the table.

Nothing here knows ZeroMQ: see stead_client.py. tests/unit/python/test_stead_wire.py holds it to the same golden bytes as the C codec.
"""

import struct
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import msgpack

VERSION = 1
TELL, SIGNAL, CALL, ANSWER, ACK, QUERY, HELLO, WELCOME, TABLE, CANCEL, HEARTBEAT = range(1, 12)
FLAG_RETRY = 4
SLOT_SESSION, SLOT_NODE = 0xF000, 0xF001
CORE = struct.Struct("<BBBBHHIHH16sQQHHHHIi")
RECORDS_MAX, FRAME_MAX = 64, 65536
STATELESS = 2

# The groups in the order of their bits: name, layout, names of the fields.
GROUPS = [
    ("channel", struct.Struct("<QQQQQQ"), ("epoch", "counter", "previous_epoch", "previous_counter",
                                           "trimmed_epoch", "trimmed_counter")),
    ("session", struct.Struct("<16sQQQ"), ("id", "start_ms", "number", "mark")),
    ("clock", struct.Struct("<Q"), ("clock",)),
    ("cause", struct.Struct("<16s16sI"), ("root", "parent", "depth")),
    ("principal", struct.Struct("<16s"), ("id",)),
    ("fence", struct.Struct("<Q"), ("number",)),
    ("incarnation", struct.Struct("<Q"), ("number",)),
    ("trace", struct.Struct("<16sQB"), ("id", "span", "flags")),
    ("codec", struct.Struct("<BI"), ("codec", "checksum")),
    ("route", struct.Struct("<IHQ"), ("node", "reactor", "connection")),
    ("delay", struct.Struct("<Q"), ("ms",)),
    ("key", struct.Struct("<"), ()),
    ("limits", struct.Struct("<III"), ("start_ms", "run_ms", "heartbeat_ms")),
]

ERRORS = {
    1: "failed", 2: "bad_argument", 3: "bad_address", 4: "unknown_kind", 5: "unknown_op", 6: "too_large", 7: "limit",
    8: "busy", 9: "not_owner", 10: "timeout", 11: "expired", 12: "session_expired", 13: "conflict", 14: "history_lost",
    15: "unavailable", 16: "unauthorised", 17: "not_found", 18: "destroyed", 19: "cancelled", 20: "chain_too_deep",
    21: "wrong_state", 22: "no_memory", 23: "io", 24: "corrupt", 25: "version", 26: "protocol", 27: "disk_full",
    28: "poison", 29: "locked", 30: "internal", 31: "in_use", 32: "read_only",
}
NUMBERS = {name: number for number, name in ERRORS.items()}


class WireError(Exception):
    """Bytes that are not what the format says."""


@dataclass
class Record:
    """One record; what a type does not use stays at its default."""

    type: int
    durability: int = 0
    flags: int = 0
    source_slot: int = SLOT_SESSION
    slot: int = 0
    id: bytes = bytes(16)
    deadline_ms: int = 0
    table_version: int = 0
    status: int = 0
    groups: Dict[str, Tuple] = field(default_factory=dict)  # by name: the fields in order
    address: bytes = b""
    source: bytes = b""
    op: bytes = b""
    key: bytes = b""
    payload: bytes = b""

    def value(self):
        """The payload as a Python value; no bytes are None."""
        return unpack(self.payload) if self.payload else None


def pack(value) -> bytes:
    return msgpack.packb(value, use_bin_type=True)


def unpack(payload: bytes):
    return msgpack.unpackb(payload, raw=False, strict_map_key=False)


def encode(record: Record) -> bytes:
    bits, groups = 0, b""
    for bit, (name, layout, _) in enumerate(GROUPS):
        if name in record.groups:
            bits |= 1 << bit
            groups += layout.pack(*record.groups[name])
    core = CORE.pack(VERSION, record.type, record.durability, 0, record.flags, 0, bits, record.source_slot, record.slot,
                     record.id, record.deadline_ms, record.table_version, len(record.address), len(record.source),
                     len(record.op), len(record.key), len(record.payload), record.status)
    return core + groups + record.address + record.source + record.op + record.key + record.payload


def skip_extensions(data: bytes) -> None:
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            raise WireError("an extension is cut off")
        kind, size = struct.unpack_from("<HH", data, at)
        if kind & 0x8000:
            raise WireError("an extension that must be understood: %#x" % kind)
        at += 4 + size
    if at != len(data):
        raise WireError("an extension is longer than its area")


def decode(data: bytes) -> Record:
    if len(data) < CORE.size:
        raise WireError("shorter than a core")
    (version, kind, durability, _, flags, extension_size, bits, source_slot, slot, id_, deadline_ms, table_version,
     address_size, source_size, op_size, key_size, payload_size, status) = CORE.unpack_from(data)
    if version != VERSION or bits >> len(GROUPS):
        raise WireError("of another version")
    record = Record(kind, durability, flags, source_slot, slot, id_, deadline_ms, table_version, status)
    at = CORE.size
    for bit, (name, layout, _) in enumerate(GROUPS):
        if bits >> bit & 1:
            if len(data) - at < layout.size:
                raise WireError("a group is cut off")
            record.groups[name] = layout.unpack_from(data, at)
            at += layout.size
    sizes = (extension_size, address_size, source_size, op_size, key_size, payload_size)
    if at + sum(sizes) != len(data):
        raise WireError("the lengths do not add up")
    parts = []
    for size in sizes:
        parts.append(data[at:at + size])
        at += size
    skip_extensions(parts[0])
    _, record.address, record.source, record.op, record.key, record.payload = parts
    return record


def encode_frames(records: List[bytes]) -> List[bytes]:
    """Encoded records in as few frames as hold them, in order."""
    frames, body, count = [], b"", 0
    for record in records:
        piece = struct.pack("<I", len(record)) + record
        if count and (count == RECORDS_MAX or 4 + len(body) + len(piece) > FRAME_MAX):
            frames.append(struct.pack("<BBH", VERSION, 0, count) + body)
            body, count = b"", 0
        body += piece
        count += 1
    if count:
        frames.append(struct.pack("<BBH", VERSION, 0, count) + body)
    return frames


def decode_frame(data: bytes) -> List[bytes]:
    if len(data) < 4:
        raise WireError("shorter than a frame's header")
    version, flags, count = struct.unpack_from("<BBH", data)
    if version != VERSION or flags:
        raise WireError("a frame of another version")
    records, at = [], 4
    for _ in range(count):
        if len(data) - at < 4:
            raise WireError("a frame is cut off")
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        if len(data) - at < size:
            raise WireError("a frame is cut off")
        records.append(data[at:at + size])
        at += size
    if at != len(data):
        raise WireError("bytes behind the last record")
    return records


MASK = (1 << 64) - 1


def hash64(data: bytes) -> int:
    """FNV-1a, then the finaliser of MurmurHash3."""
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & MASK
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & MASK
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & MASK
    return h ^ h >> 33


def hashed_part(address: bytes) -> bytes:
    """What is between the first braces that have something between them, or the whole address."""
    start = address.find(b"{")
    while start >= 0:
        end = address.find(b"}", start)
        if end < 0:
            break
        if end > start + 1:
            return address[start + 1:end]
        start = address.find(b"{", end)
    return address


def slot_of(address: bytes, group: int = 0) -> int:
    return group << 12 | hash64(hashed_part(address)) % 4096


@dataclass
class Place:
    """One reactor of one node."""

    node: int
    reactor: int
    endpoint: str


class Table:
    """Who serves what: the payload of TABLE, and of WELCOME's `table`."""

    def __init__(self, data: bytes):
        value = unpack(data)
        if value["v"] != 1:
            raise WireError("a table of another version")
        self.version = value["version"]
        self.cluster = value["cluster"]
        self.formed = value["formed"]
        self.nodes = {node[0]: {"id": node[0], "incarnation": node[1], "name": node[2], "alive": node[3],
                                "labels": node[4], "endpoints": node[5]} for node in value["nodes"]}
        self.shards = {shard[0]: {"epoch": shard[1], "node": shard[2], "incarnation": shard[3], "reactor": shard[4],
                                  "group": shard[5]} for shard in value["shards"]}
        self.kinds = {kind[0]: {"group": kind[1], "durability": kind[2], "needs": kind[3]} for kind in value["kinds"]}
        self.runs = [(run[0], run[1]) for run in value["slots"]]
        if sum(count for count, _ in self.runs) != 65536:
            raise WireError("the slots do not add up")

    def shard_of(self, slot: int) -> int:
        for count, shard in self.runs:
            if slot < count:
                return shard
            slot -= count
        return 0

    def place(self, node: int, reactor: int) -> Optional[Place]:
        found = self.nodes.get(node)
        if found is None or reactor >= len(found["endpoints"]):
            return None
        return Place(node, reactor, found["endpoints"][reactor])

    def slot_of(self, address: bytes) -> int:
        kind = self.kinds.get(address.split(b"/", 1)[0].decode())
        return slot_of(address, kind["group"] if kind else 0)

    def owner(self, address: bytes) -> Optional[Place]:
        """Where an agent lives; None: nobody serves it now."""
        shard = self.shards.get(self.shard_of(self.slot_of(address)))
        return self.place(shard["node"], shard["reactor"]) if shard else None

    def pool(self, address: bytes) -> Optional[List[Place]]:
        """All places that may run a stateless kind; None: the kind is not stateless."""
        kind = self.kinds.get(address.split(b"/", 1)[0].decode())
        if kind is None or kind["durability"] != STATELESS:
            return None
        return [Place(node["id"], reactor, endpoint) for node in self.nodes.values()
                if node["alive"] and (kind["needs"] is None or kind["needs"] in node["labels"])
                for reactor, endpoint in enumerate(node["endpoints"])]
