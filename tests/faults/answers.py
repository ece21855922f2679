#!/usr/bin/python3
"""
Each answer of the DNS goes wrong, in each way: a message is judged right, or what is not known is called so.

    answers.py --daemon TRIMILTER [--engine native] [--fault NAME]... [--on-error tempfail]
               [--quick] [--jobs N]

For each fault a daemon of its own, DNSTimeout 2: five kinds of message for each place where an answer is needed, all at
once; then the DNS is well again, and the same messages are sent anew. What they must be is what they are without a
fault; only what depends on the place may be `temperror` instead, and the message deferred. Last line: "N passed, N failed".
"""
import argparse
import collections
import concurrent.futures
import functools
import os
import re
import sys
import tempfile
import time


import parties
from parties import FORGER, GENUINE, test_daemon
from resolver import FAULTS, Resolver, Zone, anchor

# Of an author's domain mail.shop.ZONE; the second word tells which results depend on it.
PLACES = {
    "SPF": ("shop.%s", "TXT", {"spf"}), "include": ("spf.shop.%s", "TXT", {"spf"}), "a": ("a.shop.%s", "A", {"spf"}),
    "mx": ("mx.shop.%s", "MX", {"spf"}), "host of mx": ("host.shop.%s", "A", {"spf"}), "key": ("k1._domainkey.shop.%s", "TXT", {"dkim"}),
    "policy of the author": ("_dmarc.mail.shop.%s", "TXT", {"dmarc"}), "policy above": ("_dmarc.shop.%s", "TXT", {"dmarc"}),
    "policy of the TLD": ("_dmarc.%s", "TXT", {"dmarc"}),
}
DNSSEC_PLACES = {**PLACES, "DNSKEY": ("%s", "DNSKEY", {"spf", "dkim", "dmarc"})}
RECORDS = """
shop.%(zone)s TXT "v=spf1 include:spf.shop.%(zone)s -all"
spf.shop.%(zone)s TXT "v=spf1 a:a.shop.%(zone)s mx:mx.shop.%(zone)s -all"
a.shop.%(zone)s A 192.0.2.77
mx.shop.%(zone)s MX 10 host.shop.%(zone)s
host.shop.%(zone)s A 192.0.2.1
mail.shop.%(zone)s A 192.0.2.1
_dmarc.shop.%(zone)s TXT "v=DMARC1; p=%(policy)s"
k1._domainkey.shop.%(zone)s TXT %(key)s
"""
# Client, signed?, policy; and how it ends when nothing is wrong.
KINDS = {
    "genuine": (GENUINE, True, "reject", {"spf": "pass", "dkim": "pass", "dmarc": "pass", "action": "accept"}),
    "forwarded": (FORGER, True, "reject", {"spf": "fail", "dkim": "pass", "dmarc": "pass", "action": "accept"}),
    "without signature": (GENUINE, False, "reject", {"spf": "pass", "dkim": "none", "dmarc": "pass", "action": "accept"}),
    "forged": (FORGER, False, "reject", {"spf": "fail", "dkim": "none", "dmarc": "fail", "action": "reject"}),
    "p=none": (FORGER, False, "none", {"spf": "fail", "dkim": "none", "dmarc": "fail", "action": "accept"}),
}
CONFIG = """AuthservID mx.example.net
RejectFailures yes
InternalHosts 127.0.0.1
Nameservers 127.0.0.1@{port}
DNSTimeout 2
On-DNSError {on_error}
"""
DNSSEC = {"bogus", "expired", "stripped"}
HARMLESS = {"TC, TCP works", "huge"}    # a resolver gets over these
SLACK = 3.0             # seconds over DNSTimeout that a verdict may take on a busy machine; libunbound alone takes six
# Seconds after which every message is judged right again: libunbound believes a failure for 5 s, our cache for 1 s more.
RECOVERY = 12
KEY_RECOVERY = 65   # what libunbound has found wrong with a zone's own keys it believes for a minute


class Letter:
    """One message of a kind to or from the zone of its own place."""

    def __init__(self, place, kind, number):
        self.place, self.kind = place, kind
        self.ip, is_signed, self.policy, self.right = KINDS[kind]
        self.zone = "%s%d" % ("z" if self.policy == "reject" else "n", number)
        fields = [("From", " a@mail.shop." + self.zone), *parties.FIELDS[1:]]
        self.fields = [parties.signature(fields, "shop." + self.zone), *fields] if is_signed else fields
        self.name = "%s, %s" % (kind, place)


