"""
Both fronts are given the same packets and must answer with the same bytes.

    test_engines.py PROGRAM [unittest arguments]

PROGRAM is fake_trimilter; its X-Told field shows what reached the session, macros
included, and its log the queue id. What the fronts do differently on purpose
stands in class Differences.
"""
import random
import re
import select
import socket
import struct
import time
import unittest

import test_daemon
from miltertest import LEADSPC, NO, OFFERS, SETSYMLIST
from test_daemon import Case, Daemon, wait_for

ENGINES = ("libmilter", "native")
ALL = OFFERS[6]
# What an MTA of each version offers; 5 is what Postfix calls 4 with everything.
VERSIONS = {2: OFFERS[2], 3: OFFERS[3], 4: OFFERS[4], 5: (0x1FF, 0xFFFFF), 6: ALL}


def packet(command, data=b""):
    return struct.pack("!I", len(data) + 1) + command.encode("latin-1") + data


def macros(stage, *pairs):
    return packet("D", stage.encode() + b"".join(word.encode() + b"\0" for pair in pairs for word in pair))


def offer(version, bits=None):
    return packet("O", struct.pack("!III", version, *(bits or VERSIONS[version])))


def connect(name=b"mail.example.org", family=b"4", address=b"192.0.2.1"):
    return packet("C", name + b"\0" + family + (struct.pack("!H", 25) + address + b"\0" if family != b"U" else b""))


def helo(name=b"mail.example.org"):
    return packet("H", name + b"\0")


def mail(sender=b"<a@example.org>", *arguments):
    return packet("M", b"".join(part + b"\0" for part in (sender, *arguments)))


def rcpt(recipient=b"<b@example.net>", *arguments):
    return packet("R", b"".join(part + b"\0" for part in (recipient, *arguments)))


def header(name, value):
    return packet("L", name + b"\0" + value + b"\0")


def message(number=1, fields=(), body=b"text\r\n", end=b""):
    packets = [macros("M", ("i", f"Q{number}")), mail(), rcpt(), header(b"From", b" a@example.org")]
    packets += [header(*field) for field in fields]
    return packets + [packet("N"), packet("B", body), packet("E", end)]


QUIT = packet("Q")


def exchange(path, packets, pieces=None):
    """All that the filter says until it closes. @pieces: sizes in which the bytes are sent, again and again."""
    got, at, k, data = b"", 0, 0, b"".join(packets)
    sizes = pieces or [len(data)]
    end = time.monotonic() + 30
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.setblocking(False)
        while time.monotonic() < end:
            _, writable, _ = select.select([client], [client] if at < len(data) else [], [], 5)
            try:
                if writable:
                    at += client.send(data[at:at + sizes[k % len(sizes)]])
                    k += 1
                more = client.recv(1 << 20)
                if not more:
                    return got
                got += more
            except BlockingIOError:
                pass
            except BrokenPipeError:
                at = len(data)
            except ConnectionResetError:
                return got
    raise TimeoutError(f"{at} of {len(data)} bytes taken, {len(got)} came")


def split(stream):
    replies = []
    while stream:
        (n,) = struct.unpack("!I", stream[:4])
        replies.append(stream[4:4 + n])
        stream = stream[4 + n:]
    return replies


class Both(Case):
    def setUp(self):
        super().setUp()
        self.daemons = {}
        for engine in ENGINES:
            directory = f"{self.directory}/{engine}"
            test_daemon.os.mkdir(directory)
            test_daemon.ENGINE = engine
            self.daemons[engine] = Daemon(directory)
            self.addCleanup(self.daemons[engine].stop)
            self.daemons[engine].start()

    def logs(self, engine):
        """The messages' lines; what the fronts themselves say differs."""
        return [line for line in self.daemons[engine].log().splitlines() if "action=" in line]

    def same(self, what, packets, **how):
        """Sends to both; the bytes of both, which are equal."""
        before = {engine: len(self.logs(engine)) for engine in ENGINES}
        got = {engine: exchange(self.daemons[engine].path, packets, **how) for engine in ENGINES}
        self.assertEqual(split(got["libmilter"]), split(got["native"]), what)
        self.assertEqual(got["libmilter"], got["native"], what)
        logs = [self.logs(engine)[before[engine]:] for engine in ENGINES]
        self.assertEqual(logs[0], logs[1], what)
        return split(got["native"])


