#!/usr/bin/python3
"""Hostile mail that asks for thousands of names whose servers are silent must cost genuine mail none of its results.

    tests/scenarios/silent.py [--engine libmilter|native] [--connections 500] [--seconds 5] TRIMILTER

Each connection brings forged mail, message after message, while four others bring genuine mail of ever new domains for some
seconds, twice: at first each hostile message names a domain of its own, so that no limit per domain helps, and then all of
them name one domain. Last line: "N passed, N failed".
"""
import argparse
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", ".."), os.path.join(HERE, "..", "milter")]
from miltertest import Milter
from tests.lab.dns import Server, Zone

FRIENDS, PAUSE = 4, 0.1
THINK = 0.5             # seconds between two hostile messages of a connection: an MTA needs some too
HEAD_START = 6          # seconds until the first wave of hostile mail has had its deadline
SILENT_NAMES = 2000     # at least so many are to be asked for
SILENT_QUESTIONS = 50   # of the one domain, as many as may be asked at a time
SO_RCVBUFFORCE = 33
RECEIVE_BYTES = 4 << 20 # so that a busy machine loses no question before this server has seen it
FILES = 1024            # open files that a process may have on most systems unless it asks for more
CONFIG = """AuthservID mx.receiver.example
Syslog no
RejectFailures yes
On-DNSError tempfail
DNSTimeout 5
"""
SIGNATURE = " v=1; a=rsa-sha256; d=%s; s=k1; h=from; bh=qgDbzWFiAHfYTv+BVMtb7Bcek7+V9Zh7E+ol7LD5y2M=; b=AAAA"
WANTED = ("dkim=fail", "spf=pass", "dmarc=pass")    # the signature is forged: with its key at hand it fails


def zone(n_genuine):
    with open(os.path.join(HERE, "keys", "k1.record")) as file:
        key = file.read().strip()
    lines = ["$TTL 60", "*.silent DROP"]
    for n in range(n_genuine):
        lines += ['g%d.example TXT "v=spf1 include:spf.g%d.example -all"' % (n, n),
                  'spf.g%d.example TXT "v=spf1 ip4:192.0.2.10 -all"' % n,
                  'k1._domainkey.g%d.example TXT "%s"' % (n, key),
                  '_dmarc.g%d.example TXT "v=DMARC1; p=reject"' % n]
    return Zone("\n".join(lines))


def send(milter, domain, ip):
    milter.connect("mail." + domain, ip)
    milter.helo("mail." + domain)
    fields = [("DKIM-Signature", SIGNATURE % domain), ("From", " <a@%s>" % domain), ("Subject", " x")]
    got = milter.message("a@" + domain, ["you@receiver.example"], fields, b"x\r\n", queue_id="4F00")
    milter.send("K")    # another client comes on the same connection
    return got


def attacker(address, first, step, pattern, over):
    with Milter(address, timeout=120) as milter:
        while not over.is_set():
            send(milter, pattern % first, "203.0.113.9")
            first += step
            time.sleep(THINK)


def attack(address, n, pattern, over):
    """A process of its own, so that what it computes delays nobody here."""
    threads = [threading.Thread(target=attacker, args=(address, i, n, pattern, over), daemon=True) for i in range(n)]
    for thread in threads:
        thread.start()
    over.wait()


def friend(address, numbers, results):
    with Milter(address, timeout=120) as milter:
        for n in numbers:
            begin = time.monotonic()
            got = send(milter, "g%d.example" % n, "192.0.2.10")
            field = (got.header("Authentication-Results") or [""])[0]
            results.append((got.action, " ".join(field.split()), time.monotonic() - begin))
            time.sleep(PAUSE)


def phase(title, address, dns, n_hostile, pattern, numbers, wanted):
    over, results = multiprocessing.Event(), []
    hostile = multiprocessing.Process(target=attack, args=(address, n_hostile, pattern, over), daemon=True)
    hostile.start()
    time.sleep(HEAD_START)
    friends = [threading.Thread(target=friend, args=(address, numbers[i::FRIENDS], results)) for i in range(FRIENDS)]
    for thread in friends:
        thread.start()
    for thread in friends:
        thread.join()
    over.set()
    hostile.join()
    lost = [r for r in results if r[0] not in ("accept", "continue") or not all(word in r[1] for word in WANTED)]
    for action, field, _ in lost[:5]:
        print("lost: %s %s" % (action, field))
    silent = {name.split(".", 1)[1] if name.startswith("_dmarc.") else name
              for name, _, _ in list(dns.log) if name.endswith(".silent")}
    waits = sorted(r[2] for r in results) or [0]
    print("%s: %d genuine messages, %d lost, median %.3f s, worst %.3f s; %d silent names asked for" % (
        title, len(results), len(lost), waits[len(waits) // 2], waits[-1], len(silent)), flush=True)
    dns.log.clear()
    if len(silent) < wanted:
        print("%s: too few silent names to show anything" % title)
    return len(results) - len(lost), len(lost) + len(numbers) - len(results) + (len(silent) < wanted)


def start(binary, folder, config):
    """The daemon and where it listens."""
    path = os.path.join(folder, "socket")
    with open(os.path.join(folder, "conf"), "w") as file:
        file.write(config + "Socket local:%s\nReportSpool %s/spool\nReportStore sqlite:%s/reports.db\n" % (path, folder, folder))
    with open(os.path.join(folder, "log"), "w") as log:
        process = subprocess.Popen([binary, "-f", "-c", file.name], stderr=log)
    while not os.path.exists(path) and process.poll() is None:
        time.sleep(0.02)
    return process, "local:" + path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="libmilter")
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("trimilter")
    args = parser.parse_args()
    n = int(FRIENDS * args.seconds / PAUSE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    dns = Server(zone(2 * n))
    dns.udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE if os.geteuid() == 0 else socket.SO_RCVBUF, RECEIVE_BYTES)
    dns.start()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        config = CONFIG + "MilterEngine %s\nNameservers 127.0.0.1@%d\n" % (args.engine, dns.port)
        process, address = start(args.trimilter, folder, config)
        attacks = [("a domain each", "m.s%d.silent", range(n), SILENT_NAMES),
                   ("one domain", "s%d.one.silent", range(n, 2 * n), SILENT_QUESTIONS)]
        try:
            counts = [phase(title, address, dns, args.connections, pattern, numbers, wanted)
                      for title, pattern, numbers, wanted in attacks]
        finally:
            process.terminate()
            process.wait()
    passed, failed = (sum(column) for column in zip(*counts))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
