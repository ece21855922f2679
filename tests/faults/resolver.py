"""
A DNS server on loopback that answers well, but for the questions that it has a rule for.

    server = Resolver(Zone(text)).start()
    server.rules["example.org", "TXT"] = "servfail"     # FAULTS names them all
    server.sign({"example.org"})                        # DNSSEC for these zones, by KEY; anchor() is what to trust

The answers that a rule asks for are sent as they are, however wrong.
"""
import base64
import functools
import os
import random
import socket
import struct
import sys
import threading
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")]

from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402
from lab.dns import TYPES, Query, Server, Zone, wire_name  # noqa: E402, F401

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NUMBERS = {**TYPES, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48}
LATE = 3.0      # seconds, of "late"
HUGE = 60000    # bytes more in an answer
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)


# ---- packets ----

def record(owner, kind, data, ttl=0):
    return owner + struct.pack(">HHIH", NUMBERS[kind], 1, ttl, len(data)) + data


def packet(query, rcode=NOERROR, answers=(), authority=(), truncated=False, question=None):
    flags = 0x8480 | query.recursion_desired | (0x0200 if truncated else 0) | rcode
    question = query.question if question is None else question
    return (struct.pack(">HHHHHH", query.ident, flags, 1 if question else 0, len(answers), len(authority), 0) + question +
            b"".join(answers) + b"".join(authority))


# ---- DNSSEC: RFC 4034, algorithm 15 ----

def dnskey():
    return struct.pack(">HBB", 257, 3, 15) + KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def key_tag():
    total = sum(byte << 8 if i % 2 == 0 else byte for i, byte in enumerate(dnskey()))
    return (total + (total >> 16)) & 0xFFFF


def anchor(zone):
    return "%s. IN DNSKEY 257 3 15 %s" % (zone, base64.b64encode(dnskey()[4:]).decode())


def signature(zone, owner, kind, datas, until, ttl=0):
    labels = sum(1 for label in owner.split(".") if label)
    head = struct.pack(">HBBIIIH", NUMBERS[kind], 15, labels, ttl, until, until - 10 * 86400, key_tag()) + wire_name(zone)
    signed = b"".join(record(wire_name(owner), kind, data, ttl) for data in sorted(datas))
    return head + KEY.sign(head + signed)


# ---- what can go wrong: each takes the server, the query, and (rcode, [(owner, kind, ttl, data)]) as it should be ----

def as_it_is(server, query, judged):
    return server.packet(query, judged)


def code(rcode):
    return lambda server, query, judged: packet(query, rcode)


def silent(server, query, judged):
    return None


def late(server, query, judged):
    time.sleep(LATE)
    return server.packet(query, judged)


def wrong_id(server, query, judged):
    return struct.pack(">H", query.ident ^ 0x5555) + server.packet(query, judged)[2:]


def wrong_question(server, query, judged):
    question = wire_name("other." + query.owner) + query.question[-4:]
    rcode, answers = judged
    return packet(query, rcode, [record(b"\xc0\x0c", kind, data) for _, kind, _, data in answers], question=question)


def no_question(server, query, judged):
    rcode, answers = judged
    return packet(query, rcode, [record(wire_name(query.owner), kind, data) for _, kind, _, data in answers], question=b"")


def garbage(server, query, judged):
    return bytes(random.Random(query.ident).randrange(256) for _ in range(120))


def garbled(server, query, judged):
    """Header and question are right, what follows is not."""
    return packet(query, NOERROR, [garbage(server, query, judged)])


