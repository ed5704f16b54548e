#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A second client of stead, written from docs/FORMATS.md alone: what it can do, anybody's client can.

As a program:  stead_client.py [--node ENDPOINT] call|signal|tell ADDRESS OP [JSON]
               stead_client.py [--node ENDPOINT] query NAME [JSON]
As a class:    with Client("tcp://127.0.0.1:7400") as client:
                   client.call("counter/alice", "add", {"by": 2})
                   ticket = client.start("signal", "counter/alice", "add", {"by": 2}); ...; client.wait(ticket)

One thread. A request is sent again under the same session, number and id until it is answered or its time is over.
"""

import argparse
import json
import os
import random
import sys
import time

import zmq

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stead_wire as wire  # noqa: E402

RETRY_S, RETRY_S_MAX, GREET_S = 1.0, 8.0, 2.0
REFUSALS = ("busy", "not_owner", "unavailable")
VERBS = {"call": wire.CALL, "signal": wire.SIGNAL, "query": wire.QUERY}


class AgentError(Exception):
    """A request that ended badly. `code` is the wire name; for `failed`, `name` is the op's own."""

    def __init__(self, code, name="", sentence="", agent="", op=""):
        super().__init__("%s: %s" % (name or code, sentence))
        self.code, self.name, self.sentence, self.agent, self.op = code, name or code, sentence, agent, op


class Ticket:
    """A request under way, and then its outcome."""

    def __init__(self, record, number, deadline, context):
        self.record, self.number, self.deadline, self.context = record, number, deadline, context
        self.due = 0.0  # when it is sent (again)
        self.sends, self.unanswered, self.refusals = 0, 0, 0
        self.refusal = None  # name of the last one
        self.link = None
        self.done, self.value, self.error = False, None, None

    def result(self):
        if self.error:
            raise self.error
        return self.value


class Link:
    """One DEALER. `up` from WELCOME on."""

    def __init__(self, context, endpoint):
        self.endpoint, self.up, self.greeted, self.place = endpoint, False, 0.0, None
        self.asked = time.monotonic()  # since when it is silent, or when the others were last asked about it
        self.out = []  # records that leave with the next flush
        self.socket = context.socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 0), (zmq.IMMEDIATE, 1), (zmq.RECONNECT_IVL, 20),
                              (zmq.RECONNECT_IVL_MAX, 200), (zmq.SNDHWM, 0), (zmq.RCVHWM, 0)):
            self.socket.setsockopt(option, value)
        self.socket.connect(endpoint)

    def flush(self):
        try:
            for frame in wire.encode_frames(self.out):
                self.socket.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            self.up, self.greeted = False, 0.0  # not connected: greet again, then repeat
        self.out = []