class Sequences(Both):
    def test_negotiation(self):
        rows = [(version, bits) for version in range(0, 9) for bits in
                [*VERSIONS.values(), (0, 0), (0x3F, 0), (0x1FF, 0), (0x31, 0x1FFFFF), (0x30, 0x1FFFFF), (0x11F, 0x1FFFFF), (0x131, 0x400),
                 (0xFFFFFFFF, 0xFFFFFFFF), (0x3FF, 0x7FFFFFFF), (0x1FF, 0x100000), (0x1FF, 0x80000)]]
        for version, bits in rows:
            self.same((version, bits), [offer(version, bits), connect(), helo(), QUIT])
        for n in (0, 1, 4, 11, 13, 40):
            self.same(n, [packet("O", (struct.pack("!III", 6, *ALL) + b"x" * 40)[:n]), QUIT])

    def test_messages(self):
        actions = [b"accept", b"reject", b"tempfail", b"quarantine", b"discard"]
        for version in VERSIONS:
            packets = [offer(version), macros("C", ("j", "mx.example.net"), ("{daemon_name}", "smtpd")), connect(), helo()]
            for k, action in enumerate(actions * 3):
                fields = [(b"X-Action", b" " + action), (b"X-Forged", b" 1"), (b"X-Forged", b" 2"), (b"Empty", b"")]
                fields += [(b"X-Wait", b" 20")] if k % 3 == 0 else []
                packets += message(k, fields, b"y" * (1 + k * 9973))
            replies = self.same(version, packets + [QUIT])
            self.assertEqual([r for r in replies if r[:1] in b"yd"], [b"y550 5.7.1 100%% refused\0", b"y451 4.7.1 not now\0", b"d"] * 3)
            self.assertEqual(sum(r[:1] == b"q" for r in replies), 3)
            self.assertEqual(sum(r[:1] == b"m" for r in replies), 12)

    def test_clients(self):
        rows = [(b"h.example", b"4", b"192.0.2.7"), (b"h.example", b"6", b"2001:db8::1"), (b"h.example", b"6", b"IPv6:2001:db8::1"),
                (b"h.example", b"6", b"::ffff:192.0.2.7"), (b"localhost", b"L", b"/run/socket"), (b"localhost", b"U", b""),
                (b"unknown", b"U", b""), (b"unknown", b"4", b"192.0.2.7"), (b"[192.0.2.7]", b"4", b"192.0.2.7"), (b"", b"4", b"192.0.2.7"),
                (b"h", b"4", b"192.0.2"), (b"h", b"4", b"2001:db8::1"), (b"h", b"6", b"192.0.2.7"), (b"h", b"6", b"x"), (b"h", b"7", b"x"),
                (b"h", b"4", b""), (b"h", b"L", b"/" + b"x" * 100)]
        for row in rows:
            if row[2] not in (b"192.0.2", b"/" + b"x" * 100):
                self.same(row, [offer(6), connect(*row), helo(), *message(), QUIT])
        for data in (b"", b"h", b"h\0", b"h\0U", b"h\0Ux", b"h\0004", b"h\0004\0", b"h\0004\0\x19", b"h\0004\0\x19192.0.2.7", b"\0" * 9):
            self.same(data, [offer(6), packet("C", data), helo(), *message(), QUIT])

    def test_macros(self):
        begin = [offer(6), macros("C", ("j", "one"), ("{daemon_name}", "smtpd")), connect(), helo()]
        auth = "{auth_authen}"
        rows = {
            "without a command": [macros("M", (auth, "joe"))] * 3 + message(),
            "the later set counts": [macros("M", (auth, "joe")), macros("M", (auth, "ann")), *message()[1:]],
            "the later stage counts": [macros("H", (auth, "joe")), macros("M", (auth, "ann"), ("{i}", "Q7")), *message()[1:]],
            "an earlier stage is still seen": [macros("H", (auth, "joe"), ("i", "QH")), helo(), *message()[1:]],
            "HELO forgets what came later": [macros("M", (auth, "joe")), helo(), *message()[1:]],
            "MAIL forgets recipients": [macros("R", (auth, "joe")), *message()[1:]],
            "kept for the next message": [macros("M", (auth, "joe")), *message()[1:], *message(2)[1:]],
            "kept over an abort": [macros("M", (auth, "joe"), ("i", "QA")), mail(), rcpt(), packet("A"), *message(2)[1:]],
            "by the end of the message": message()[1:-1] + [macros("E", ("i", "QE")), packet("E")],
            "by the end of the header": message()[1:-3] + [macros("N", ("i", "QN"))] + message()[-3:],
            "of no stage": [packet("D", b"Zi\0QZ\0"), packet("D", b"Li\0QZ\0"), packet("D", b"\0"), packet("D", b"M"), *message()],
            "no end": [packet("D", b"M{auth_authen}"), packet("D", b"Rx"), *message()[1:]],
            "empty values": [macros("M", (auth, ""), ("i", "")), *message()[1:]],
            "empty": [packet("D"), *message()],
        }
        for what, packets in rows.items():
            self.same(what, begin + packets + [QUIT])

    def test_orders(self):
        start = [mail(), rcpt()]
        rows = {
            "two HELOs": [helo(b"two"), *message()],
            "no HELO": None,
            "HELO in a message": [*start, helo(b"two"), *message()],
            "MAIL again": [mail(), mail(b"<x@y>"), *message(), *start, *message(2)],
            "MAIL in the header": [*start, header(b"A", b" 1"), *message()],
            "MAIL in the body": [*message()[:-1], *message(2)],
            "aborts": [mail(), packet("A"), *start, packet("A"), *start, header(b"A", b" b"), packet("A"), *message()[:-1], packet("A"),
                       *message()],
            "aborts between messages": [packet("A"), *message(), packet("A"), packet("A"), *message(2), packet("A")],
            "DATA": [*start, packet("T"), header(b"A", b" b"), packet("N"), packet("E")],
            "unknown commands": [packet("U", b"ETRN x\0"), mail(), packet("U", b"XY\0"), rcpt(), packet("U", b"Z"), packet("A"),
                                 *message(), packet("U", b"Z\0"), *message(2)],
            "no header, no body": [*start, packet("N"), packet("E")],
            "only the end": [*start, packet("E"), *message()],
            "body without end of header": [*start, packet("B", b"x"), packet("E")],
            "a field without a value": [*start, header(b"A", b""), packet("N"), packet("E")],
            "NUL in a field": [*start, header(b"A", b" x\0y"), header(b"B", b" \xff\xfe"), packet("N"), packet("E")],
            "arguments": [mail(b"<a@b>", b"SIZE=1", b"BODY=8BITMIME"), rcpt(b"<c@d>", b"NOTIFY=NEVER"), packet("E")],
            "null sender, no brackets": [mail(b"<>"), rcpt(b"c@d"), packet("E"), mail(b""), rcpt(b""), packet("E")],
            "many recipients": [mail(), *[rcpt(b"<r%d@x>" % n) for n in range(300)], *message()[3:]],
            "another connection follows": [*message(), packet("K"), connect(b"two", b"4", b"192.0.2.2"), helo(b"two"), *message(2),
                                           packet("K"), connect(b"three"), *message(3)],
            "a large field": [*start, header(b"A", b" " + b"x" * 900000), packet("N"), packet("E")],
            "memory": [*message(1, [(b"X-Eat", b" 2000000")]), *message(2)],
        }
        for version in VERSIONS:
            for what, packets in rows.items():
                packets = message() if packets is None else packets
                head = [offer(version), connect()] if what == "no HELO" else [offer(version), connect(), helo()]
                self.same((version, what), [*head, *packets, QUIT])
                self.same((version, what, "no QUIT at the end"), [*head, *packets, packet("Q")[:3] + b"\0\0"])

    def test_long_fields(self):
        """A field larger than MaximumHeaders still comes through: it is for the session to refuse."""
        whole = self.same("short", [offer(6), connect(), helo(), *message(1), *message(2), QUIT])
        for n in (1 << 20, (5 << 20) - 20):
            long = message(1, [(b"X-Long", b" " + b"a" * n)])
            self.assertEqual(self.same(n, [offer(6), connect(), helo(), *long, *message(2), QUIT])[-2:], whole[-2:], n)

    def test_violations(self):
        begin = [offer(6), connect(), helo(), mail(), rcpt()]
        rows = [packet("Z"), packet("\xff", b"x"), packet("M"), packet("R"), packet("L"), packet("B"), packet("H"), packet("U"),
                packet("M", b"<a@b>"), packet("R", b"<a@b>"), packet("L", b"a"), packet("L", b"a\0"), packet("L", b"a\0b"),
                struct.pack("!I", 5 * 1024 * 1024 + 2) + b"L", struct.pack("!I", 0xFFFFFFFF) + b"B", b"GET / HTTP/1.0\r\n\r\n"]
        for data in rows:
            self.same(data, [*begin, data, QUIT])
        for n in range(0, 40):
            # The connection ends in the middle of a packet.
            packets = b"".join(begin)
            for engine in ENGINES:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(self.daemons[engine].path)
                    client.sendall(packets[:n])
        self.same("still serving", [*begin, packet("E"), QUIT])

    def test_pieces(self):
        packets = [offer(6), macros("C", ("j", "one")), connect(), helo()]
        for k in range(4):
            packets += message(k, [(b"A", b" " + b"a" * (k * 5000)), (b"X-Wait", b" 5")], b"y" * (40000 * k + 1))
        packets.append(QUIT)
        whole = self.same("whole", packets)
        for version in (2, 6):
            packets[0] = offer(version)
            for sizes in ([3], [1, 2, 3, 5, 7], [4, 1], [5], [8191], [8192, 1], [65536, 3], [131072], [131071, 2]):
                replies = self.same(sizes, packets[:4 + 8 * 2] + [QUIT] if sizes[0] < 10 else packets, pieces=sizes)
                self.assertTrue(replies and whole)

    def test_random(self):
        seed = 20251121
        for number in range(400):
            generator = random.Random(seed + number)
            version = generator.choice(list(VERSIONS))
            self.same((seed, number), Conversation(generator, version).packets,
                      pieces=generator.choice([None, None, [generator.randint(1, 3000) for _ in range(5)]]))


