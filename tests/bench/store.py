#!/usr/bin/python3
"""Measure the report store: how long an import takes, and how much memory, on SQLite and on a PostgreSQL of its own.

    tests/bench/store.py [--records N] [--domains N] [--sources N] [--tool PATH] [--only sqlite|postgresql]

The rows that come of a million records over 10,000 domains depend on how often the same source sends the same: with 50
addresses (--sources) to each domain about 400,000. Both databases wait for the disk at each commit. What was counted is
compared with what was written.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from lab import postgres  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--records", type=int, default=1000000)
    parser.add_argument("--domains", type=int, default=10000)
    parser.add_argument("--sources", type=int, default=50)
    parser.add_argument("--tool", default=os.path.join(HERE, "..", "..", "build", "tests", "report", "store_tool"))
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    return parser.parse_args()


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
