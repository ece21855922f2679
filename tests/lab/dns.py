#!/usr/bin/python3
"""An authoritative DNS server on loopback, for tests: UDP and TCP, real zones, and every kind of failure.

  python3 tests/lab/dns.py --zone FILE [--port N] [--log FILE] [--delay MS] [--ready FILE]

SIGHUP reads the zone file again; a zone file with a mistake leaves the zone as it was. A zone file has one record per
line, `#` begins a comment:

  example.org              A      192.0.2.10
  example.org              MX     10 mail.example.org
  example.org              TXT    "v=spf1 mx -all"
  s1._domainkey.example.org TXT   "v=DKIM1; p=AAAA" "BBBB"    several strings of one record
  www.example.org          CNAME  example.org
  *.wild.example           A      192.0.2.11
  broken.example           RCODE  SERVFAIL                    for every type; or REFUSED, NXDOMAIN, FORMERR
  silent.example           DROP                               no answer to any type ...
  half.example             DROP   TXT                         ... or to one alone
  slow.example             DELAY  800                         milliseconds
  .                        DROP                               the whole server is silent

`$TTL seconds` applies to what follows (0 at first, so that tests do not meet each other's answers in a cache); that of the
last line is also how long the absence of a name or type may be kept.
"""
import argparse
import os
import shlex
import signal
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {"FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
UDP_SIZE = 1232
LONGEST_CHAIN = 9


class ZoneError(Exception):
    pass


def wire_name(name):
    """The name as it goes over the wire, without compression."""
    wire = b""
    for label in name.rstrip(".").split("."):
        if label:
            raw = label.encode("latin-1")
            if len(raw) > 63:
                raise ZoneError("label longer than 63 bytes in %s" % name)
            wire += bytes([len(raw)]) + raw
    return wire + b"\0"


def wire_data(kind, words):
    """The data of one record; words are what followed the type in the zone file."""
    if kind == "A":
        return socket.inet_aton(words[0])
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, words[0])
    if kind == "MX":
        return struct.pack(">H", int(words[0])) + wire_name(words[1])
    if kind == "TXT":
        pieces = []
        for word in words:
            raw = word.encode("utf-8", "surrogateescape")
            pieces += [raw[i:i + 255] for i in range(0, len(raw), 255)] or [b""]
        return b"".join(bytes([len(piece)]) + piece for piece in pieces)
    return wire_name(words[0])


class Name:
    """All that is known of one owner name."""

    def __init__(self):
        self.records = {}       # type name -> [(ttl, data)]
        self.rcode = None
        self.dropped = set()    # type names, or "*"
        self.delay = 0.0        # seconds


class Zone:
    def __init__(self, text=""):
        self.names = {}
        self.above = set()      # names that have others below them
        self.ttl = 0
        for number, line in enumerate(text.splitlines(), 1):
            try:
                words = shlex.split(line, comments=True)
                if words:
                    self._add(words)
            except (ValueError, IndexError, OSError, ZoneError) as error:
                raise ZoneError("line %d: %s: %s" % (number, line.strip(), error))

    def _add(self, words):
        if words[0] == "$TTL":
            self.ttl = int(words[1])
            return
        name, kind = self.name(words[0]), words[1].upper()
        if kind == "RCODE":
            name.rcode = RCODES[words[2].upper()]
        elif kind == "DROP":
            name.dropped.add(words[2].upper() if len(words) > 2 else "*")
        elif kind == "DELAY":
            name.delay = int(words[2]) / 1000
        elif kind in TYPES:
            name.records.setdefault(kind, []).append((self.ttl, wire_data(kind, words[2:])))
        else:
            raise ZoneError("unknown type")

    def name(self, owner):
        """That of the owner, which begins to exist."""
        owner = owner.lower().rstrip(".")
        if owner not in self.names:
            self.names[owner] = Name()
            labels = owner.split(".")
            self.above.update(".".join(labels[i:]) for i in range(1, len(labels)))
        return self.names[owner]

    def find(self, owner):
        """The name itself, or the closest wildcard above it (RFC 4592); None where there is none."""
        if owner in self.names:
            return self.names[owner]
        labels = owner.split(".")
        for i in range(1, len(labels)):
            above = ".".join(labels[i:])
            if "*." + above in self.names:
                return self.names["*." + above]
            if above in self.names:
                return None
        return None

    def has_below(self, owner):
        return owner in self.above


class Query:
    """The one question of a packet."""

    def __init__(self, packet):
        self.ident, flags, n_questions = struct.unpack(">HHH", packet[:6])
        if flags & 0x8000 or n_questions != 1:
            raise ValueError("not a query with one question")
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
            at += packet[at] + 1
        number = struct.unpack(">H", packet[at + 1:at + 3])[0]
        self.question = packet[12:at + 5]
        self.owner = ".".join(labels).lower()
        self.kind = TYPE_NAMES.get(number, "TYPE%d" % number)
        self.recursion_desired = flags & 0x0100

    def reply(self, rcode, answers, tcp, negative_ttl=0):
        """Without answers, and @negative_ttl seconds given, the root's SOA says how long the absence may be kept."""
        body = b"".join(owner + struct.pack(">HHIH", TYPES[kind], 1, ttl, len(data)) + data
                        for owner, kind, ttl, data in answers)
        count, truncated = len(answers), 0
        if not tcp and 12 + len(self.question) + len(body) > UDP_SIZE:
            body, count, truncated = b"", 0, 0x0200
        # Answer, authoritative, recursion available: it stands in for a resolver.
        flags, n_authority = 0x8480 | self.recursion_desired | truncated | rcode, 0
        if not answers and rcode in (0, RCODES["NXDOMAIN"]) and negative_ttl:
            soa = b"\0\0" + struct.pack(">5I", 1, 3600, 600, 86400, negative_ttl)
            body, n_authority = b"\0" + struct.pack(">HHIH", TYPES["SOA"], 1, negative_ttl, len(soa)) + soa, 1
        return struct.pack(">HHHHHH", self.ident, flags, 1, count, n_authority, 0) + self.question + body


