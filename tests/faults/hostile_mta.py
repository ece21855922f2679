#!/usr/bin/python3
"""
A peer on the milter socket that does whatever it likes, beside an MTA that goes on judging mail.

    hostile_mta.py PROGRAM [--seconds N] [--sessions N] [--seed N] [--attack WORD] [unittest arguments]

PROGRAM is trimilter; MILTER_ENGINE in the environment is the front. Each attack lasts N seconds (2), the random one so
many sessions (500); with --attack only those whose name has that word. During all of them each message of the healthy MTA has to be judged right and within PATIENCE,
and the worker's resident memory stays below MEMORY; afterwards its descriptors and threads are what they were.
"""
import functools
import multiprocessing
import os
import random
import resource
import selectors
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

import parties
from parties import test_daemon
from test_daemon import Case, Milter, wait_for
from test_engines import connect, header, helo, macros, mail, message, offer, packet, rcpt, Conversation, VERSIONS


def option(name, default):
    if name not in sys.argv:
        return default
    at = sys.argv.index(name)
    value = type(default)(sys.argv[at + 1])
    del sys.argv[at:at + 2]
    return value


SECONDS, SESSIONS, SEED = option("--seconds", 2), option("--sessions", 500), option("--seed", 20251121)
ONLY = option("--attack", "")
PATIENCE = 5    # seconds
# MiB. libmilter keeps whatever is sent, 5 MiB for each connection, and has no limit for all.
MEMORY = {"native": 450, "libmilter": 1200}
CLIENTS = 4
fork = multiprocessing.get_context("fork")


# ---- the healthy MTA, a process of its own ----

KINDS = {"genuine": (parties.GENUINE, parties.SIGNED), "forged": (parties.FORGER, parties.FIELDS), "outgoing": ("127.0.0.1", parties.FIELDS)}


LARGE = [("X-Large", " " + "x" * 100000), *parties.FIELDS]


def kinds():
    """
    libmilter defers what needs more than 64 KiB while others hold all memory; with the native front they give way, where
    memory and time are the program's own.
    """
    return {**KINDS, "large": ("127.0.0.1", LARGE)} if test_daemon.ENGINE == "native" and not has_sanitizer() else KINDS


def is_right(kind, result):
    if kind == "forged":
        return result.action == "reject" and result.reply.startswith("550 5.7.1 ")
    if kind in ("outgoing", "large"):
        return result.action == "accept" and len(result.header("DKIM-Signature")) == 1
    fields = result.header("Authentication-Results")
    return result.action == "accept" and len(fields) == 1 and all(word in fields[0] for word in ("dkim=pass", "spf=pass", "dmarc=pass"))


def at_a_place(address, begin):
    """A connection. libmilter takes thousands that say nothing, one after the other: an MTA comes again when they fill the backlog."""
    while True:
        try:
            return Milter(address, timeout=30)
        except BlockingIOError:
            if test_daemon.ENGINE == "native" or time.monotonic() - begin > PATIENCE:
                raise
            time.sleep(0.05)


def judge(address, number, over, took, failures):
    chance = random.Random(number)
    while not over.is_set():
        kind = chance.choice(list(kinds()))
        begin = time.monotonic()
        try:
            with at_a_place(address, begin) as milter:
                milter.connect("mail.example.org", kinds()[kind][0])
                milter.helo("mail.example.org")
                for _ in range(chance.randint(1, 3)):
                    result = milter.message("a@example.org", ["b@example.net"], kinds()[kind][1], parties.BODY, queue_id="HEALTHY")
                    took.append(time.monotonic() - begin)
                    if not is_right(kind, result):
                        failures.append(f"{kind}: {result!r}")
                    begin = time.monotonic()
        except Exception as error:  # noqa: BLE001
            failures.append(f"{kind}: {error!r} after {time.monotonic() - begin:.1f} s")