class Conversation:
    """A random one, as an MTA might have it; what libmilter leaves unanswered is left out."""

    def __init__(self, random_, version):
        self.random = random_
        actions, protocol = VERSIONS[version]
        self.packets = [offer(version)]
        self.data = not protocol & NO["T"]
        self.space = b" " if protocol & LEADSPC else b""
        self.may_be_asked = bool(actions & SETSYMLIST)
        self.number = 0
        self.connection()
        for _ in range(self.random.randint(0, 6)):
            self.step()
        self.packets.append(QUIT)

    def add(self, *packets):
        for one in packets:
            if self.random.random() < 0.2:
                names = ("i", "{i}", "{auth_authen}", "j", "{daemon_name}", "x")
                stage = self.random.choice("CHMRTEN")
                pairs = [(self.random.choice(names), f"v{self.random.randint(0, 99)}") for _ in range(self.random.randint(0, 3))]
                self.packets.append(macros(stage, *pairs))
            self.packets.append(one)

    def connection(self):
        self.add(connect(b"h%d" % self.random.randint(0, 9), b"4", b"192.0.2.%d" % self.random.randint(1, 254)))
        for _ in range(self.random.randint(0, 2)):
            self.add(helo(b"helo%d" % self.random.randint(0, 9)))

    def step(self):
        kind = self.random.random()
        if kind < 0.1:
            self.add(helo(b"again"))
        elif kind < 0.15:
            self.add(packet("U", b"XYZZY\0"))
        else:
            self.message()

    def message(self):
        self.number += 1
        steps = [mail(b"<s%d@x>" % self.number)]
        steps += [rcpt(b"<r%d@y>" % n) for n in range(self.random.randint(1, 3))]
        if self.data and self.random.random() < 0.5:
            steps.append(packet("T"))
        action = self.random.choice([b"accept", b"accept", b"reject", b"tempfail", b"discard", b"quarantine"])
        fields = [header(b"X-Action", self.space + action)]
        fields += [header(self.random.choice([b"A", b"X-Forged", b"Subject"]), self.space + b"v" * self.random.randint(0, 200))
                   for _ in range(self.random.randint(0, 5))]
        if self.random.random() < 0.2:
            fields.append(header(b"X-Wait", self.space + b"%d" % self.random.randint(1, 15)))
        steps += fields + [packet("N")]
        steps += [packet("B", b"b" * self.random.choice([1, 100, 65535, 65536, 200000])) for _ in range(self.random.randint(0, 3))]
        if self.random.random() < 0.2:
            self.add(*steps[:self.random.randint(1, len(steps))])
            if self.random.random() < 0.8:
                self.add(packet("A"))
            return
        self.add(*steps, packet("E"))
        if action in (b"accept", b"quarantine") and self.random.random() < 0.2:
            self.add(packet("K"))
            self.connection()


