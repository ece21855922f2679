"""Signing: beside the floor that signs, with large tables, with many keys."""
import os
import subprocess

import daemons
from bench import Figures
from daemons import Floor, Trimilter
from manykeys import distinct_keys


def signing(bench):
    with bench.dns():
        for kind in ("rsa", "ed25519"):
            key = signing_key(bench, kind)
            config = f"InternalHosts 203.0.113.0/24\nDomain sender.example\nSelector s\nKeyFile {key}\n"
            with Trimilter(bench.work, bench.program, config) as ours, \
                    Floor(bench.work, bench.tool("floor"), "-s", key) as floor:
                running = {"trimilter": ours, "floor": floor}
                for daemon in running.values():
                    bench.load("out", daemon, "-c", 8, "-n", 200)
                results = bench.rounds_of("out", running, 8)
            ratio = bench.ratios(results, "cpu_ms", "trimilter", "floor")
            bench.row("4", f"sign 2k with {kind}, 8 connections: CPU / floor that signs <= 1.3", ratio,
                     ratio.median <= 1.3, "ours %s ms" % Figures([r["cpu_ms"] for r in results["trimilter"]]))


def signing_key(bench, kind):
    path = os.path.join(bench.work, f"signing-{kind}.pem")
    algorithm = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if kind == "rsa" else ["ED25519"]
    if not os.path.exists(path):
        subprocess.run(["openssl", "genpkey", "-algorithm", *algorithm, "-out", path], check=True, capture_output=True)
    os.chmod(path, 0o600)
    return path


def write_lines(bench, name, lines):
    path = os.path.join(bench.work, name)
    with open(path, "w") as file:
        file.writelines(line + "\n" for line in lines)
    os.chmod(path, 0o644)
    return path


def table_config(bench, n_rows):
    """One key, and @n_rows in each of the tables that a message to be signed is looked up in."""
    key, rows = signing_key(bench, "rsa"), range(n_rows - 1)
    keys = write_lines(bench, f"keytable-{n_rows}",
                       [*(f"k{row} customer{row}.example:s:{key}" for row in rows), f"k sender.example:s:{key}"])
    senders = write_lines(bench, f"signingtable-{n_rows}",
                          [*(f"*@customer{row}.example k{row}" for row in rows), "*@sender.example k"])
    hosts = write_lines(bench, f"internalhosts-{n_rows}",
                        [*(f"10.{row >> 16}.{row >> 8 & 255}.{row & 255}" for row in rows), "203.0.113.0/24"])
    return f"InternalHosts file:{hosts}\nKeyTable file:{keys}\nSigningTable refile:{senders}\n"


def tables(bench):
    many = 5000 if bench.quick else 100000
    with bench.dns():
        with Trimilter(os.path.join(bench.work, "few"), bench.program, table_config(bench, 10)) as few, \
                Trimilter(os.path.join(bench.work, "many"), bench.program, table_config(bench, many)) as large:
            running = {"few": few, "many": large}
            for daemon in running.values():
                bench.load("out", daemon, "-c", 8, "-n", 200)
            results = bench.rounds_of("out", running, 8)
            rss = daemons.status(large.pids()[0], "VmRSS") / 1024
    ratio = bench.ratios(results, "cpu_ms", "many", "few")
    bench.row("4", f"sign with {many} rows in each table: CPU / with 10 rows <= 1.05", ratio, ratio.median <= 1.05,
             f"start {large.start_seconds:.2f} s, {rss:.1f} MiB")


def keys(bench):
    """As many customers, each with a key of his own, and one key for all of them."""
    n = 2000 if bench.quick else 100000
    senders = write_lines(bench, f"customers-{n}", (f"*@customer{row}.example k{row}" for row in range(n)))
    one = write_lines(bench, f"onekey-{n}",
                      (f"k{row} customer{row}.example:s:{signing_key(bench, 'rsa')}" for row in range(n)))
    own = write_lines(bench, f"ownkeys-{n}",
                      (f"k{row} customer{row}.example:s:{path}" for row, path in enumerate(distinct_keys(bench.work, n))))
    for what, table in (("one key for all", one), ("distinct keys", own)):
        config = f"InternalHosts 203.0.113.0/24\nKeyTable file:{table}\nSigningTable refile:{senders}\n"
        with bench.dns(), Trimilter(bench.work, bench.program, config) as daemon:
            begin = daemons.status(daemon.pids()[0], "VmRSS") / 1024
            first, following = (bench.load("customers", daemon) for _ in range(2))
            end = daemons.status(daemon.pids()[0], "VmRSS") / 1024
        bench.row("4", f"{n} customers, {what}: start, seconds", daemon.start_seconds, None,
                  f"{begin:.1f} MiB, {end:.1f} after {first['messages']} of them have signed")
        bench.row("4", f"{n} customers, {what}: CPU ms of the first signature", first["cpu_ms"], None,
                  f"p50 {first['p50_ms']:.2f} ms; of the next {following['cpu_ms']:.3f} and {following['p50_ms']:.2f} ms")
