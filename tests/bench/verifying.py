"""Verifying: what it costs beside the floor and the peers, how long it waits for the DNS, that no result is missing."""
import subprocess

import daemons
from bench import Figures, TIMEOUT_MS, Watch
from daemons import Chain, Missing, Trimilter


def verify_warm(bench):
    with bench.dns():
        running = {}
        try:
            for who, make in bench.peers().items():
                try:
                    running[who] = make().__enter__()
                    for name in ("2k", "20k", "200k", "5m"):
                        bench.load(name, running[who], "-c", 8)
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    bench.note(f"{who}: {error}")
                    if who in running:
                        running.pop(who).__exit__()
            sizes(bench, running)
            throughput(bench, running)
        finally:
            for daemon in running.values():
                daemon.__exit__()


def sizes(bench, running):
    limits = {"2k": 1.8, "20k": 1.5, "200k": 1.3, "5m": 1.3}
    worker = running["trimilter"].pids()[0]
    for name, limit in limits.items():
        results = bench.rounds_of(name, running, 8)
        for who in running:
            bench.note(f"{name}: {who} CPU ms per message {Figures([r['cpu_ms'] for r in results[who]])}, "
                      f"messages/s {Figures([r['rate'] for r in results[who]])}")
        ratio = bench.ratios(results, "cpu_ms", "trimilter", "floor")
        bench.row("1", f"verify {name}, warm, 8 connections: CPU / floor <= {limit}", ratio, ratio.median <= limit)
        if name == "2k":
            against_peers(bench, results)
            before = daemons.status(worker, "VmRSS")
    grown = (daemons.status(worker, "VmRSS") - before) / 1024
    bench.row("1", "memory more after 5 MiB messages than after 2 KiB, MiB <= 2", grown, grown <= 2)


def against_peers(bench, results):
    chain = bench.ratios(results, "cpu_ms", "chain", "trimilter")
    if chain.values:
        bench.row("1", "verify 2k: CPU of opendkim+opendmarc / ours >= 5", chain, chain.median >= 5)
    rspamd = bench.ratios(results, "cpu_ms", "rspamd", "trimilter")
    if rspamd.values:
        bench.row("1", "verify 2k: CPU of rspamd / ours > 2", rspamd, rspamd.median > 2)
    rate = bench.ratios(results, "rate", "trimilter", "chain")
    if rate.values:
        bench.row("2", "messages/s at 8 connections: ours / chain >= 5", rate, rate.median >= 5)


def throughput(bench, running):
    pair = {who: running[who] for who in ("trimilter", "chain") if who in running}
    results = bench.rounds_of("2k", pair, 64)
    ratio = bench.ratios(results, "p99_ms", "trimilter", "chain")
    if ratio.values:
        bench.row("2", "p99 at 64 connections: ours / chain < 0.1", ratio, ratio.median < 0.1,
                 "ours %s ms" % Figures([r["p99_ms"] for r in results["trimilter"]]))


def cold(bench):
    with bench.dns(delay_ms=20) as dns:
        for title, options, limit in (("no pauses", (), 44), ("25 ms before MAIL, DATA", ("-M", 25, "-D", 25), 24),
                                      ("the same, held back as Postfix does", ("-M", 25, "-D", 25, "-b"), 24)):
            p50, lost = [], 0
            for _ in range(min(bench.rounds, 3)):
                with Trimilter(bench.work, bench.program) as daemon:
                    dns.empty_log()
                    result = bench.load("2k", daemon, "-c", 8, *options)
                    p50.append(result["p50_ms"])
                    lost += result["no_results"] + result["deferred"]
                    questions = dns.questions()
            per_message = len(questions) / result["messages"]
            bench.row("3", f"cold, DNS 20 ms, {title}: p50 ms <= {limit - 2} + 2", Figures(p50),
                     Figures(p50).median <= limit, f"{per_message:.1f} questions a message, {lost} without result")
        order_of_questions(bench, dns)
        chain_cold(bench)


def order_of_questions(bench, dns):
    """One message with pauses: what is asked when, counted from the first question."""
    with Trimilter(bench.work, bench.program) as daemon:
        dns.empty_log()
        bench.load("2k", daemon, "-n", 1, "-M", 25, "-D", 25)
        questions = dns.questions()
    if questions:
        begin = questions[0][0]
        bench.note("asked by one message: " + ", ".join("%s +%.1f ms" % (q[1], (q[0] - begin) / 1000) for q in questions))


def chain_cold(bench):
    try:
        with Chain(bench.work) as chain:
            result = bench.load("2k", chain, "-c", 8)
            bench.note(f"cold, no pauses, opendkim then opendmarc: p50 {result['p50_ms']:.1f} ms")
    except (Missing, RuntimeError) as error:
        bench.note(f"chain: {error}")


def silent(bench):
    with bench.dns():
        with Trimilter(bench.work, bench.program, "On-DNSError accept") as daemon:
            before = daemons.status(daemon.pids()[0], "Threads")
            most = [before]
            watch = Watch(lambda: most.append(daemons.status(daemon.pids()[0], "Threads")))
            with watch:
                result = bench.load("silent", daemon, "-c", 16, "-n", 16 if bench.quick else 64)
        worst, limit = result["worst_ms"], TIMEOUT_MS + 250
        bench.row("3", f"silent nameserver, 16 connections: worst ms <= {limit}", worst, worst <= limit,
                 f"threads {before} -> {max(most)}")


def fresh(bench):
    starts = 2 if bench.quick else 20
    lost = other = n = 0
    with bench.dns(delay_ms=20):
        for _ in range(starts):
            with Trimilter(bench.work, bench.program) as daemon:
                result = bench.load("2k", daemon, "-c", 64)
            n += result["messages"]
            lost += result["no_results"]
            other += result["deferred"] + result["rejected"] + result["discarded"]
    bench.row("8", f"messages without results, {starts} fresh starts, 64 connections = 0", lost, lost + other == 0,
             f"of {n}; {other} not accepted")