def healthy(address, pipe):
    over, took, failures = threading.Event(), [], []
    threads = [threading.Thread(target=judge, args=(address, number, over, took, failures)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    pipe.recv()
    over.set()
    for thread in threads:
        thread.join(60)
    pipe.send((len(took), max(took, default=0), failures[:5]))


# ---- attacks, in processes of their own ----

def open_socket(address):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(1)
    peer.connect(address.split(":", 1)[1])
    peer.setblocking(False)
    return peer


class Attacker:
    """
    One connection that sends @begin and then @again for ever; opened again when it ends.

    @reads: what is answered. @slowly: a byte at a time, so many a second; where there is an @again, only that. @reset: at the first byte of a reply.
    """

    def __init__(self, selector, address, begin, again=b"", reads=True, slowly=0, reset=False):
        self.selector, self.address = selector, address
        self.begin, self.again, self.reads, self.slowly, self.reset = begin, again, reads, slowly, reset
        self.peer = None
        self.open()

    def open(self):
        try:
            self.peer = open_socket(self.address)
        except OSError:
            self.peer = None
            return
        self.rest, self.at, self.due = self.begin, 0, 0
        self.selector.register(self.peer, self.events(), self)

    def events(self):
        wants = self.at < len(self.rest) or self.again
        return (selectors.EVENT_READ if self.reads else 0) | (selectors.EVENT_WRITE if wants and not self.slowly else 0) or selectors.EVENT_READ

    def close(self):
        if self.peer is not None:
            self.selector.unregister(self.peer)
            self.peer.close()
            self.peer = None

    def send(self):
        if self.at >= len(self.rest):
            self.rest, self.at = self.again, 0
        if self.rest:
            self.at += self.peer.send(memoryview(self.rest)[self.at:self.at + (1 if self.slowly and self.rest is (self.again or self.begin) else len(self.rest))])
        if self.at >= len(self.rest) and not self.again:
            self.selector.modify(self.peer, selectors.EVENT_READ, self)

    def receive(self):
        if not self.peer.recv(1 << 16):
            return False
        if self.reset:
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        return True

    def turn(self, events):
        try:
            alive = not events & selectors.EVENT_READ or not self.reads or self.receive()
            if alive and (events & selectors.EVENT_WRITE):
                self.send()
        except BlockingIOError:
            return
        except OSError:
            alive = False
        if not alive:
            self.close()
            self.open()


def attack(address, seconds, rows, ready):
    """@rows: (how many, arguments of Attacker)"""
    selector = selectors.DefaultSelector()
    attackers = [Attacker(selector, address, **row) for n, row in rows for _ in range(n)]
    ready.set()
    end, tick = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for key, events in selector.select(0.1):
            key.data.turn(events)
        now = time.monotonic()
        if now >= tick:
            tick = now + 0.2
            for attacker in attackers:
                if attacker.peer is None:
                    attacker.open()
                elif attacker.slowly and now >= attacker.due:
                    attacker.due = now + 1 / attacker.slowly
                    attacker.turn(selectors.EVENT_WRITE)


# What a connection may be in the middle of.
STAGES = {"nothing": [], "negotiated": [offer(6)], "connected": [offer(6), connect(), helo()],
          "header": [offer(6), connect(), helo(), mail(), rcpt(), header(b"From", b" a@example.org")],
          "body": [offer(6), connect(), helo(), mail(), rcpt(), header(b"From", b" a@example.org"), packet("N"), packet("B", b"x")]}
IN_HEADER = b"".join(STAGES["header"])
LONG = 5 << 20
SIGNED_MESSAGE = b"".join([mail(), rcpt(), *[header(name.encode(), value.encode()) for name, value in parties.SIGNED],
                           packet("N"), packet("B", parties.BODY), packet("E")])
PAIRS = b"".join(b"{m%d}\0v\0" % n for n in range(10000))[:65535 - 1]
EMPTY_PAIRS = b"\0" * 65000
ATTACKS = {
    "connections that say nothing": [(6000, {"begin": b""})],
    "half a length": [(2000, {"begin": b"\0\0"})],
    "negotiated, then silent": [(2000, {"begin": b"".join(STAGES["connected"])})],
    "connections that come and go": [(200, {"begin": b"".join(STAGES["connected"]) + packet("Q")})],
    "a byte at a time": [(500, {"begin": b"".join(STAGES["connected"]) + SIGNED_MESSAGE, "slowly": 2})],
    "a byte of a body at a time": [(5000, {"begin": b"".join(STAGES["body"]) + struct.pack("!I", 65536) + b"B", "again": b"x", "slowly": 2})],
    "long fields announced": [(1000, {"begin": IN_HEADER + struct.pack("!I", LONG) + b"L" + b"x" * 9000})],
    "long fields without their end": [(150, {"begin": IN_HEADER + struct.pack("!I", LONG) + b"L" + b"x" * (LONG - 2)})],
    "headers of 4 MiB, then silent": [(200, {"begin": IN_HEADER + header(b"X", b"x" * 100000) * 40})],
    "a million fields": [(4, {"begin": IN_HEADER, "again": header(b"A", b" b") * 5000})],
    "fields of DKIM-Signature": [(4, {"begin": IN_HEADER, "again": header(b"DKIM-Signature", b" v=1; a=rsa-sha256; d=example.org; s=x; h=from; b=; bh=") * 500})],
    "recipients without end": [(4, {"begin": b"".join(STAGES["connected"]) + mail(), "again": rcpt() * 5000})],
    "a body without end": [(8, {"begin": b"".join(STAGES["body"]), "again": packet("B", b"x" * 65535)})],
    "a body of empty lines": [(8, {"begin": b"".join(STAGES["connected"]) + SIGNED_MESSAGE[:-len(packet("E"))], "again": packet("B", b"\r\n" * 32000)})],
    "10,000 macros": [(8, {"begin": b"".join(STAGES["connected"]), "again": b"".join(packet("D", stage + PAIRS) for stage in (b"C", b"H", b"M", b"R", b"E"))})],
    "macros to look through at each MAIL": [(16, {"begin": b"".join(STAGES["connected"]) + b"".join(packet("D", stage + EMPTY_PAIRS) for stage in (b"C", b"H", b"M", b"R", b"T", b"N", b"E")),
                                                  "again": (packet("D", b"M" + EMPTY_PAIRS) + packet("D", b"H" + EMPTY_PAIRS) + mail() * 2000)})],
    "MAIL after MAIL": [(16, {"begin": b"".join(STAGES["connected"]), "again": mail() * 5000})],
    "aborts and new clients": [(8, {"begin": b"".join(STAGES["connected"]), "again": (mail() + packet("A") + packet("K") + connect() + helo()) * 500})],
    "message after message": [(16, {"begin": b"".join(STAGES["connected"]), "again": SIGNED_MESSAGE * 50})],
    "replies that nobody reads": [(50, {"begin": b"".join(STAGES["connected"]), "again": SIGNED_MESSAGE * 50, "reads": False})],
    "old MTAs that do not read": [(50, {"begin": offer(2) + connect() + helo() + mail() + rcpt(), "again": header(b"A", b"b") * 1000, "reads": False})],
    "reset at the first byte of a reply": [(50, {"begin": b"".join(STAGES["connected"]) + SIGNED_MESSAGE * 20, "reset": True})],
}


# Packets that are wrong, at every stage.
def wrong_packets():
    lengths = (0, 1, 2, 65535, 65536, LONG, LONG + 1, LONG + 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
    rows = [struct.pack("!I", n) + code for n in lengths for code in (b"", b"B", b"L", b"O", b"D", b"\0", b"\xff")]
    rows += [b"\0", b"\0\0\0", b"GET / HTTP/1.0\r\n\r\n", b"EHLO x\r\n"]
    rows += [packet(chr(code), data) for code in range(256) for data in (b"", b"x", b"x\0", b"\0" * 13)]
    rows += [packet(code, b"x" * 70000) for code in "OCHMRTLNBEAQDUK"]
    rows += [offer(6) * 2, offer(0, (0x1FF, 0x1FFFFF)), offer(1, (0x1FF, 0x1FFFFF)), packet("O", b"\xff" * 12), packet("N") * 3, packet("E") * 3, mail() + packet("E"),
             macros("Z", ("i", "x")), macros("L", ("i", "x")), packet("D", b"M" + b"x" * 65534), packet("D", b"M" + b"x" * 65536),
             packet("D", b"M" + (b"x" * 60000) + b"\0y\0"), connect(b"x" * 70000), connect(b"h", b"4", b"1" * 70000), helo(b"x" * 70000),
             mail(b"<" + b"x" * 1000000 + b">"), rcpt(b"<" + b"x" * 1000000 + b">"), header(b"x" * 1000000, b""), header(b"", b"x"),
             mail(b"<a@b>", *[b"X=1"] * 10000), packet("E", b"x" * 100000), packet("K") * 1000, packet("A") * 1000, packet("Q") * 1000]
    return rows


def say_and_go(address, data, linger):
    """Sends it, and waits until the other side has had enough; @linger: seconds to wait at most before our end closes."""
    try:
        with open_socket(address) as peer:
            peer.settimeout(10)
            try:
                peer.sendall(data)
            except TimeoutError:
                # libmilter reads on when its replies have left, and nobody reads those yet.
                if test_daemon.ENGINE == "libmilter":
                    return None
                raise
            if linger == 0:
                return None
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(1 << 16):
                pass
    except TimeoutError:
        return f"not closed after {data[:200]!r} ({len(data)} bytes)"
    except OSError:
        pass
    return None


def in_parallel(address, jobs, pipe):
    """@jobs: (data, linger); what went wrong."""
    lock, problems = threading.Lock(), []

    def work():
        while True:
            with lock:
                job = next(jobs, None)
            if job is None:
                return
            problem = say_and_go(address, *job)
            if problem:
                problems.append(problem)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(problems[:5])


def wrong_sessions():
    for data in wrong_packets():
        for stage in STAGES.values():
            for linger in (0, 1):
                yield b"".join(stage) + data, linger


def mutated(seed, n):
    """@n random conversations with mistakes in them."""
    for number in range(n):
        chance = random.Random(seed + number)
        packets = Conversation(chance, chance.choice(list(VERSIONS))).packets
        if chance.random() < 0.5:
            packets[-1:-1] = [SIGNED_MESSAGE] * chance.randint(1, 3)
        for _ in range(chance.randint(0, 4)):
            at = chance.randrange(len(packets))
            what = chance.randrange(5)
            if what == 0:
                del packets[at]
            elif what == 1:
                packets.insert(at, chance.choice(packets))
            elif what == 2:
                other = chance.randrange(len(packets))
                packets[at], packets[other] = packets[other], packets[at]
            elif what == 3:
                packets[at] = packets[at][:4] + bytes([chance.randrange(256)]) + packets[at][5:]
            else:
                packets[at] = struct.pack("!I", chance.choice([0, 1, len(packets[at]), chance.getrandbits(32), chance.getrandbits(8)])) + packets[at][4:]
            packets = packets or [b"\0"]
        data = bytearray(b"".join(packets))
        for _ in range(chance.choice([0, 0, 1, 5, 50]) if data else 0):
            data[chance.randrange(len(data))] = chance.choice([0, 0xFF, chance.randrange(256)])
        yield bytes(data[:chance.randint(0, len(data))] if chance.random() < 0.2 else data), chance.randint(0, 1)


def ends_libmilter(data):
    """Has it a macro without a value? smfi_getsymval() of libmilter 8.17 goes on beyond the list's end there (docs/reliability.md)."""
    while len(data) > 5:
        size = int.from_bytes(data[:4], "big")
        if size == 0:
            return False
        if data[4:5] == b"D" and data[6:4 + size].count(0) % 2 == 1:
            return True
        data = data[4 + size:]
    return False


# ---- the test ----

@functools.cache
def has_sanitizer():
    return "libasan" in subprocess.run(["ldd", test_daemon.PROGRAM], capture_output=True, text=True, check=False).stdout


class Watch:
    """The worker's memory, descriptors and threads, and the healthy MTA beside the attack."""

    def __init__(self, daemon):
        (self.worker,) = daemon.workers()
        self.daemon = daemon
        self.peak = 0
        self.over = threading.Event()
        self.pipe, end = fork.Pipe()
        self.process = fork.Process(target=healthy, args=(daemon.address, end))
        self.process.start()
        self.thread = threading.Thread(target=self.look)

    def counts(self):
        """(descriptors, threads)"""
        return len(os.listdir(f"/proc/{self.worker}/fd")), len(os.listdir(f"/proc/{self.worker}/task"))

    def memory(self):
        with open(f"/proc/{self.worker}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / (1 << 20)

    def look(self):
        while not self.over.wait(0.05):
            try:
                self.peak = max(self.peak, self.memory())
            except OSError:
                return

    def begin(self):
        """Quiet for a moment: what the worker has when nobody attacks."""
        self.thread.start()
        seen = []
        for _ in range(10):
            time.sleep(0.05)
            seen.append(self.counts())
        self.before = max(fds for fds, _ in seen), max(threads for _, threads in seen)
        return self

    def settled(self):
        try:
            fds, threads = self.counts()
        except FileNotFoundError:
            return True     # it has died, which is seen then
        return fds <= self.before[0] + CLIENTS and threads <= self.before[1] + THREADS_KEPT[test_daemon.ENGINE]

    def end(self):
        """(messages, the longest, failures) of the healthy one."""
        self.pipe.send(None)
        healthy_result = self.pipe.recv()
        self.process.join()
        self.over.set()
        self.thread.join()
        return healthy_result


# libmilter keeps threads for a while.
THREADS_KEPT = {"native": 0, "libmilter": 8}


class Hostile(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(self.directory, "zone"), "w") as file:
            file.write(parties.ZONE)
        os.mkdir(f"{self.directory}/reports.db")
        config = parties.CONFIG.format(key=parties.private_key(self.directory)) + f"DNSZoneFile {self.directory}/zone\n"
        self.real = self.daemon(config + "AggregateReports no\n").start()

    def under(self, name, process):
        """The healthy MTA and the worker while @process runs."""
        watch = Watch(self.real).begin()
        quiet = watch.memory()
        process.start()
        process.join()
        try:
            wait_for(watch.settled, 20)
        except AssertionError:
            self.fail(f"{name}: {watch.counts()} descriptors and threads, before {watch.before}")
        finally:
            n, longest, failures = watch.end()
            print(f"{name}: {n} healthy messages, {len(failures)} wrong, the longest {longest:.2f} s; {quiet:.0f} MiB before, "
                  f"{watch.peak:.0f} at most, {watch.memory() if os.path.exists(f'/proc/{watch.worker}') else 0:.0f} after")
        told = "\n".join(line for line in self.real.log().splitlines() if " action=" not in line)
        self.assertEqual(self.real.workers(), [watch.worker], told[-6000:])
        self.assertNotRegex(self.real.log(), r"Sanitizer|runtime error")
        self.assertEqual(failures, [], name)
        self.assertGreater(n, 0)
        self.assertLess(longest, PATIENCE, name)
        if not has_sanitizer():
            self.assertLess(watch.peak, MEMORY[test_daemon.ENGINE], name)

    def test_attacks(self):
        for name, rows in ATTACKS.items():
            if ONLY not in name:
                continue
            with self.subTest(name):
                self.under(name, fork.Process(target=attack, args=(self.real.address, SECONDS, rows, threading.Event())))

    def sessions(self, name, jobs):
        mine, other = fork.Pipe()
        self.under(name, fork.Process(target=in_parallel, args=(self.real.address, jobs, other)))
        self.assertTrue(mine.poll(), "the attacker has died")
        self.assertEqual(mine.recv(), [])

    def test_wrong_packets(self):
        self.sessions("wrong packets", wrong_sessions())

    def test_random(self):
        jobs = mutated(SEED, SESSIONS)
        if test_daemon.ENGINE == "libmilter":
            jobs = (job for job in jobs if not ends_libmilter(job[0]))
        self.sessions(f"{SESSIONS} random sessions, seed {SEED}", jobs)


if __name__ == "__main__":
    test_daemon.PROGRAM = os.path.abspath(sys.argv.pop(1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    unittest.main(warnings="ignore")
