"""Serving: sockets, a real Postfix, memory, and that nobody starves."""
import contextlib
import os
import shutil
import subprocess
import tempfile
import time

import daemons
from bench import Figures
from daemons import Trimilter
from lab import mail
from lab.postfix import Postfix


def tcp(bench):
    with bench.dns():
        with Trimilter(bench.work, bench.program, tcp_port=20891) as daemon:
            bench.load("2k", daemon)
            result = bench.load("2k", daemon, "-n", 60 if bench.quick else 400)
            held = bench.load("2k", daemon, "-n", 20 if bench.quick else 60, "-b")
    p50 = result["p50_ms"]
    bench.row("5", "TCP, one connection: p50 ms < 1", p50, p50 < 1, f"whole message {1000 / result['rate']:.2f} ms")
    bench.row("5", "TCP, one connection, held back as Postfix does: p50 ms < 1", held["p50_ms"], held["p50_ms"] < 1,
             f"whole message {1000 / held['rate']:.2f} ms")


def send(site, message, n):
    """Seconds for @n messages over one SMTP connection."""
    with mail.Session(site, client=("192.0.2.7", "mx.d0000.example")) as client:
        begin = time.monotonic()
        for _ in range(n):
            code, text = client.send("bounce@d0000.example", "user0@home.example", message)
            if code != 250:
                raise RuntimeError(f"Postfix: {code} {text}")
        return time.monotonic() - begin


def postfix(bench):
    """The same mail through a private Postfix with either socket, by turns."""
    n = 20 if bench.quick else 100
    with open(bench.corpus.path("2k", "0.eml"), "rb") as file:
        message = file.read()
    with bench.dns(), contextlib.ExitStack() as stack:
        sites = {}
        for name, port in (("unix", None), ("tcp", 20892)):
            daemon = stack.enter_context(Trimilter(os.path.join(bench.work, name), bench.program, "UMask 000", tcp_port=port))
            top = tempfile.mkdtemp(prefix="bench-", dir="/tmp")
            stack.callback(shutil.rmtree, top, ignore_errors=True)
            os.chmod(top, 0o755)
            milter = f"inet:127.0.0.1:{port}" if port else "unix:" + daemon.file("socket")
            sites[name] = Postfix(top, milter).start()
            stack.callback(sites[name].stop)
            send(sites[name], message, 5)
        seconds = {name: [] for name in sites}
        for _ in range(1 if bench.quick else 7):
            for name, site in sites.items():
                seconds[name].append(send(site, message, n))
    # The fastest round of each: Postfix waits for the disk, and for whoever else has work for it.
    ratio = min(seconds["tcp"]) / min(seconds["unix"])
    each = {name: Figures([1000 * one / n for one in values]) for name, values in seconds.items()}
    bench.row("5", f"{n} messages through Postfix, fastest round: TCP / unix socket <= 1.5", ratio, ratio <= 1.5,
              f"a message {each['tcp']} and {each['unix']} ms")


def memory(bench):
    with bench.dns(delay_ms=50):
        with Trimilter(bench.work, bench.program) as daemon:
            worker = daemon.pids()[0]
            begin = daemons.status(worker, "VmRSS") / 1024
            bench.load("2k", daemon, "-c", 200)
            time.sleep(1)
            rss = daemons.status(worker, "VmRSS") / 1024
            bench.row("6", "memory after all domains cold, 200 sessions, DNS 50 ms, MiB < 20", rss, rss < 20,
                     f"{begin:.1f} at the start, at most {daemons.status(worker, 'VmHWM') / 1024:.1f}")
            before = daemons.status(worker, "VmRSS")
            idle = subprocess.Popen(bench.load_command("2k", daemon, ("-o", "-c", 500)), stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
            idle.stdout.readline()
            time.sleep(0.5)
            more = (daemons.status(worker, "VmRSS") - before) / 1024
            idle.communicate("")
            bench.row("6", "500 idle connections: MiB more < 2", more, more < 2)


def flat(bench):
    """Resident memory over many messages, looked at ten times."""
    n = bench.n_messages
    with bench.dns(), Trimilter(bench.work, bench.program) as daemon:
        seen = []
        for _ in range(10):
            bench.load("2k", daemon, "-c", 8, "-n", n // 10)
            seen.append(daemons.status(daemon.pids()[0], "VmRSS") / 1024)
    grown = seen[-1] - seen[1]
    bench.row("6", f"flat: MiB more after {n} messages than after a fifth of them <= 0.5", grown, grown <= 0.5,
              "MiB after each tenth: " + " ".join("%.1f" % mib for mib in seen))


def starving(bench):
    """Healthy connections, always busy, beside others that wait for the DNS; alone they tell what the machine itself does.

    The healthy ones take every processor for some tenths of a second, then all of them rest: a scheduler that makes
    up to others for what it took from them would do so in the midst of a round.
    """
    n = 64
    measured = ("-c", n, "-w", 20 * n, "-n", n * (40 if bench.quick else 120))
    for title, delay, others, name in (("64 whose DNS takes 20 ms", 20, 64, "cold"),
                                       ("512 whose nameservers are silent", 0, 512, "silent")):
        with Trimilter(bench.work, bench.program, "On-DNSError accept") as daemon:
            with bench.dns():
                bench.load("bare", daemon, "-c", 8)  # its domains are warm; no keys needed
                alone = worst_by_median(bench, daemon, measured)
            with bench.dns(delay):
                slow = subprocess.Popen(bench.load_command(name, daemon, ("-c", others, "-n", 500000)),
                                        stdout=subprocess.DEVNULL)
                time.sleep(0.5)
                begun, n_begun = time.monotonic(), daemon.n_logged("." + name + "[")
                beside = worst_by_median(bench, daemon, measured)
                rate = (daemon.n_logged("." + name + "[") - n_begun) / (time.monotonic() - begun)
                threads = daemons.status(daemon.pids()[0], "Threads")
                slow.kill()
                slow.wait()
        bench.row("7", f"{n} healthy beside {title}: worst / median <= 5", beside, beside.median <= 5,
                  f"alone {alone}; the others {rate:.0f} messages/s, {threads} threads")


def worst_by_median(bench, daemon, options):
    ratios = []
    for _ in range(bench.rounds):
        result = bench.load("bare", daemon, *options)
        ratios.append(result["worst_ms"] / result["p50_ms"])
        time.sleep(1)
    return Figures(ratios)