class Client:
    def __init__(self, endpoints=None, timeout=30.0, retry=RETRY_S, name="python"):
        endpoints = endpoints or os.environ.get("STEAD_NODE") or "tcp://127.0.0.1:7400"
        self.endpoints = endpoints.split(",") if isinstance(endpoints, str) else list(endpoints)
        self.timeout, self.retry, self.name = timeout, retry, name
        self.context, self.poller = zmq.Context(), zmq.Poller()
        self.table, self.links, self.tickets = None, {}, {}
        self.session, self.session_ms, self.next_number = os.urandom(16), int(time.time() * 1000), 1
        self.pending_numbers = set()
        self.counts = {"sent": 0, "resent": 0, "refused": 0, "dropped": 0}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for link in self.links.values():
            link.socket.close(0)
        self.links = {}
        self.context.term()

    # ---- Requests

    def call(self, address, op, args=None, **options):
        return self.wait(self.start("call", address, op, args, **options))

    def signal(self, address, op, args=None, **options):
        return self.wait(self.start("signal", address, op, args, **options))

    def query(self, name, args=None, node=0, **options):
        """Asks the owner of args["address"], or one node (by id; 0: any). Merging is the caller's."""
        address = (args or {}).get("address", "")
        return self.wait(self.start("query", address, name, args, node=node, **options))

    def tell(self, address, op, args=None, timeout=None):
        """Sent once. Raises `unavailable` when no connection opens in time."""
        record = wire.Record(wire.TELL, id=os.urandom(16), address=address.encode(), op=op.encode(),
                             payload=b"" if args is None else wire.pack(args))
        end = time.monotonic() + (timeout or self.timeout)
        while time.monotonic() < end:
            link = self._route(record, 0)
            if link is not None and link.up:
                record.table_version = self.table.version if self.table else 0
                link.out.append(wire.encode(record))
                link.flush()
                return
            self.poll(0.02)
        raise AgentError("unavailable", sentence="no node could be reached")

    def start(self, verb, address, op, args=None, timeout=None, durability=0, key="", delay_ms=0, fence=0, node=0,
              context=None):
        """Queues a request; it travels in poll(). Returns its ticket."""
        seconds = timeout or self.timeout
        record = wire.Record(VERBS[verb], durability=durability, id=os.urandom(16), address=address.encode(),
                             op=op.encode(), key=key.encode(), payload=b"" if args is None else wire.pack(args),
                             deadline_ms=int((time.time() + seconds) * 1000))
        if key:
            record.groups["key"] = ()
        if delay_ms:
            record.groups["delay"] = (delay_ms,)
        if fence:
            record.groups["fence"] = (fence,)
        ticket = Ticket(record, self.next_number, time.monotonic() + seconds, context)
        ticket.node = node
        self.next_number += 1
        self.pending_numbers.add(ticket.number)
        record.groups["session"] = (self.session, self.session_ms, ticket.number, 0)
        self.tickets[record.id] = ticket
        return ticket

    def wait(self, ticket):
        while not ticket.done:
            self.poll(0.1)
        return ticket.result()

    def drain(self, timeout=30.0):
        """Until nothing is in flight; True if so."""
        end = time.monotonic() + timeout
        while self.tickets and time.monotonic() < end:
            self.poll(0.1)
        return not self.tickets

    # ---- Routing

    def _link(self, endpoint):
        if endpoint not in self.links:
            self.links[endpoint] = Link(self.context, endpoint)
            self.poller.register(self.links[endpoint].socket, zmq.POLLIN)
        return self.links[endpoint]

    def _any_link(self):
        """A link that is up, else one that is being tried; every endpoint that is known is."""
        known = self.endpoints + [node["endpoints"][0] for node in (self.table.nodes.values() if self.table else [])
                                  if node["endpoints"]]
        links = [self._link(endpoint) for endpoint in known]
        return next((link for link in links if link.up), links[0])

    def _route(self, record, node):
        if self.table is None:
            link = self._any_link()
            return link if link.up and not record.address else None
        if not record.address:
            record.slot = wire.SLOT_NODE
            place = self.table.place(node, 0) if node else None
            return self._link(place.endpoint) if place else (None if node else self._any_link())
        record.slot = self.table.slot_of(record.address)
        pool = self.table.pool(record.address)
        if pool is not None:
            return self._link(random.choice(pool).endpoint) if pool else None
        place = self.table.owner(record.address)
        return self._link(place.endpoint) if place else None

    def _refresh(self):
        for link in self.links.values():
            link.up, link.greeted = False, 0.0  # HELLO again: the answer is the newest table

    def _forget_links(self):
        """Those to places that the table no longer has."""
        known = set(self.endpoints).union(*(node["endpoints"] for node in self.table.nodes.values()))
        for endpoint in [it for it in self.links if it not in known]:
            self.poller.unregister(self.links[endpoint].socket)
            self.links.pop(endpoint).socket.close(0)

    # ---- Turning

    def poll(self, timeout=0.0):
        """Sends what is due, takes what has arrived, waits up to `timeout` seconds. The tickets that ended."""
        ended = []
        self._send_due(ended)
        self._greet()
        for link in self.links.values():
            link.flush()
        wait = 0.0 if ended else min([timeout] + [max(0.0, t.due - time.monotonic()) for t in self.tickets.values()])
        if not self.links:
            time.sleep(min(wait, 0.01))
            return ended
        for socket, _ in self.poller.poll(int(wait * 1000) + (wait > 0)):
            link = next((it for it in self.links.values() if it.socket is socket), None)
            while link is not None and not link.socket.closed:
                try:
                    frame = link.socket.recv(zmq.DONTWAIT)
                except zmq.Again:
                    break
                for record in wire.decode_frame(frame):
                    self._take(link, wire.decode(record), ended)
        return ended

    def _greet(self):
        if not self.links:
            self._any_link()
        silent = [link for link in self.links.values() if not link.up and time.monotonic() - link.asked >= GREET_S]
        for link in silent:
            link.asked = time.monotonic()
        if silent:
            self._refresh()  # perhaps it is not there any more: the others know
        hello = {"v": 1, "role": "client", "name": self.name, "table": self.table.version if self.table else 0}
        for link in self.links.values():
            if not link.up and time.monotonic() - link.greeted >= (GREET_S if link.greeted else 0):
                link.greeted = time.monotonic()
                record = wire.Record(wire.HELLO, id=os.urandom(16), slot=wire.SLOT_NODE, payload=wire.pack(hello))
                try:
                    link.socket.send(wire.encode_frames([wire.encode(record)])[0], zmq.DONTWAIT)
                except zmq.Again:
                    link.greeted = time.monotonic() - GREET_S + 0.02  # not connected yet

    def _send_due(self, ended):
        now = time.monotonic()
        mark = min(self.pending_numbers) - 1 if self.pending_numbers else self.next_number - 1
        for ticket in list(self.tickets.values()):
            if now >= ticket.deadline:
                self._end(ticket, ended, error=self._late(ticket))
            elif now >= ticket.due:
                self._send(ticket, now, mark)

    def _send(self, ticket, now, mark):
        record = ticket.record
        ticket.link = self._route(record, ticket.node)
        ticket.due = now + 0.02
        if ticket.link is None or not ticket.link.up:
            return
        record.groups["session"] = (self.session, self.session_ms, ticket.number, mark)
        record.table_version = self.table.version if self.table else 0
        if ticket.sends:
            record.flags |= wire.FLAG_RETRY
            self.counts["resent"] += 1
        ticket.link.out.append(wire.encode(record))
        ticket.due = now + min(self.retry * 2 ** ticket.sends, RETRY_S_MAX)
        ticket.sends += 1
        ticket.unanswered += 1
        self.counts["sent"] += 1

    @staticmethod
    def _late(ticket):
        """The deadline has passed: what is known of the outcome."""
        op = ticket.record.op.decode()
        agent = ticket.record.address.decode()
        if ticket.unanswered:
            return AgentError("timeout", sentence="the outcome is unknown", agent=agent, op=op)
        code = "busy" if ticket.refusal == "busy" else "unavailable"
        return AgentError(code, sentence="nothing was executed", agent=agent, op=op)

    def _end(self, ticket, ended, value=None, error=None):
        ticket.done, ticket.value, ticket.error = True, value, error
        self.pending_numbers.discard(ticket.number)
        del self.tickets[ticket.record.id]
        ended.append(ticket)

    # ---- What arrives

    def _take(self, link, record, ended):
        if record.type == wire.WELCOME:
            table = record.value().get("table", b"")
            if table:
                self._take_table(table)
            link.up, link.asked = True, time.monotonic()
            for ticket in self.tickets.values():
                if ticket.link is link and ticket.refusal is None:
                    ticket.due = 0.0
        elif record.type == wire.TABLE:
            self._take_table(record.payload)
        elif record.type == wire.HELLO:
            link.up, link.greeted, link.asked = False, 0.0, time.monotonic()  # it does not know us: say it again, then repeat
        elif record.type == wire.ANSWER:
            self._take_answer(link, record, ended)

    def _take_table(self, data):
        table = wire.Table(data)
        if self.table is None or table.cluster != self.table.cluster or table.version > self.table.version:
            self.table = table
            self._forget_links()
            for ticket in self.tickets.values():
                if ticket.refusal != "busy":
                    ticket.due = 0.0

    def _take_answer(self, link, record, ended):
        ticket = self.tickets.get(record.id)
        if ticket is None:
            self.counts["dropped"] += 1
            return
        if record.status == 0:
            self._end(ticket, ended, value=record.value())
            return
        code = wire.ERRORS.get(-record.status, "unknown")
        fields = record.value() or {}
        if code in REFUSALS:
            self.counts["refused"] += 1
            ticket.unanswered -= ticket.unanswered > 0
            ticket.refusal = code
            ticket.due = time.monotonic() + fields.get("retry_after_ms", min(10 * 2 ** ticket.refusals, 640)) / 1000
            ticket.refusals += 1
            if code != "busy":
                self._refresh()
            return
        self._end(ticket, ended, error=AgentError(code, fields.get("name", ""), fields.get("sentence", ""),
                                                  fields.get("agent", ""), fields.get("op", "")))