class Server:
    """Serves a zone from threads of its own. `log` has (name, type, "udp" or "tcp") of every query."""

    def __init__(self, zone=None, port=0, delay=0.0, log_file=None):
        self.zone, self.delay, self.silent = zone or Zone(), delay, False
        self.log, self.log_file, self.lock = [], log_file, threading.Lock()
        self._bind(port)
        self.tcp.listen(64)

    def _bind(self, port):
        """One port for both. What is free for UDP may be taken for TCP: then the next one."""
        for again in range(20, -1, -1):
            self.udp, self.tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.udp.bind(("127.0.0.1", port))
                self.port = self.udp.getsockname()[1]
                self.tcp.bind(("127.0.0.1", self.port))
                return
            except OSError:
                self.udp.close()
                self.tcp.close()
                if port != 0 or again == 0:
                    raise

    def start(self):
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()
        return self

    def close(self):
        for listener in (self.udp, self.tcp):
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def load(self, text):
        self.zone = Zone(text)

    def asked(self, name, kind=None):
        """How often a name was asked for since the log was last cleared."""
        return sum(1 for n, k, _ in list(self.log) if n == name and kind in (None, k))

    def _note(self, query, over):
        with self.lock:
            self.log.append((query.owner, query.kind, over))
            if self.log_file:
                self.log_file.write("%.3f %s %s %s\n" % (time.time(), query.owner, query.kind, over))
                self.log_file.flush()

    def _judge(self, query):
        """(rcode, answers, seconds to wait); None to say nothing."""
        zone, owner, answers = self.zone, query.owner, []
        root = zone.names.get("", Name())
        if self.silent or {"*", query.kind} & root.dropped:
            return None
        if root.rcode is not None:
            return root.rcode, [], self.delay
        name, delay = zone.find(owner), self.delay + root.delay
        at = b"\xc0\x0c"
        while name is not None:
            delay += name.delay
            if {"*", query.kind} & name.dropped:
                return None
            if name.rcode is not None:
                return name.rcode, [], delay
            if query.kind == "CNAME" or "CNAME" not in name.records or len(answers) > LONGEST_CHAIN:
                break
            ttl, data = name.records["CNAME"][0]
            answers.append((at, "CNAME", ttl, data))
            at, owner = data, self._text(data)
            name = zone.find(owner)
        if name is None:
            rcode = 0 if zone.has_below(owner) else RCODES["NXDOMAIN"]
            return rcode, answers, delay
        answers += [(at, query.kind, ttl, data) for ttl, data in name.records.get(query.kind, [])]
        return 0, answers, delay

    @staticmethod
    def _text(wire):
        labels, at = [], 0
        while wire[at]:
            labels.append(wire[at + 1:at + 1 + wire[at]].decode("latin-1"))
            at += wire[at] + 1
        return ".".join(labels).lower()

    def _answer(self, packet, send, over):
        """Judge at once, send now or later; a packet that is no query is dropped."""
        try:
            query = Query(packet)
        except (ValueError, IndexError, struct.error):
            return
        self._note(query, over)
        judged = self._judge(query)
        if judged is None:
            return
        rcode, answers, delay = judged
        reply = query.reply(rcode, answers, over == "tcp", self.zone.ttl)
        if delay <= 0:
            send(reply)
            return
        timer = threading.Timer(delay, send, [reply])
        timer.daemon = True
        timer.start()

    def _serve_udp(self):
        def sender(peer):
            def send(reply):
                try:
                    self.udp.sendto(reply, peer)
                except OSError:
                    pass    # closed meanwhile, or the asker has gone
            return send
        while True:
            try:
                packet, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if packet:
                self._answer(packet, sender(peer), "udp")
            elif self.udp.fileno() < 0:
                return

    def _serve_tcp(self):
        while True:
            try:
                peer, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._tcp_session, args=(peer,), daemon=True).start()

    def _tcp_session(self, peer):
        def send(reply):
            try:
                peer.sendall(struct.pack(">H", len(reply)) + reply)
            except OSError:
                pass
        with peer, peer.makefile("rb") as stream:
            peer.settimeout(30)
            try:
                while True:
                    head = stream.read(2)
                    if len(head) < 2:
                        return
                    self._answer(stream.read(struct.unpack(">H", head)[0]), send, "tcp")
            except OSError:
                return


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zone", required=True, metavar="FILE")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--log", metavar="FILE", help="append every query")
    parser.add_argument("--delay", type=int, default=0, metavar="MS", help="before every answer")
    parser.add_argument("--ready", metavar="FILE", help="the port is written there once it answers")
    args = parser.parse_args()

    def read_zone():
        with open(args.zone, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    try:
        server = Server(Zone(read_zone()), args.port, args.delay / 1000, open(args.log, "a") if args.log else None)
    except (OSError, ZoneError) as error:
        sys.exit("dns.py: %s: %s" % (args.zone, error))

    def reload(*_):
        try:
            server.load(read_zone())
        except (OSError, ZoneError) as error:
            print("dns.py: %s: %s; the zone stays as it was" % (args.zone, error), file=sys.stderr, flush=True)

    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.start()
    if args.ready:
        with open(args.ready + ".new", "w") as file:
            file.write("%d\n" % server.port)
        os.rename(args.ready + ".new", args.ready)
    print("dns.py: 127.0.0.1@%d" % server.port, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