def letters_of(places):
    return [Letter(place, kind, number) for number, place in enumerate(places) for kind in KINDS]


def zone_text(letters):
    key = " ".join('"%s"' % parties.RECORD[i:i + 200] for i in range(0, len(parties.RECORD), 200))
    zones = {letter.zone: letter.policy for letter in letters}
    return "".join(RECORDS % {"zone": zone, "policy": policy, "key": key} for zone, policy in zones.items())


class Run:
    """One fault at all places, with a daemon of its own."""

    def __init__(self, folder, name, on_error, quick):
        self.name, self.on_error, self.quick = name, on_error, quick
        self.places = DNSSEC_PLACES if name in DNSSEC and not quick else PLACES
        self.letters = letters_of(self.places)
        self.resolver = Resolver(Zone(zone_text(self.letters))).start()
        config = CONFIG.format(port=self.resolver.port, on_error=on_error)
        if name in DNSSEC:
            zones = sorted({letter.zone for letter in self.letters})
            self.resolver.sign(zones)
            with open(os.path.join(folder, "anchors"), "w") as file:
                file.write("\n".join(map(anchor, zones)) + "\n")
            config += "TrustAnchorFile %s/anchors\n" % folder
        self.daemon = test_daemon.Daemon(folder, config).start()
        self.problems, self.seen, self.n = [], collections.Counter(), 0
        self.slowest = self.recovery = 0.0

    # ---- one message ----

    def send(self, letter):
        """What became of it."""
        self.n += 1
        queue_id = "Q%dQ" % self.n
        begin = time.monotonic()
        with test_daemon.Milter(self.daemon.address, timeout=30) as milter:
            milter.connect("mail.example.org", letter.ip)
            milter.helo("[192.0.2.1]")
            got = milter.message("a@shop." + letter.zone, ["b@example.net"], letter.fields, parties.BODY, queue_id=queue_id)
        took = time.monotonic() - begin
        line = test_daemon.wait_for(lambda: re.search(r": (%s: .* action=.*)" % queue_id, self.daemon.log())).group(1)
        found = {name: re.search(r" %s=([a-z]+)" % name, line).group(1) for name in ("spf", "dkim", "dmarc")}
        field = " ".join((got.header("Authentication-Results") or [""])[0].split())
        return {**found, "action": got.action, "took": took, "line": line, "field": field}

    def send_all(self, letters):
        with concurrent.futures.ThreadPoolExecutor(16 if test_daemon.ENGINE == "native" else 4) as pool:
            return list(pool.map(self.send, letters))

    # ---- under the fault ----

    def judge(self, letter, got):
        depends = self.places[letter.place][2]
        unknown = False
        for name in ("spf", "dkim", "dmarc"):
            right, word = letter.right[name], got[name]
            may = name in depends or (name == "dmarc" and not (letter.right["dmarc"] == "pass" and "dmarc" not in depends and
                                                              {letter.right["spf"], letter.right["dkim"]} == {"pass"}))
            # What SPF and DKIM found on their own does not change with the policy.
            unknown = unknown or word == "temperror"
            if word != right and not (may and word == "temperror" and right != "none"):
                yield "%s=%s instead of %s" % (name, word, right)
        if got["action"] != letter.right["action"]:
            allowed = "tempfail" if self.on_error == "tempfail" else "accept"
            if got["dmarc"] != "temperror" or got["action"] != allowed:
                yield "%s instead of %s" % (got["action"], letter.right["action"])
        if got["action"] == "accept" and "dmarc=%s" % got["dmarc"] not in got["field"]:
            yield "the field says %r" % got["field"]
        if got["took"] > 2 + SLACK and test_daemon.ENGINE == "native":
            yield "took %.1f s" % got["took"]
        if unknown and not re.search(r"_reason=", got["line"]):
            yield "its line names no reason: %s" % got["line"]

    def fault(self):
        self.resolver.open_tcp(FAULTS[self.name].tcp_open)
        for letter in self.letters:
            name, kind, _ = self.places[letter.place]
            self.resolver.rules[name % letter.zone, kind] = self.name
        for letter, got in zip(self.letters, self.send_all(self.letters)):
            self.problems += ["%s: %s" % (letter.name, problem) for problem in self.judge(letter, got)]
            self.seen[got["action"]] += 1
            self.seen["temperror"] += "temperror" in (got["spf"], got["dkim"], got["dmarc"])
            self.slowest = max(self.slowest, got["took"])
        if self.seen["temperror"] == 0 and self.name not in HARMLESS | {"NXDOMAIN with answers"}:
            self.problems.append("nothing went wrong")
        if self.seen["temperror"] != 0 and self.name in HARMLESS:
            self.problems.append("%d temperror" % self.seen["temperror"])

    # ---- when it is over ----

    def recover(self):
        self.resolver.rules.clear()
        self.resolver.open_tcp(True)
        begin = time.monotonic()
        wrong, limit = self.letters, KEY_RECOVERY if "DNSKEY" in self.places else RECOVERY
        while wrong and time.monotonic() - begin < limit:
            results = self.send_all(wrong)
            wrong = [letter for letter, got in zip(wrong, results)
                     if any(got[name] != word for name, word in letter.right.items())]
            self.recovery = time.monotonic() - begin
            time.sleep(0.2)
        self.problems += ["%s: not right %d s after the fault" % (letter.name, limit) for letter in wrong]

    def run(self):
        try:
            self.fault()
            during = self.daemon.log()
            if not self.quick:
                self.recover()
        finally:
            self.daemon.stop()
            self.resolver.close()
        self.check_log(during)
        return self.problems

    def check_log(self, during):
        """Lines tell each cause once, and the counters move."""
        stats = dict(re.findall(r"(\w+)=(\d+)", re.findall(r"stats: .*", self.daemon.log())[-1]))
        causes = collections.Counter(re.findall(r"trimilter: DNS: (.*), asked for", during))
        failed = int(stats["dns_failures"]) + int(stats["dns_timeouts"])
        if (failed > 0) != (self.seen["temperror"] > 0) or bool(causes) != (self.seen["temperror"] > 0):
            self.problems.append("%d temperror, %d failures counted, causes told: %s" % (self.seen["temperror"], failed, dict(causes)))
        self.problems += ["%d lines tell of %s" % (n, cause) for cause, n in causes.items() if n > 1]
        print("%-23s %s: %d messages, %s; slowest %.2f s, %s; told: %s; counted: %d failures, %d timeouts" % (
            self.name, self.on_error, len(self.letters), ", ".join("%d %s" % (n, k) for k, n in sorted(self.seen.items())), self.slowest,
            "right again after %.2f s" % self.recovery if self.recovery else "left at that", ", ".join(causes) or "nothing", int(stats["dns_failures"]), int(stats["dns_timeouts"])))


