#!/usr/bin/python3
"""Measure the report store: how long an import takes, and how much memory, on SQLite and on a PostgreSQL of its own; and
how long it takes to build and send all reports.

    tests/bench/store.py [--records N] [--domains N] [--sources N] [--build DIR] [--only sqlite|postgresql]

The rows that come of a million records over 10,000 domains depend on how often the same source sends the same: with 50
addresses (--sources) to each domain about 400,000. Both databases wait for the disk at each commit. What was counted is
compared with what was written. Reports are built and sent by trimilterctl, over SMTP to a server of the lab; every
address must get one report, and what the reports say must add up to what was written.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from lab import postgres, sink, wait  # noqa: E402

DAY_BEGIN = 1769817600     # of store_tool


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=1000000)
    parser.add_argument("--domains", type=int, default=10000)
    parser.add_argument("--sources", type=int, default=50)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    options = parser.parse_args()
    options.tool = os.path.join(options.build, "tests", "report", "store_tool")
    return options


def run(*words):
    return subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, check=True).stdout


def measure(options, top, name, url, size):
    spool = os.path.join(top, "spool-" + name)
    run(options.tool, "fill", spool, options.records, options.domains, options.sources)
    result = json.loads(run(options.tool, "import", url, spool))
    began = time.monotonic()
    batches = rows = messages = 0
    with subprocess.Popen([options.tool, "dump", url], stdout=subprocess.PIPE, text=True) as dump:
        for line in dump.stdout:
            batch = json.loads(line)
            batches, rows, messages = batches + 1, rows + len(batch["rows"]), messages + batch["messages"]
    if (result["records"], messages) != (options.records, options.records):
        sys.exit("%s: %d records were written, %d imported, %d counted" %
                 (name, options.records, result["records"], messages))
    print("%-11s import %6.1f s (%5.1f s CPU of ours), %6.0f records/s, %5.1f MiB resident; %d batches, %d rows, %.0f MiB; "
          "read back in %.1f s" % (name, result["seconds"], result["cpu_seconds"], options.records / result["seconds"],
                                   result["resident_kib"] / 1024, batches, rows, size() / 2**20, time.monotonic() - began),
          flush=True)
    measure_reports(options, top, name, url, batches)


def configure(top, url, port):
    """A configuration, and a DNS of two names: none of the destinations is another organization's."""
    path = os.path.join(top, "conf")
    with open(os.path.join(top, "zone"), "w") as file:
        file.write("mx.example.net A 192.0.2.25\nexample.net A 192.0.2.25\n")
    with open(path, "w") as file:
        file.write("AuthservID mx.example.net\nReportAddress reports@example.net\nReportSpool %s/none\nReportStore %s\n"
                   "ReportServer 127.0.0.1:%d\nDNSZoneFile %s/zone\n" % (top, url, port, top))
    return path


def send(options, config):
    """(seconds, seconds of CPU, MiB resident at most, what it did) of one `trimilterctl report send`, after the day."""
    began = time.monotonic()
    process = subprocess.Popen([os.path.join(options.build, "trimilterctl"), "report", "send", "--json", "-c", config, "--now",
                                str(DAY_BEGIN + 86400 + 1000)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    result = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, result


def messages_in(message):
    """What the words of an aggregate report say that it counts."""
    return int(re.search(rb"It counts (\d+) message", message.data)[1])


def measure_reports(options, top, name, url, batches):
    with sink.Sink() as server:
        # A server that cannot be reached: three attempts, and the rest waits; so this is the building alone.
        built = send(options, configure(top, url, wait.free_port()))
        config = configure(top, url, server.port)
        run(os.path.join(options.build, "trimilterctl"), "report", "retry", "-c", config, "--now", DAY_BEGIN)
        sent = send(options, config)
        counted = sum(messages_in(message) for message in server.messages)
        if (built[3]["built"], sent[3]["sent"], counted) != (batches, batches, options.records):
            sys.exit("%s: %d reports to be, %s, %s, counting %d messages" % (name, batches, built[3], sent[3], counted))
    print("%-11s %d reports built in %.1f s (%.1f s CPU), %.1f MiB resident; sent in %.1f s (%.1f s CPU), %.1f MiB resident" %
          (name, batches, *built[:3], *sent[:3]), flush=True)


def main():
    options = arguments()
    top = tempfile.mkdtemp(prefix="trimilter-bench-")
    try:
        print("%d records over %d domains, load %.1f" % (options.records, options.domains, os.getloadavg()[0]), flush=True)
        if options.only != "postgresql":
            path = os.path.join(top, "reports.db")
            measure(options, top, "SQLite", "sqlite:" + path, lambda: os.path.getsize(path))
        if options.only != "sqlite":
            with postgres.Postgres(safe=True) as server:
                measure(options, top, "PostgreSQL", server.url(),
                        lambda: int(server.sql("SELECT pg_database_size(current_database())")))
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
