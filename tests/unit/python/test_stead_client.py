#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Python client against a ROUTER on a thread: retries, refusals, restarts, deadlines."""

import os
import sys
import threading
import unittest

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "system"))
import stead_wire as wire  # noqa: E402
from stead_client import AgentError, Client  # noqa: E402


class Reactor(threading.Thread):
    """One node that owns everything. Ops: echo, fail, mute; once-lost, once-busy, once-moved are so the first time."""

    def __init__(self, port=0):
        super().__init__()
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.setsockopt(zmq.LINGER, 0)
        self.router.bind("tcp://127.0.0.1:%s" % (port or "*"))
        self.endpoint = self.router.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")
        self.stopping, self.known, self.seen, self.requests = False, set(), {}, []
        self.start()

    def stop(self):
        self.stopping = True
        self.join()
        self.router.close(0)
        self.context.term()

    def table(self):
        return wire.pack({"v": 1, "version": 1, "cluster": bytes(16), "formed": True, "expected": 1,
                          "nodes": [[1, 1, "n1", True, [], [self.endpoint]]], "shards": [[1, 1, 1, 1, 0, 0]],
                          "kinds": [], "groups": [None] * 16, "slots": [[4096, 1], [61440, 0]]})

    def run(self):
        while not self.stopping:
            if self.router.poll(20):
                peer, frame = self.router.recv_multipart()
                for data in wire.decode_frame(frame):
                    answer = self.answer(peer, wire.decode(data))
                    if answer is not None:
                        self.router.send_multipart([peer, wire.encode_frames([wire.encode(answer)])[0]])

    def answer(self, peer, record):
        if record.type == wire.HELLO:
            self.known.add(peer)
            welcome = {"v": 1, "node": 1, "incarnation": 1, "reactor": 0, "name": "n1", "table": self.table()}
            return wire.Record(wire.WELCOME, slot=wire.SLOT_SESSION, payload=wire.pack(welcome))
        if peer not in self.known:
            return wire.Record(wire.HELLO, slot=wire.SLOT_SESSION)
        self.requests.append(record)
        op, before = record.op.decode(), self.seen.get(record.id, 0)
        self.seen[record.id] = before + 1
        if record.type == wire.TELL or op == "mute" or (op == "once-lost" and not before):
            return None
        answer = wire.Record(wire.ANSWER, id=record.id, groups={"session": record.groups["session"]},
                             slot=wire.SLOT_SESSION, payload=record.payload)
        refusal = {"fail": "failed", "once-busy": "busy", "once-moved": "not_owner"}.get(op)
        if refusal and (refusal == "failed" or not before):
            answer.status = -wire.NUMBERS[refusal]
            answer.payload = wire.pack({"name": "made_to", "sentence": "it is made to", "agent": "a/1", "op": op})
        return answer


class Requests(unittest.TestCase):
    def setUp(self):
        self.reactor = Reactor()
        self.client = Client(self.reactor.endpoint, timeout=10.0, retry=0.1)

    def tearDown(self):
        self.client.close()
        self.reactor.stop()

    def test_call_answered_returns_the_value(self):
        for number in range(20):
            self.assertEqual(self.client.call("a/%d" % number, "echo", {"n": number}), {"n": number})
        self.assertEqual([r.groups["session"][2:] for r in self.reactor.requests][-1], (20, 19))

    def test_call_failed_raises_what_the_agent_said(self):
        with self.assertRaises(AgentError) as caught:
            self.client.call("a/1", "fail")
        self.assertEqual((caught.exception.code, caught.exception.name), ("failed", "made_to"))

    def test_request_lost_or_refused_goes_again_under_its_number_and_id(self):
        for op in ("once-lost", "once-busy", "once-moved"):
            with self.subTest(op):
                self.client.signal("a/1", op, 7)
                first, second = [r for r in self.reactor.requests if r.op.decode() == op][:2]
                self.assertEqual((first.id, first.groups["session"][2]), (second.id, second.groups["session"][2]))
                self.assertTrue(second.flags & wire.FLAG_RETRY)

    def test_request_without_answer_times_out(self):
        with self.assertRaises(AgentError) as caught:
            self.client.call("a/1", "mute", timeout=0.3)
        self.assertEqual(caught.exception.code, "timeout")

    def test_requests_in_flight_survive_a_restart_of_the_node(self):
        self.client.call("a/1", "echo")
        port = self.reactor.endpoint.rsplit(":", 1)[1]
        tickets = [self.client.start("signal", "a/%d" % i, "echo", i) for i in range(5)]
        self.reactor.stop()
        self.client.poll(0.05)
        self.reactor = Reactor(port)
        self.assertTrue(self.client.drain(10.0))
        self.assertEqual([ticket.result() for ticket in tickets], list(range(5)))

    def test_tell_is_sent_once(self):
        self.client.tell("a/1", "echo", 1)
        self.client.call("a/1", "echo")
        self.assertEqual([r.type for r in self.reactor.requests], [wire.TELL, wire.CALL])


class Nobody(unittest.TestCase):
    def test_request_to_nobody_is_unavailable(self):
        with Client("tcp://127.0.0.1:1", timeout=0.3) as client:
            with self.assertRaises(AgentError) as caught:
                client.call("a/1", "echo")
            self.assertEqual(caught.exception.code, "unavailable")


if __name__ == "__main__":
    unittest.main()
