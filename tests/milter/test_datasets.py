"""
Data sets in databases, in the real daemon: new rows come into force, old ones stay while there are no others.

    test_datasets.py PROGRAM [unittest arguments]
"""
import os
import signal
import socket
import sqlite3
import sys
import time
import unittest

import test_daemon
from test_daemon import Case, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lab import postgres
from lab.lmdb import Lmdb

KEY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenarios", "keys", "k1.pem")
TABLES = """AuthservID mx.example.net
KeyTable {set}table=dkim&keycol=id&datacol=domain,selector,key{more}
SigningTable {set}table=dkim&keycol=domain&datacol=id{more}
RequireSafeKeys no
Nameservers 127.0.0.1@9
DataSetRefresh {refresh}
"""


class Sets(Case):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, "k.db")
        with open(KEY) as file:
            self.key = file.read()

    def sqlite(self, refresh=1):
        return TABLES.format(set=f"sqlite:{self.path}?", more="", refresh=refresh)

    def put(self, *domains):
        with sqlite3.connect(self.path) as db:
            db.execute("DROP TABLE IF EXISTS dkim")
            db.execute("CREATE TABLE dkim (id INTEGER PRIMARY KEY, domain TEXT, selector TEXT, key TEXT)")
            db.executemany("INSERT INTO dkim (domain, selector, key) VALUES (?, 's', ?)", [(name, self.key) for name in domains])
        db.close()

    def signs(self, daemon, domain):
        with test_daemon.Milter(daemon.address) as milter:
            milter.connect("localhost", "127.0.0.1")
            milter.helo("localhost")
            result = milter.message("a@" + domain, ["b@example.net"], [("From", " a@" + domain)], b"text\r\n", queue_id="S1")
        self.assertEqual(result.action, "accept", daemon.log())
        return [f" d={domain};" in field for field in result.header("DKIM-Signature")] == [True]

    def test_new_rows_come_into_force(self):
        self.put("a.example")
        daemon = self.daemon(self.sqlite()).start()
        self.assertEqual([self.signs(daemon, name) for name in ("a.example", "b.example")], [True, False])
        time.sleep(2.5)
        self.assertNotIn("refreshed", daemon.log())
        self.put("b.example", "c.example")
        daemon.wait_log("data sets refreshed: rows have changed")
        self.assertEqual([self.signs(daemon, name) for name in ("a.example", "b.example", "c.example")], [False, True, True])

    def test_old_rows_stay_while_there_are_no_others(self):
        self.put("a.example")
        daemon = self.daemon(self.sqlite()).start()
        os.rename(self.path, self.path + ".away")
        daemon.wait_log("data sets not refreshed, the old rows stay in force: ")
        time.sleep(2.5)
        self.assertEqual(daemon.log().count("not refreshed"), 1, daemon.log())
        self.assertIn("unable to open database file", daemon.log())
        self.assertTrue(self.signs(daemon, "a.example"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration not reloaded: the old one stays in force")
        os.rename(self.path + ".away", self.path)
        daemon.wait_log("data sets can be refreshed again")
        # Rows that cannot be used are no better than none.
        self.key = "no key"
        self.put("a.example")
        wait_for(lambda: daemon.log().count("not refreshed") == 2)
        self.assertIn("the key in the table cannot be used", daemon.log())
        self.assertTrue(self.signs(daemon, "a.example"))

    def test_lmdb(self):
        keys, authors = (Lmdb(os.path.join(self.directory, name)) for name in ("keys", "authors"))
        keys.put({"k": "%:s:" + self.key})
        authors.put({"a.example": "k"})
        daemon = self.daemon(f"KeyTable mdb:{self.directory}/keys\nSigningTable lmdb:{self.directory}/authors\n"
                             "DataSetRefresh 1\n").start()
        self.assertTrue(self.signs(daemon, "a.example"))
        authors.put({"b.example": "k", "c.example": "k"})
        daemon.wait_log("data sets refreshed")
        self.assertEqual([self.signs(daemon, name) for name in ("a.example", "c.example")], [False, True])

    def test_zero_refreshes_at_a_reload_alone(self):
        self.put("a.example")
        daemon = self.daemon(self.sqlite(0)).start()
        self.put("b.example")
        time.sleep(1.5)
        self.assertTrue(self.signs(daemon, "a.example"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        self.assertEqual([self.signs(daemon, name) for name in ("a.example", "b.example")], [False, True])

    def test_an_interval_is_taken_over_by_a_reload(self):
        self.put("a.example")
        daemon = self.daemon(self.sqlite(0)).start()
        daemon.configure(self.sqlite(1))
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        self.put("b.example")
        daemon.wait_log("data sets refreshed")
        self.assertTrue(self.signs(daemon, "b.example"))

    def test_nothing_waits_for_a_database_that_does_not_answer(self):
        self.put("a.example")
        daemon = self.daemon(self.sqlite()).start()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            daemon.configure(TABLES.format(set=f"pgsql://joe:secret@127.0.0.1:{silent.getsockname()[1]}/mail?", more="",
                                           refresh=1))
            daemon.signal(signal.SIGHUP)
            silent.settimeout(10)
            connection, _ = silent.accept()
            self.assertTrue(self.signs(daemon, "a.example"))
            begin = time.monotonic()
            self.assertEqual(daemon.stop(), 0)
            self.assertLess(time.monotonic() - begin, 4)
            connection.close()
        self.assertNotIn("secret", daemon.log())

    def test_a_start_without_the_database_is_refused(self):
        for arguments in (("-f",), ("-n",)):
            done = self.daemon(self.sqlite(), arguments=arguments).run()
            self.assertEqual(done.returncode, 78)
            self.assertRegex(done.stderr, r"conf:\d+: cannot read sqlite:.*unable to open database file")

    @unittest.skipIf(postgres.programs() is None, "PostgreSQL is not installed")
    def test_postgresql(self):
        def put(*domains):
            server.sql("BEGIN; DROP TABLE IF EXISTS dkim; CREATE TABLE dkim (id serial, domain text, selector text, key text);\n"
                       + "".join(f"INSERT INTO dkim (domain, selector, key) VALUES ('{name}', 's', '{self.key}');\n"
                                 for name in domains) + "COMMIT;")

        with postgres.Postgres() as server:
            put("a.example")
            for where in (f"pgsql:///mail?host={server.top}&port={server.port}&user={postgres.USER}&",
                          f"pgsql://{postgres.USER}:p%40ss%2Fw%3Ard%25@127.0.0.1:{server.port}/mail?"):
                put("a.example")
                config = TABLES.format(set=where, more="", refresh=1)
                daemon = self.daemon(config).start()
                self.assertTrue(self.signs(daemon, "a.example"))
                put("b.example")
                daemon.wait_log("data sets refreshed")
                self.assertTrue(self.signs(daemon, "b.example"))
                server.stop()
                daemon.wait_log("data sets not refreshed")
                self.assertTrue(self.signs(daemon, "b.example"))
                server.start()
                daemon.wait_log("can be refreshed again")
                self.assertEqual(daemon.stop(), 0)
                self.assertNotIn("pass/w", daemon.log())
                self.assertNotIn("pass%2Fw", daemon.log())
                os.unlink(daemon.log_path)
            # OpenDKIM's own notation, and what PostgreSQL says of a wrong password.
            dsn = f"dsn:pgsql://{postgres.USER}:p=40ss=2Fw=3Ard=25@{server.port}+127.0.0.1/mail/table=dkim?keycol="
            daemon = self.daemon(f"KeyTable {dsn}id?datacol=domain,selector,key\nSigningTable {dsn}domain?datacol=id\n").start()
            self.assertTrue(self.signs(daemon, "b.example"))
            daemon.stop()
            os.unlink(daemon.log_path)
            done = self.daemon(TABLES.format(set=f"pgsql://{postgres.USER}:wrong1@127.0.0.1:{server.port}/mail?", more="",
                                             refresh=1)).run()
            self.assertEqual(done.returncode, 78)
            self.assertIn("password authentication failed", done.stderr)
            self.assertNotIn("wrong1", done.stderr)


if __name__ == "__main__":
    unittest.main()