class Differences(Both):
    """What the native front does better than libmilter, and why."""

    def native(self, packets):
        return split(exchange(self.daemons["native"].path, packets))

    def test_what_may_not_come_now_ends_the_connection(self):
        # libmilter drops it without a word, and an MTA that expects a reply waits until its own limit.
        begin = [offer(2), connect(), helo()]
        for packets in ([rcpt()], [header(b"A", b"b")], [packet("N")], [packet("B", b"x")], [packet("E")], [connect()], [offer(2)],
                        [mail(), packet("E")], [mail(), header(b"A", b"b")], [mail(), rcpt(), header(b"A", b"b"), packet("E")]):
            replies = self.native([*begin, *packets, *message(), QUIT])
            self.assertEqual([r[:1] for r in replies], [b"O"] + [b"c"] * (1 + len(packets)), packets)
        self.assertEqual(self.native([helo(), *message(), QUIT]), [])
        self.daemons["native"].wait_log("milter protocol: ")
        # A line a minute.
        self.assertEqual(self.daemons["native"].log().count("milter protocol: "), 1)

    def test_a_new_connection_may_follow_in_any_state(self):
        # libmilter understands QUIT_NC only after a message that was accepted; else it ignores both it and the new
        # client, whose mail is then judged by the former one's address.
        for before in ([], [helo()], [mail(), rcpt()], message(1, [(b"X-Action", b" reject")])):
            replies = self.native([offer(6), connect(), *before, packet("K"), connect(b"two", b"4", b"192.0.2.99"), *message(2), QUIT])
            self.assertIn(b"client=192.0.2.99 name=two helo= ", replies[-2])

    def test_a_macro_without_a_value(self):
        # libmilter reads on behind the end of its list.
        for data in (b"Mi\0Q1\0{auth_authen}\0", b"M{auth_authen}\0joe", b"M{auth_authen}\0"):
            self.assertIn(b"auth= ", self.native([offer(6), connect(), packet("D", data), *message()[1:], QUIT])[-2])

    def test_text_with_the_end(self):
        # libmilter hands the text on and forgets the end where no reply to body chunks is expected.
        replies = self.native([offer(6), connect(), *message(1, (), b"four", b"more"), QUIT])
        self.assertIn(b"body=8", replies[-2])

    def test_an_unknown_command_does_not_end_the_message(self):
        replies = self.native([offer(3), connect(), *message()[:3], packet("U", b"x"), *message()[3:], QUIT])
        self.assertEqual(replies[-1], b"c")

    def test_an_mta_that_gives_up_is_noticed(self):
        daemon = self.daemons["native"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(daemon.path)
            client.sendall(b"".join([offer(6), connect(), *message(1, [(b"X-Wait", b" 700")])]))
            time.sleep(0.2)
        # Its message is dropped, not delivered to nobody; a later one waits behind nothing.
        self.assertTrue(self.native([offer(6), connect(), *message(2), QUIT]))
        self.assertNotIn("Q1: action", daemon.log())


def sanitized():
    """Has the program memory of a sanitizer's own?"""
    with open(test_daemon.PROGRAM, "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program


class Limits(Both):
    def test_replies_that_nobody_reads(self):
        # 60 MiB of replies would come; the filter stops reading, and goes on when they are read.
        packets = [offer(2), connect(), helo()]
        one = b"".join(message(1, [(b"A", b"x" * 2000)], b"y"))
        path = self.daemons["native"].path
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"".join(packets))
            client.setblocking(False)
            sent, data, idle = 0, one * 100, 0
            while idle < 50 and sent < 100 * len(data):
                try:
                    sent += client.send(data[sent % len(data):])
                    idle = 0
                except BlockingIOError:
                    idle += 1
                    time.sleep(0.01)
            self.assertLess(sent, 20 * len(data))
            rest = data[sent % len(data):] if sent % len(data) else b""
            got = b""
            until = time.monotonic() + 20
            while time.monotonic() < until:
                try:
                    if rest:
                        rest = rest[client.send(rest):]
                except BlockingIOError:
                    pass
                try:
                    got += client.recv(1 << 20)
                except BlockingIOError:
                    if not rest:
                        time.sleep(0.05)
                        n = (sent + len(data) - 1) // len(data) * 100
                        if got.count(b"X-Told") == n:
                            break
            self.assertEqual(got.count(b"X-Told"), (sent + len(data) - 1) // len(data) * 100)

    def resident(self, engine):
        """MiB of the worker."""
        (worker,) = self.daemons[engine].workers()
        with open(f"/proc/{worker}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) // 1024

    def is_sanitized(self, engine):
        """It has memory of its own then."""
        (worker,) = self.daemons[engine].workers()
        with open(f"/proc/{worker}/maps") as file:
            return re.search("lib[at]san", file.read()) is not None

    def still_open(self, client):
        client.setblocking(False)
        try:
            while client.recv(4096):
                pass
            return False
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False

    def test_half_packets(self):
        before = self.resident("native")
        clients = []
        try:
            for _ in range(400):
                client = socket.socket(socket.AF_UNIX)
                clients.append(client)
                client.settimeout(10)
                client.connect(self.daemons["native"].path)
                try:
                    client.sendall(b"".join([offer(6), connect(), mail(), rcpt()]) + struct.pack("!I", 1024 * 1024) + b"L" + b"x" * 1000000)
                except (BrokenPipeError, ConnectionResetError):
                    pass
            wait_for(lambda: "unfinished packets" in self.daemons["native"].log())
            if not self.is_sanitized("native"):
                self.assertLess(self.resident("native") - before, 120)
            closed = select.select(clients, [], [], 1)[0]
            closed = [client for client in closed if not self.still_open(client)]
            self.assertTrue(320 < len(closed) < 380, len(closed))    # 64 MiB, by doubling
            self.assertTrue(split(exchange(self.daemons["native"].path, [offer(6), connect(), *message(2), QUIT])))
        finally:
            for client in clients:
                client.close()

    def test_it_is_the_native_one(self):
        (worker,) = self.daemons["native"].workers()
        with open(f"/proc/{worker}/status") as file:
            threads = int(re.search(r"Threads:\s+(\d+)", file.read()).group(1))
        self.assertLessEqual(threads, 1 + 4 + 1 + 1)
        clients = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        try:
            for client in clients:
                client.connect(self.daemons["native"].path)
                client.sendall(b"".join([offer(6), connect(), mail(), rcpt()]))
            with open(f"/proc/{worker}/status") as file:
                self.assertIn(f"Threads:\t{threads}\n", file.read())
        finally:
            for client in clients:
                client.close()


if __name__ == "__main__":
    unittest.main()