def run_one(quick, what):
    """What is wrong with it. How it recovers does not depend on what is done with the messages meanwhile."""
    name, on_error = what
    with tempfile.TemporaryDirectory(prefix="faults") as folder:
        return Run(folder, name, on_error, quick or on_error == "accept").run()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--engine", action="append")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS))
    parser.add_argument("--on-error", action="append", choices=("tempfail", "accept"))
    parser.add_argument("--jobs", type=int, default=4, help="faults at a time")
    parser.add_argument("--quick", action="store_true", help="do not wait until all is well again")
    args = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    test_daemon.PROGRAM = os.path.abspath(args.daemon)
    passed = failed = 0
    for engine in args.engine or ("native", "libmilter"):
        test_daemon.ENGINE = engine
        todo = [(name, on_error) for on_error in args.on_error or ("tempfail", "accept") for name in args.fault or FAULTS]
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            for (name, on_error), problems in zip(todo, pool.map(functools.partial(run_one, args.quick), todo)):
                # A machine that stalls for two seconds makes timeouts of its own; what the fault has done comes again.
                if problems:
                    print("once more: %s, %s: %s" % (name, on_error, problems[0]))
                    problems = run_one(args.quick, (name, on_error))
                for problem in problems[:10]:
                    print("FAIL %s, %s, %s: %s" % (engine, on_error, name, problem))
                passed, failed = passed + (not problems), failed + bool(problems)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