def half(server, query, judged):
    whole = server.packet(query, judged)
    return whole[:12 + len(query.question) + (len(whole) - 12 - len(query.question)) // 2] if judged[1] else whole[:14]


def empty(server, query, judged):
    return b""


def echo(server, query, judged):
    return packet(query)[:2] + b"\x01\x00" + packet(query)[4:]


def cname_loop(server, query, judged):
    here, there = (query.owner, "loop." + query.owner) if not query.owner.startswith("loop.") else (query.owner, query.owner[5:])
    return packet(query, NOERROR, [record(wire_name(here), "CNAME", wire_name(there)), record(wire_name(there), "CNAME", wire_name(here))])


def nxdomain(server, query, judged):
    return server.packet(query, (NXDOMAIN, judged[1]))


def huge(server, query, judged):
    """The right record and a great many others. (More than ten MX, and many keys, are errors of their own.)"""
    filler = {"TXT": b"\xff" + b"x" * 255, "A": b"\xcb\x00\x71\x01"}.get(query.kind)
    if filler is None or "_domainkey" in query.owner:
        return server.packet(query, judged)
    return server.packet(query, (NOERROR, judged[1] + [(b"\xc0\x0c", query.kind, 0, filler)] * (HUGE // (len(filler) + 12))))


def bogus(server, query, judged):
    signed = server.packet(query, judged)
    return signed[:-1] + bytes([signed[-1] ^ 1])    # the last byte of the last signature


def stripped(server, query, judged):
    rcode, answers = judged
    return packet(query, rcode, [record(owner, kind, data, ttl) for owner, kind, ttl, data in answers])


def expired(server, query, judged):
    return server.packet(query, judged, until=int(time.time()) - 3 * 86400)    # a day more or less is forgiven


class Fault:
    """@tcp: what becomes of a question over TCP where UDP is truncated; None: the same as over UDP."""

    def __init__(self, make, elsewhere=False, tcp=None, tcp_open=True):
        self.make, self.elsewhere, self.tcp, self.tcp_open = make, elsewhere, tcp, tcp_open


FAULTS = {
    "servfail": Fault(code(SERVFAIL)), "refused": Fault(code(REFUSED)), "formerr": Fault(code(FORMERR)), "notimp": Fault(code(NOTIMP)),
    "rcode 11": Fault(code(11)), "silent": Fault(silent), "late": Fault(late), "wrong id": Fault(wrong_id),
    "wrong question": Fault(wrong_question), "no question": Fault(no_question), "wrong port": Fault(as_it_is, elsewhere=True),
    "garbage": Fault(garbage), "garbled": Fault(garbled), "half a packet": Fault(half), "empty packet": Fault(empty), "echo": Fault(echo),
    "CNAME loop": Fault(cname_loop), "NXDOMAIN with answers": Fault(nxdomain), "huge": Fault(huge),
    "TC, TCP works": Fault(as_it_is, tcp=as_it_is), "TC, TCP refused": Fault(as_it_is, tcp=silent, tcp_open=False),
    "TC, TCP hangs": Fault(as_it_is, tcp=silent), "TC, TCP half": Fault(as_it_is, tcp=half),
    "bogus": Fault(bogus), "expired": Fault(expired), "stripped": Fault(stripped),
}


class Resolver(Server):
    def __init__(self, zone=None, port=0):
        super().__init__(zone, port)
        self.rules, self.signed = {}, set()
        self.elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.elsewhere.bind(("127.0.0.1", 0))

    def sign(self, zones):
        self.signed = set(zones)

    def open_tcp(self, wanted):
        if wanted == (self.tcp.fileno() >= 0):
            return
        if not wanted:
            self.tcp.shutdown(socket.SHUT_RDWR)
            self.tcp.close()
            return
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", self.port))
        self.tcp.listen(64)
        threading.Thread(target=self._serve_tcp, daemon=True).start()

    def packet(self, query, judged, until=None):
        """As it should be, with its signatures where the name's zone is signed."""
        rcode, answers = judged
        zone = query.owner.rsplit(".", 1)[-1]
        records = [record(owner, kind, data, ttl) for owner, kind, ttl, data in answers]
        if zone not in self.signed:
            return packet(query, rcode, records)
        until = until or int(time.time()) + 86400
        if answers:
            kind, ttl = answers[0][1:3]
            rrsig = signature(zone, query.owner, kind, [data for _, _, _, data in answers], until, ttl)
            return packet(query, rcode, [*records, record(b"\xc0\x0c", "RRSIG", rrsig, ttl)])
        # RFC 9824: the name is there, and has nothing but these two types.
        nsec = wire_name("\0." + query.owner) + b"\0\6\0\0\0\0\0\3"
        rrsig = signature(zone, query.owner, "NSEC", [nsec], until)
        return packet(query, NOERROR, [], [record(b"\xc0\x0c", "NSEC", nsec), record(b"\xc0\x0c", "RRSIG", rrsig)])

    def right(self, query):
        """(rcode, answers); None where the zone itself says nothing."""
        if query.kind == "TYPE48" and query.owner in self.signed:
            return NOERROR, [(b"\xc0\x0c", "DNSKEY", 3600, dnskey())]
        judged = self._judge(query)
        return judged and judged[:2]

    def rule(self, query):
        kind = "DNSKEY" if query.kind == "TYPE48" else query.kind
        owner = query.owner[5:] if query.owner.startswith("loop.") else query.owner
        return FAULTS.get(self.rules.get((owner, kind)), Fault(as_it_is))

    def _answer(self, data, send, over):
        try:
            query = Query(data)
        except (ValueError, IndexError, struct.error):
            return
        self._note(query, over)
        rule, judged = self.rule(query), self.right(query)
        make = rule.make if over == "udp" or rule.tcp is None else rule.tcp
        if judged is None or make is silent:
            return

        def answer():
            reply = make(self, query, judged)
            if over == "udp" and (rule.tcp is not None or len(reply) > 1232 and make is huge):
                reply = packet(query, truncated=True)
            if over == "udp":
                send(reply, rule.elsewhere)
            else:
                send(reply, make is half)
        if make is late:
            threading.Thread(target=answer, daemon=True).start()
        else:
            answer()

    def _send_udp(self, peer, reply, elsewhere):
        try:
            (self.elsewhere if elsewhere else self.udp).sendto(reply, peer)
        except OSError:
            pass    # closed meanwhile, or the asker has gone

    def _serve_udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if data:
                self._answer(data, functools.partial(self._send_udp, peer), "udp")
            elif self.udp.fileno() < 0:
                return

    def _tcp_session(self, peer):
        def send(reply, short):
            try:
                peer.sendall(struct.pack(">H", len(reply) + (500 if short else 0)) + reply)
                if short:
                    peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        with peer, peer.makefile("rb") as stream:
            peer.settimeout(30)
            try:
                while len(head := stream.read(2)) == 2:
                    self._answer(stream.read(struct.unpack(">H", head)[0]), send, "tcp")
            except OSError:
                return