# ---- The program --------------------------------------------------------------------------------


def main(arguments=None):
    parser = argparse.ArgumentParser(description="a second client of stead, in Python")
    parser.add_argument("--node", help="endpoints, comma-separated; default $STEAD_NODE, else tcp://127.0.0.1:7400")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds")
    parser.add_argument("--key", default="", help="idempotency key")
    parser.add_argument("verb", choices=["call", "signal", "tell", "query"])
    parser.add_argument("words", nargs="+", help="ADDRESS OP [JSON], or for a query NAME [JSON]")
    options = parser.parse_args(arguments)
    words = options.words if options.verb != "query" else [""] + options.words
    if len(words) not in (2, 3):
        parser.error("ADDRESS OP [JSON], or for a query NAME [JSON]")
    args = json.loads(words[2]) if len(words) == 3 else None
    with Client(options.node, timeout=options.timeout) as client:
        try:
            if options.verb == "tell":
                client.tell(words[0], words[1], args)
                time.sleep(0.1)  # the socket is closed without lingering
            elif options.verb == "query":
                print(json.dumps(client.query(words[1], args), default=repr))
            else:
                value = client.wait(client.start(options.verb, words[0], words[1], args, key=options.key))
                print(json.dumps(value, default=repr))
        except AgentError as error:
            print("%s (%s %s)" % (error, error.agent, error.op), file=sys.stderr)
            return {"unavailable": 3, "timeout": 4}.get(error.code, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
