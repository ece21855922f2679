"""
From the spool into the store, each record exactly once: on SQLite and on PostgreSQL, killed at random, with a disk that is
full, a server that goes away, two at it at once. What ought to be there is counted here, from the spool's own lines.

    test_import.py STORE_TOOL [unittest arguments]
"""
import collections
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lab import postgres, wait  # noqa: E402

TOOL = None
DAY = 86400


def tool(*words, status=0):
    done = subprocess.run([TOOL, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    if done.returncode != status:
        raise AssertionError("%s: exit %d: %s" % (words, done.returncode, done.stderr))
    return done.stdout if status == 0 else done.stderr


def canonical(value):
    return json.dumps(value, sort_keys=True)


class Cases:
    """On one kind of database; `url` is of an empty one."""

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="trimilter-import-")
        self.addCleanup(shutil.rmtree, self.top, True)
        self.spool = os.path.join(self.top, "spool")
        self.seed = random.randrange(1 << 30)
        self.random = random.Random(self.seed)
        self.url = self.empty()
        self.running = []
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in self.running:
            process.kill()
            process.communicate()

    # ---- what ought to be ----

    def files(self, spool=None):
        return sorted(glob.glob(os.path.join(spool or self.spool, "*.jsonl")))

    def fill(self, *counts, spool=None):
        """A file of so many records for each count. (rows of each batch, ids of failures)"""
        rows, failures = collections.Counter(), set()
        before = set(self.files(spool))
        for count in counts:
            tool("fill", spool or self.spool, count, 40, 30, self.random.randrange(1 << 30))
        for path in set(self.files(spool)) - before:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    record = json.loads(line)["record"]
                    rows[record["policy"]["domain"], record["time"] // DAY * DAY, canonical(record["row"])] += 1
                    if "failure" in record:
                        failures.add(record["id"])
        return rows, failures

    def check(self, wanted, what=""):
        rows, failures = wanted
        found, messages = collections.Counter(), 0
        for line in tool("dump", self.url).splitlines():
            batch = json.loads(line)
            self.assertEqual(batch["messages"], sum(row["count"] for row in batch["rows"]), what)
            messages += batch["messages"]
            for row in batch["rows"]:
                found[batch["domain"], batch["period"], canonical(row["row"])] += row["count"]
        self.assertEqual(messages, sum(rows.values()), "%s seed %d" % (what, self.seed))
        self.assertEqual(found, rows, "%s seed %d" % (what, self.seed))
        self.assertEqual(set(tool("failures", self.url).split()), failures, what)

    # ---- importing ----

    def start(self, spool=None):
        process = subprocess.Popen([TOOL, "import", self.url, spool or self.spool], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        return process

    def finish(self, process):
        out, err = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, err)
        self.running.remove(process)
        return json.loads(out), err

    def test_all_of_it_once(self):
        wanted = self.fill(7000, 1, 3000)
        kept = os.path.join(self.top, "kept")
        shutil.copytree(self.spool, kept)
        result, _ = self.finish(self.start())
        self.assertEqual((result["files"], result["records"], result["failures"]), (3, 10001, len(wanted[1])))
        self.assertEqual(self.files(), [])
        self.check(wanted)
        # As after a kill between the commit and the removal of the file, or a loss of power that brought it back.
        for path in self.files(kept):
            shutil.copy(path, self.spool)
        result, _ = self.finish(self.start())
        self.assertEqual((result["files"], result["records"]), (3, 0))
        self.assertEqual(self.files(), [])
        self.check(wanted, "again")

    def test_a_file_that_stays_is_not_forgotten(self):
        wanted = self.fill(100)
        path = self.files()[0]
        link = path + ".kept"
        for _ in range(3):
            os.link(path, link)
            self.finish(self.start())
            os.rename(link, path)
        self.check(wanted)

    def test_lines_that_are_none(self):
        wanted = self.fill(50)
        with open(self.files()[0], "r+b") as file:
            text = file.read()
            file.seek(0)
            file.write(b"{}\nno json\n" + text[:text.index(b"\n") // 2] + b"\n" + text + text[:80])
        result, _ = self.finish(self.start())
        self.assertEqual((result["records"], result["bad_lines"]), (50, 4))
        self.check(wanted)

    def test_killed_at_random(self):
        wanted = self.fill(9000, 12000, 9000)
        began = time.monotonic()
        self.finish(self.start())
        whole = time.monotonic() - began
        self.check(wanted)
        more = self.fill(9000, 12000, 9000)
        wanted = (wanted[0] + more[0], wanted[1] | more[1])
        kills = 0
        # Ever a little later, so that every file and every instant has its turn; what was done stays done.
        while kills < 25 and self.files():
            process = self.start()
            time.sleep(self.random.uniform(0, whole / 3))
            process.kill()
            process.communicate()
            self.running.remove(process)
            kills += process.returncode == -signal.SIGKILL
        self.assertGreaterEqual(kills, 3)
        self.finish(self.start())
        self.assertEqual(self.files(), [])
        self.check(wanted, "%d kills" % kills)

    def test_two_at_once(self):
        wanted = self.fill(6000, 6000, 6000, 6000)
        other = os.path.join(self.top, "other")
        more = self.fill(8000, 4000, spool=other)
        results = [self.finish(process)[0] for process in [self.start(), self.start(), self.start(other)]]
        self.assertEqual(sum(result["records"] for result in results), 36000)
        self.check((wanted[0] + more[0], wanted[1] | more[1]))

    def test_one_holder_at_a_time(self):
        def lease(holder, now):
            return tool("lease", self.url, holder, now, 600).strip()
        self.assertEqual(lease("a", 1000), "mine")
        self.assertEqual(lease("b", 1000), "not mine")
        self.assertEqual(lease("a", 1500), "mine")
        self.assertEqual(lease("b", 2099), "not mine")
        self.assertEqual(lease("b", 2100), "mine")
        self.assertEqual(lease("a", 2101), "not mine")
        for turn in range(5):
            racers = [subprocess.Popen([TOOL, "lease", self.url, "racer%d" % i, str(10000 * (turn + 1)), "600"],
                                       stdout=subprocess.PIPE, text=True) for i in range(6)]
            said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
            self.assertEqual(sorted(said), ["mine"] + ["not mine"] * 5)


class OnSqlite(Cases, unittest.TestCase):
    def empty(self):
        return "sqlite:%s/reports.db" % self.top

    @unittest.skipIf(os.getuid() != 0, "only root may mount a small disk")
    def test_full_disk(self):
        disk = os.path.join(self.top, "disk")
        os.mkdir(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", disk])
        self.url = "sqlite:%s/reports.db" % disk
        wanted = self.fill(15000, 15000)
        for _ in range(3):
            self.assertIn("full", tool("import", self.url, self.spool, "once", status=1))
        self.assertNotEqual(self.files(), [])
        process = self.start()
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        self.finish(process)
        self.assertEqual(self.files(), [])
        self.check(wanted)


class OnPostgresql(Cases, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = postgres.Postgres()
        cls.addClassCleanup(cls.server.__exit__)
        cls.server.start()

    def empty(self):
        self.server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self.server.url()

    def test_stopped_and_started(self):
        rows, failures = collections.Counter(), set()
        self.addCleanup(lambda: self.server.process or self.server.start())
        # SIGQUIT is a crash: the server recovers, and says so to who comes too early.
        for how in (signal.SIGINT, signal.SIGQUIT):
            more = self.fill(15000, 15000, 15000)
            rows, failures = rows + more[0], failures | more[1]
            process = self.start()
            wait.until("a file imported", lambda: len(self.files()) < 3, 60)
            self.server.stop(how)
            # It keeps trying, and goes on where the store is when that comes back.
            time.sleep(1)
            self.assertIsNone(process.poll())
            self.server.start()
            _, errors = self.finish(process)
            self.assertIn("127.0.0.1", errors)
            self.assertNotIn("p@ss", errors)
            self.assertEqual(self.files(), [])
            self.check((rows, failures))

    def test_not_there_at_the_start(self):
        wanted = self.fill(2000)
        self.server.stop()
        self.addCleanup(lambda: self.server.process or self.server.start())
        process = self.start()
        time.sleep(0.5)
        self.assertIsNone(process.poll())
        self.server.start()
        self.finish(process)
        self.check(wanted)


if __name__ == "__main__":
    TOOL = os.path.abspath(sys.argv.pop(1))
    unittest.main()
