"""
The processes of the daemon, from outside: start, errors, reload, crash, drain, end.

    test_daemon.py PROGRAM [unittest arguments]

PROGRAM is fake_trimilter: the daemon with a decision that header fields steer
(fake_auth.c) and a configuration of a few options (fake_config.c). MILTER_ENGINE
in the environment says on which front: libmilter (the default) or native.
"""
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock

from miltertest import Milter

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else None
ENGINE = os.environ.get("MILTER_ENGINE", "native")
IS_ROOT = os.geteuid() == 0
FROM = ("From", " a@example.org")


def wait_for(what, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("did not happen in time")


def has_ended(pid):
    """Also where nobody asks for its status: process 1 of a container does not always."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Daemon:
    """One daemon with a directory of its own."""

    def __init__(self, directory, config="", address=None, arguments=("-f",)):
        self.directory = directory
        self.path = os.path.join(directory, "sock")
        self.address = address or f"local:{self.path}"
        self.file = os.path.join(directory, "conf")
        self.log_path = os.path.join(directory, "log")
        self.arguments = arguments
        self.extra = []
        self.process = None
        self.configure(config)

    def configure(self, config):
        """At a stroke: a daemon that starts just now reads the old file or the new one."""
        with open(self.file + ".new", "w") as file:
            file.write(f"Socket {self.address}\n{config}\nMilterEngine {ENGINE}\n"
                       f"ReportSpool {self.directory}/spool\nReportStore sqlite:{self.directory}/reports.db\n")
        os.replace(file.name, self.file)

    def command(self):
        return [PROGRAM, *self.arguments, "-c", self.file, *self.extra]

    def run(self, timeout=20):
        """To its end."""
        return subprocess.run(self.command(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)

    def check(self):
        """What -n says."""
        return subprocess.run([*self.command(), "-n"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)

    def spawn(self):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stderr=log)
        return self

    def start(self):
        n = self.log().count(" ready on ")
        self.spawn()
        wait_for(lambda: self.log().count(" ready on ") > n or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError(self.log())
        return self

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="backslashreplace") as file:
            return file.read()

    def wait_log(self, text, seconds=10.0):
        wait_for(lambda: text in self.log(), seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def children(self, role):
        """Process ids of the master's children of that role."""
        found = []
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            children = [int(word) for word in file.read().split()]
        for pid in children:
            try:
                with open(f"/proc/{pid}/cmdline") as file:
                    if role in file.read().split("\0"):
                        found.append(pid)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return found

    def workers(self):
        return self.children("worker")

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode if self.process is not None else None

    def milter(self, **arguments):
        milter = Milter(self.address, **arguments)
        milter.connect()
        milter.helo("mail.example.org")
        return milter

    def deliver(self, *fields, **arguments):
        with self.milter() as milter:
            return milter.message("a@example.org", ["b@example.net"], [FROM, *fields], b"text\r\n", queue_id="4F1", **arguments)


class Case(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="milter")
        self.addCleanup(holder.cleanup)
        self.directory = holder.name
        os.chmod(self.directory, 0o755)

    def daemon(self, *arguments, **named):
        daemon = Daemon(self.directory, *arguments, **named)
        self.addCleanup(daemon.stop)
        return daemon

    def assert_serves(self, daemon):
        self.assertEqual(daemon.deliver().action, "accept")


class CommandLine(Case):
    def run_program(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)

    def test_version_and_help(self):
        version = self.run_program("-V")
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout, r"^trimilter \d+\.\d+")
        help_ = self.run_program("-h")
        self.assertEqual((help_.returncode, help_.stderr), (0, ""))
        self.assertIn("usage:", help_.stdout)

    def test_wrong_usage(self):
        for arguments in (["-z"], ["-c"], ["stray"], ["-W", "cook"]):
            done = self.run_program(*arguments)
            self.assertEqual(done.returncode, 64, arguments)
            self.assertIn("usage:", done.stderr)

    def test_missing_file(self):
        for arguments in (["-n"], ["-f"], []):
            done = self.run_program(*arguments, "-c", "/nonexistent/conf")
            self.assertEqual(done.returncode, 78)
            self.assertIn("/nonexistent/conf", done.stderr)

    def test_check(self):
        daemon = self.daemon()
        daemon.arguments = ("-n",)
        self.assertEqual(daemon.run().returncode, 0)
        self.assertFalse(os.path.exists(daemon.path))
        for where in ("read", "load"):
            daemon.configure(f"Broken {where}")
            done = daemon.run()
            self.assertEqual(done.returncode, 78)
            self.assertRegex(done.stderr, r"conf:2: Broken: ")

    def test_relative_path_survives_the_background(self):
        daemon = self.daemon(f"Background yes\nPidFile {self.directory}/pid")
        done = subprocess.run([PROGRAM, "-c", "conf"], cwd=self.directory, capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(f"{self.directory}/pid") as file:
            pid = int(file.read())
        try:
            # Ready when the parent ends, and nothing of ours is kept open.
            self.assert_serves(daemon)
            daemon.configure("Mark second")
            os.kill(pid, signal.SIGHUP)
            wait_for(lambda: "mark=second" in daemon.deliver().header("X-Told")[0])
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not os.path.exists(f"{self.directory}/pid"))
        wait_for(lambda: not os.path.exists(daemon.path))


class StartErrors(Case):
    def test_mistakes_end_the_start(self):
        for config in ("Broken read", "Broken load"):
            for background in ("no", "yes"):
                daemon = self.daemon(f"{config}\nBackground {background}", arguments=())
                done = daemon.run()
                self.assertEqual(done.returncode, 78, (config, background))
                self.assertRegex(done.stderr, r"conf:2: Broken: ")
                self.assertFalse(os.path.exists(daemon.path))

    def test_crash_at_start_is_tried_again_then_given_up(self):
        done = self.daemon("Crash load").run()
        self.assertEqual(done.returncode, 70)
        self.assertEqual(done.stderr.count("died of signal 6"), 3)
        self.assertIn("not started", done.stderr)

    def test_bad_sockets(self):
        with open(os.path.join(self.directory, "plain"), "w"):
            pass
        for address, status, text in (
                (f"local:{self.directory}/none/sock", 78, "No such file"),
                (f"local:{self.directory}/plain", 78, "not a socket"),
                ("local:/" + "x" * 200, 78, "bytes"),
                ("inet:0@127.0.0.1", 78, "inet:PORT@HOST"),
                ("inet:70000@127.0.0.1", 78, "inet:PORT@HOST"),
                ("inet:8891@no-such-host.invalid", 78, "no-such-host.invalid"),
                ("inet:8891@192.0.2.77", 78, "192.0.2.77"),
                ("tcp:8891", 78, "tcp:8891")):
            done = self.daemon(address=address).run()
            self.assertEqual(done.returncode, status, (address, done.stderr))
            self.assertIn(text, done.stderr)
        self.assertTrue(os.path.exists(os.path.join(self.directory, "plain")))

    def test_socket_in_use(self):
        for address in (None, f"inet:{free_port()}@127.0.0.1"):
            first = self.daemon(address=address).start()
            second = Daemon(tempfile.mkdtemp(dir=self.directory), address=first.address)
            done = second.run()
            self.assertEqual(done.returncode, 69)
            self.assertIn("in use", done.stderr)
            self.assert_serves(first)
            first.stop()

    def test_pid_file(self):
        daemon = self.daemon(f"PidFile {self.directory}/none/pid")
        done = daemon.run()
        self.assertEqual(done.returncode, 78)
        self.assertIn("none/pid", done.stderr)
        self.assertFalse(os.path.exists(daemon.path))
        os.symlink("/etc/passwd", f"{self.directory}/link")
        daemon.configure(f"PidFile {self.directory}/link")
        self.assertEqual(daemon.run().returncode, 78)

    def test_unknown_user(self):
        done = self.daemon("UserID nobody-of-that-name").run()
        self.assertEqual(done.returncode, 78)
        self.assertIn("nobody-of-that-name", done.stderr)


class Sockets(Case):
    def test_kinds(self):
        for address in (f"inet:{free_port()}@127.0.0.1", f"inet:{free_port()}@localhost", f"inet6:{free_port()}@::1"):
            daemon = self.daemon(address=address)
            daemon.address = address.replace("@localhost", "@127.0.0.1")
            daemon.start()
            self.assert_serves(daemon)
            daemon.stop()

    def test_mode_of_a_local_socket(self):
        daemon = self.daemon("UMask 007").start()
        self.assertEqual(stat.S_IMODE(os.stat(daemon.path).st_mode), 0o770)

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_user(self):
        os.chown(self.directory, 65534, 65534)
        daemon = self.daemon(f"UserID nobody\nPidFile {self.directory}/pid").start()
        self.assertEqual(os.stat(daemon.path).st_uid, 65534)
        for pid in [daemon.process.pid, *daemon.workers()]:
            with open(f"/proc/{pid}/status") as file:
                status = file.read()
            self.assertRegex(status, r"Uid:\t65534\t65534\t65534\t65534")
            self.assertNotRegex(status, r"Groups:\t(.* )?0( |$)")
        self.assert_serves(daemon)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(os.path.exists(daemon.path) or os.path.exists(f"{self.directory}/pid"))

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_directory_that_the_user_may_not_write(self):
        done = self.daemon("UserID nobody").run()
        self.assertEqual(done.returncode, 78)
        self.assertIn("UserID may write", done.stderr)

    def test_left_over_socket_is_taken(self):
        daemon = self.daemon().start()
        daemon.process.kill()
        daemon.process.wait()
        self.assertTrue(os.path.exists(daemon.path))
        daemon.start()
        self.assert_serves(daemon)

    def test_restart_again_and_again(self):
        daemon = self.daemon(address=f"inet:{free_port()}@127.0.0.1")
        for round_ in range(5):
            daemon.start()
            self.assert_serves(daemon)
            if round_ % 2:
                daemon.process.kill()
                daemon.process.wait()
            else:
                self.assertEqual(daemon.stop(), 0)


class Conversation(Case):
    def test_negotiation(self):
        daemon = self.daemon().start()
        with Milter(daemon.address) as milter:
            self.assertEqual(milter.actions, 0x135)
            self.assertEqual(milter.protocol, 0x1CB380)
            self.assertEqual(milter.wanted_macros["C"], ["j", "{daemon_name}"])
            self.assertEqual(milter.wanted_macros["M"], ["{auth_authen}"])
            self.assertEqual(milter.wanted_macros["E"], ["i"])
        with Milter(daemon.address, version=2) as milter:
            self.assertEqual((milter.actions, milter.protocol), (0x35, 0))

    def test_an_mta_that_allows_no_changes_is_refused(self):
        daemon = self.daemon().start()
        with self.assertRaises(ConnectionError):
            Milter(daemon.address, offer=(0x01, 0x7F))
        daemon.wait_log("does not let a milter")
        self.assert_serves(daemon)

    def test_what_arrives(self):
        daemon = self.daemon().start()
        for version in (2, 3, 4, 6):
            with daemon.milter(version=version) as milter:
                result = milter.message("a@example.org", ["b@example.net", "c@example.net"],
                                        [("Subject", " one\n two"), ("X-Forged", " 1"), ("X-Forged", " 2"), ("Empty", "")],
                                        b"y" * 100000, queue_id="4F2", macros={"{auth_authen}": "joe"})
            self.assertEqual(result.action, "accept")
            self.assertEqual(result.header("X-Forged"), [])
            self.assertEqual(result.headers[0][0], "X-Told")
            empty = "" if version == 6 else " "
            self.assertEqual(result.headers[0][1],
                             " client=192.0.2.1 name=mail.example.org helo=mail.example.org from=a@example.org auth=joe "
                             "daemon=smtpd mta=mx.example.net rcpt=b@example.net rcpt=c@example.net [Subject: one\n two] "
                             f"[X-Forged: 1] [X-Forged: 2] [Empty:{empty}] eoh body=100000 mark=")
        self.assertEqual(daemon.log().count("4F2: action=accept"), 4)

    def test_actions(self):
        daemon = self.daemon("SyslogSuccess no").start()
        with daemon.milter() as milter:
            for action, reply in (("reject", "550 5.7.1 100% refused"), ("tempfail", "451 4.7.1 not now"), ("accept", None),
                                  ("discard", None), ("reject", "550 5.7.1 100% refused")):
                result = milter.message("a@b", ["c@d"], [("X-Action", f" {action}")], queue_id="4F3")
                self.assertEqual((result.action, result.reply), (action, reply))
            result = milter.message("a@b", ["c@d"], [("X-Action", " quarantine")])
            self.assertEqual((result.action, result.quarantine), ("accept", "held"))
            self.assertTrue(result.header("X-Told"))
            result = milter.message("a@b", ["c@d"], [("X-Copy", " postmaster@example.com")])
            self.assertIn(("+", b"postmaster@example.com\0"), result.changes)
        self.assertEqual(daemon.log().count("4F3: action=reject"), 2)
        self.assertNotIn("action=accept", daemon.log())

    def test_clients(self):
        daemon = self.daemon().start()
        for name, ip, told in (("h.example", "2001:db8::1", "client=2001:db8::1 name=h.example "),
                               ("localhost", None, "client=local name=localhost "), ("unknown", None, "client=0.0.0.0 name= "),
                               ("localhost", "/run/socket", "client=local name=localhost ")):
            with Milter(daemon.address) as milter:
                milter.connect(name, ip)
                self.assertIn(told, milter.message("a@b", ["c@d"], []).header("X-Told")[0])

    def test_large_header_and_nul(self):
        daemon = self.daemon().start()
        self.assertEqual(daemon.deliver(("X-Large", " " + "x" * 200000)).action, "accept")
        self.assertEqual(daemon.deliver(("X-Nul", b" a\0b")).action, "accept")

    def test_memory_of_a_message_is_bounded(self):
        daemon = self.daemon().start()
        result = daemon.deliver(("X-Eat", " 2000000"))
        self.assertEqual((result.action, result.reply[:3]), ("tempfail", "451"))
        self.assertRegex(daemon.log(), r': 4F1: action=tempfail reason="out of memory')
        self.assertRegex(daemon.log(), r'error: messages can be neither judged nor signed: out of memory')
        self.assert_serves(daemon)
        daemon.configure("On-InternalError accept")
        daemon.signal(signal.SIGUSR1)
        daemon.wait_log("configuration reloaded")
        result = daemon.deliver(("X-Eat", " 2000000"))
        self.assertEqual((result.action, result.changes), ("accept", []))

    def test_parallel_sessions(self):
        daemon = self.daemon().start()
        failures = []

        def session(number):
            try:
                with Milter(daemon.address) as milter:
                    milter.connect(f"h{number}", f"192.0.2.{number}")
                    milter.helo(f"helo{number}")
                    for k in range(20):
                        if k % 5 == 4:
                            milter.mail(f"aborted{number}-{k}@x")
                            milter.abort()
                        fields = [("X-N", f" {number}-{k}")] + ([("X-Wait", " 3")] if k % 3 == 0 else [])
                        result = milter.message(f"s{number}-{k}@x", [f"r{number}-{k}@y"], fields, b"z" * k, queue_id=f"Q{number}")
                        told = result.header("X-Told")[0]
                        want = [f"client=192.0.2.{number} name=h{number} helo=helo{number} from=s{number}-{k}@x", f"rcpt=r{number}-{k}@y ",
                                f"[X-N: {number}-{k}]", f"body={k} "]
                        if result.action != "accept" or not all(w in told for w in want) or told.count("[") != len(fields):
                            failures.append((number, k, told))
            except Exception as error:  # noqa: BLE001
                failures.append((number, repr(error)))

        threads = [threading.Thread(target=session, args=(n,)) for n in range(1, 21)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(failures, [])
        self.assertEqual(len(re.findall(r"Q\d+: action=accept", daemon.log())), 400)


class Statistics(Case):
    def stats(self, daemon):
        """The counters of each line so far."""
        return [{key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
                for line in daemon.log().splitlines() if " stats: " in line]

    def test_counters(self):
        daemon = self.daemon("StatisticsInterval 1").start()
        time.sleep(1.2)
        self.assertEqual(self.stats(daemon), [])  # nothing has come, nothing is said
        for fields in ([("X-Action", " reject")], [("X-Action", " tempfail")], [], [("X-Eat", " 2000000")]):
            daemon.deliver(*fields)
        with daemon.milter() as milter:
            milter.mail("a@b")
            wait_for(lambda: self.stats(daemon) and self.stats(daemon)[-1]["messages"] == 5)
            self.assertEqual(self.stats(daemon)[-1]["in_flight"], 1)
            n = len(self.stats(daemon))
            time.sleep(1.3)
            self.assertEqual(len(self.stats(daemon)), n)
        daemon.stop()
        last = self.stats(daemon)[-1]
        self.assertEqual(len(self.stats(daemon)), n + 1)
        self.assertEqual({key: last[key] for key in ("connections", "messages", "accept", "reject", "tempfail", "faults", "in_flight")},
                         {"connections": 5, "messages": 5, "accept": 1, "reject": 1, "tempfail": 2, "faults": 1, "in_flight": 0})

    def wait_counter(self, daemon, name, value, deliver=None):
        """A line is due only where messages have come."""
        def counted():
            (deliver or self.assert_serves)(daemon)
            stats = self.stats(daemon)
            return stats and stats[-1][name] >= value

        wait_for(counted, 30)
        return self.stats(daemon)[-1][name]

    def test_replies_that_the_mta_does_not_take(self):
        daemon = self.daemon("StatisticsInterval 1").start()
        sent = []

        def give_up(daemon):
            with daemon.milter() as milter:
                milter.mail("a@b")
                milter.rcpt("c@d")
                milter.header("X-Wait", " 600")
                milter.eoh()
                milter.send_end()
                sent.append(milter)
                time.sleep(0.2)     # libmilter passes over an end behind which the connection is closed at once

        self.assertLessEqual(self.wait_counter(daemon, "replies_lost", 1, give_up), len(sent))
        for _ in range(3):
            self.assert_serves(daemon)
        daemon.stop()
        self.assertLessEqual(self.stats(daemon)[-1]["replies_lost"], len(sent))

    def test_workers_that_cannot_start(self):
        daemon = self.daemon("StatisticsInterval 1").start()
        daemon.configure("StatisticsInterval 1\nBroken load")
        os.kill(daemon.workers()[0], signal.SIGKILL)
        wait_for(lambda: daemon.log().count("ended with status 78") >= 2)
        daemon.configure("StatisticsInterval 1")
        self.assert_serves(daemon)
        n = daemon.log().count("ended with status 78")
        self.assertEqual(self.wait_counter(daemon, "starts_failed", n), n)
        # One that was to replace a worker is counted by that worker.
        daemon.configure("StatisticsInterval 1\nBroken load")
        daemon.signal(signal.SIGUSR2)
        daemon.wait_log("the old one goes on serving")
        self.assertEqual(self.wait_counter(daemon, "starts_failed", n + 1), n + 1)

    def test_a_report_store_that_fails(self):
        orders = os.path.join(self.directory, "orders")
        with open(orders, "w") as file:
            file.write("fail")
        with unittest.mock.patch.dict(os.environ, FAKE_COURIER=orders):
            daemon = self.daemon("StatisticsInterval 1\nAggregateReports yes").start()
        self.assertEqual(self.wait_counter(daemon, "store_failures", 1), 1)

    def test_none(self):
        daemon = self.daemon("StatisticsInterval 0").start()
        daemon.deliver()
        daemon.stop()
        self.assertEqual(self.stats(daemon), [])


class Reload(Case):
    def test_a_reload_never_splits_a_message(self):
        daemon = self.daemon("Mark first").start()
        with daemon.milter() as milter:
            milter.mail("a@b")
            milter.rcpt("c@d")
            wait_for(lambda: "mark=first" in daemon.deliver().header("X-Told")[0])  # the session above has been read by then
            daemon.configure("Mark second")
            daemon.signal(signal.SIGHUP)
            daemon.wait_log("configuration reloaded")
            milter.header("X", " 1")
            milter.eoh()
            self.assertIn("mark=first", milter.end([]).header("X-Told")[0])
            self.assertIn("mark=second", milter.message("a@b", ["c@d"], []).header("X-Told")[0])

    def test_broken_configuration_keeps_the_old_one(self):
        daemon = self.daemon("Mark first").start()
        before = daemon.workers()
        for n, where in enumerate(("read", "load"), 1):
            daemon.configure(f"Mark second\nBroken {where}")
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: daemon.log().count("the old one stays in force") == n)
            self.assertRegex(daemon.log(), r"conf:3: Broken: ")
            self.assertIn("mark=first", daemon.deliver().header("X-Told")[0])
        daemon.configure("Mark third")
        daemon.signal(signal.SIGUSR1)
        daemon.wait_log("configuration reloaded")
        self.assertIn("mark=third", daemon.deliver().header("X-Told")[0])
        self.assertEqual(daemon.workers(), before)

    def test_what_needs_a_restart_is_said(self):
        daemon = self.daemon().start()
        daemon.configure("Socket local:/elsewhere")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("needs a restart")

    def test_under_load(self):
        daemon = self.daemon("Mark 0").start()
        stop = threading.Event()
        failures = []

        def load():
            with daemon.milter() as milter:
                while not stop.is_set():
                    result = milter.message("a@b", ["c@d"], [FROM], b"x")
                    if result.action != "accept":
                        failures.append(result)

        threads = [threading.Thread(target=load) for _ in range(64)]
        for thread in threads:
            thread.start()
        for n in range(1, 11):
            daemon.configure(f"Mark {n}")
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: daemon.log().count("configuration reloaded") == n)
        stop.set()
        for thread in threads:
            thread.join(20)
        self.assertEqual(failures, [])


class Ends(Case):
    def test_sigterm_lets_a_message_end(self):
        daemon = self.daemon().start()
        with daemon.milter() as milter, daemon.milter():
            milter.mail("a@b")
            milter.rcpt("c@d")
            milter.header("X-Wait", " 300")
            milter.eoh()
            milter.send_end()
            time.sleep(0.1)
            begin = time.monotonic()
            daemon.signal(signal.SIGTERM)
            wait_for(lambda: not os.path.exists(daemon.path))
            self.assertEqual(milter.end_result([]).action, "accept")
            self.assertEqual(daemon.process.wait(10), 0)
            # Sessions between two messages are not waited for.
            self.assertLess(time.monotonic() - begin, 4.5)

    def test_sigterm_in_the_middle_of_data(self):
        daemon = self.daemon().start()
        with daemon.milter() as milter:
            milter.mail("a@b")
            milter.rcpt("c@d")
            milter.header("X", " 1")
            time.sleep(0.1)
            daemon.signal(signal.SIGTERM)
            time.sleep(0.5)
            milter.eoh()
            milter.body(b"more")
            self.assertEqual(milter.end([]).action, "accept")
            self.assertEqual(daemon.process.wait(10), 0)

    def test_sigterm_has_a_limit(self):
        daemon = self.daemon().start()
        with daemon.milter() as milter:
            milter.mail("a@b")
            time.sleep(0.1)
            begin = time.monotonic()
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.process.wait(10), 0)
            self.assertTrue(4 < time.monotonic() - begin < 9)
            self.assertIn("1 messages in flight", daemon.log())

    def test_signals_to_the_worker_do_nothing(self):
        daemon = self.daemon().start()
        (worker,) = daemon.workers()
        with daemon.milter() as milter:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
                os.kill(worker, number)
            time.sleep(0.3)
            self.assertEqual(milter.message("a@b", ["c@d"], []).action, "accept")
        self.assert_serves(daemon)
        self.assertEqual(daemon.workers(), [worker])

    def test_master_killed(self):
        daemon = self.daemon().start()
        (worker,) = daemon.workers()
        with daemon.milter() as milter:
            milter.mail("a@b")
            milter.rcpt("c@d")
            time.sleep(0.1)
            daemon.process.kill()
            daemon.process.wait()
            milter.eoh()
            self.assertEqual(milter.end([]).action, "accept")
        wait_for(lambda: has_ended(worker))


class Crash(Case):
    def test_crash_at_end_of_message(self):
        daemon = self.daemon().start()
        (worker,) = daemon.workers()
        with daemon.milter() as milter, self.assertRaises(ConnectionError):
            milter.message("a@b", ["c@d"], [("X-Crash", " 1")])
        # New connections wait in the backlog meanwhile.
        begin = time.monotonic()
        self.assert_serves(daemon)
        self.assertLess(time.monotonic() - begin, 5)
        self.assertNotEqual(daemon.workers(), [worker])
        self.assertIn("died of signal 6", daemon.log())

    def test_killed_again_and_again(self):
        daemon = self.daemon().start()
        for _ in range(3):
            (worker,) = daemon.workers()
            os.kill(worker, signal.SIGKILL)
            self.assert_serves(daemon)
            # Its first message may be answered before the master has heard that it serves.
            wait_for(lambda: any(f"worker {pid} serves" in daemon.log() for pid in daemon.workers()))
        self.assertIn("starts in 0.0 s", daemon.log())
        self.assertIn("starts in 0.8 s", daemon.log())

    def test_restart_meets_a_broken_configuration(self):
        daemon = self.daemon().start()
        daemon.configure("Broken load")
        os.kill(daemon.workers()[0], signal.SIGKILL)
        daemon.wait_log("ended with status 78")
        daemon.configure("")
        self.assert_serves(daemon)


class Courier(Case):
    """The child that sends reports. What a turn of it does stands in a file (fake_courier.c)."""

    ON = "AggregateReports yes"

    def setUp(self):
        super().setUp()
        self.orders = os.path.join(self.directory, "orders")
        os.environ["FAKE_COURIER"] = self.orders
        self.addCleanup(os.environ.pop, "FAKE_COURIER")

    def order(self, word):
        with open(self.orders, "w") as file:
            file.write(word)

    def turns(self, what="turn"):
        """Process ids of all turns so far."""
        if not os.path.exists(self.orders + ".log"):
            return []
        with open(self.orders + ".log") as file:
            return [int(line.split()[1]) for line in file if line.startswith(what + " ")]

    def the_courier(self, daemon, not_this=None):
        """The one that is there and has had a turn."""
        return wait_for(lambda: [pid for pid in daemon.children("courier") if pid in self.turns() and pid != not_this])[0]

    def test_only_where_reports_are_on(self):
        daemon = self.daemon().start()
        self.assert_serves(daemon)
        self.assertEqual(daemon.children("courier"), [])
        daemon.configure(self.ON)
        daemon.signal(signal.SIGHUP)
        courier = self.the_courier(daemon)
        daemon.configure("")
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: courier not in daemon.children("courier"))
        daemon.wait_log(f"courier {courier} has finished")
        time.sleep(0.3)
        self.assertEqual(daemon.children("courier"), [])
        self.assertIn("reports: records=0 built=0 failures=0 sent=1 deferred=0 refused=0 expired=0", daemon.log())

    def test_new_one_after_reload(self):
        daemon = self.daemon(self.ON).start()
        first = self.the_courier(daemon)
        daemon.signal(signal.SIGHUP)
        second = self.the_courier(daemon, not_this=first)
        self.assertEqual(daemon.children("courier"), [second])
        self.assertIn(first, self.turns("leave"))
        daemon.configure(self.ON + "\nBroken load")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("not reloaded")
        time.sleep(0.2)
        self.assertEqual(daemon.children("courier"), [second])

    def test_new_one_with_the_new_program(self):
        daemon = self.daemon(self.ON).start()
        first = self.the_courier(daemon)
        daemon.signal(signal.SIGUSR2)
        self.the_courier(daemon, not_this=first)

    def test_ready_without_it(self):
        self.order("hang")
        daemon = self.daemon(self.ON).start()
        self.assert_serves(daemon)
        self.the_courier(daemon)
        self.assert_serves(daemon)

    def test_crash_does_not_touch_the_worker(self):
        self.order("crash")
        daemon = self.daemon(self.ON).start()
        (worker,) = daemon.workers()
        wait_for(lambda: len(self.turns()) >= 3)
        with daemon.milter() as milter:
            milter.message("a@b", ["c@d"], [FROM], b"x")
        self.assertIn(worker, daemon.workers())
        for text in ("courier", "died of signal 6", "starts in 0.0 s", "starts in 0.5 s"):
            self.assertIn(text, daemon.log())
        self.order("")
        courier = self.the_courier(daemon)
        self.assertIn(courier, daemon.children("courier"))
        self.assertEqual(daemon.stop(), 0)

    def test_killed(self):
        daemon = self.daemon(self.ON).start()
        first = self.the_courier(daemon)
        os.kill(first, signal.SIGKILL)
        self.the_courier(daemon, not_this=first)
        self.assert_serves(daemon)

    def test_no_memory_at_its_start(self):
        """There may be some for the next process: what OpenSSL did not get at its start it never asks for again."""
        daemon = self.daemon(self.ON).start()
        first = self.the_courier(daemon)
        daemon.configure(self.ON + "\nStarve load")
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: len(re.findall(r"courier \d+ ended with status 70", daemon.log())) >= 2, 30)
        daemon.configure(self.ON)
        wait_for(lambda: [pid for pid in daemon.children("courier") if pid in self.turns() and pid != first], 60)
        self.assert_serves(daemon)

    def test_end(self):
        for word, least, most, text in (("", 0, 2.5, None), ("work", 0, 2.5, None), ("hang", 2.5, 6, "in the middle of a step")):
            with self.subTest(word):
                self.order(word)
                daemon = self.daemon(self.ON).start()
                courier = self.the_courier(daemon)
                begin = time.monotonic()
                self.assertEqual(daemon.stop(), 0, daemon.log())
                took = time.monotonic() - begin
                self.assertTrue(least <= took <= most, took)
                self.assertNotIn("are killed", daemon.log())
                self.assertEqual(text is None, courier in self.turns("close"))
                if text:
                    self.assertIn(text, daemon.log())

    def test_end_while_it_waits_to_be_started(self):
        self.order("crash")
        daemon = self.daemon(self.ON).start()
        wait_for(lambda: len(self.turns()) >= 4)
        self.assertEqual(daemon.stop(), 0)

    def test_master_killed(self):
        daemon = self.daemon(self.ON).start()
        courier = self.the_courier(daemon)
        daemon.process.kill()
        daemon.process.wait()
        wait_for(lambda: has_ended(courier))


class Drain(Case):
    def test_sessions_outlive_the_change(self):
        daemon = self.daemon("Mark first").start()
        (old,) = daemon.workers()
        with daemon.milter() as held:
            self.assertIn("mark=first", held.message("a@b", ["c@d"], []).header("X-Told")[0])
            daemon.configure("Mark second")
            daemon.signal(signal.SIGUSR2)
            daemon.wait_log("finishes its sessions")
            wait_for(lambda: "mark=second" in daemon.deliver().header("X-Told")[0])
            time.sleep(1.5)
            self.assertIn(old, daemon.workers())
            self.assertIn("mark=first", held.message("a@b", ["c@d"], []).header("X-Told")[0])
            for _ in range(20):
                self.assertIn("mark=second", daemon.deliver().header("X-Told")[0])
        daemon.wait_log(f"worker {old} has finished")
        self.assertEqual(len(daemon.workers()), 1)

    def test_broken_successor(self):
        daemon = self.daemon("Mark first").start()
        before = daemon.workers()
        for config, text in (("Broken load", "the old one goes on serving"), ("Crash load", "signal 6")):
            daemon.configure(config)
            daemon.signal(signal.SIGUSR2)
            daemon.wait_log(text)
            self.assertIn("mark=first", daemon.deliver().header("X-Told")[0])
        wait_for(lambda: daemon.workers() == before)

    def test_end_during_drain(self):
        daemon = self.daemon().start()
        with daemon.milter():
            daemon.signal(signal.SIGUSR2)
            daemon.wait_log("finishes its sessions")
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.process.wait(10), 0)

    def test_under_load(self):
        daemon = self.daemon().start()
        stop = threading.Event()
        failures = []
        count = [0] * 8

        def load(number):
            try:
                while not stop.is_set():
                    with daemon.milter() as milter:
                        for _ in range(3):
                            if milter.message("a@b", ["c@d"], [FROM], b"x").action != "accept":
                                failures.append("refused")
                            count[number] += 1
            except Exception as error:  # noqa: BLE001
                failures.append(repr(error))

        threads = [threading.Thread(target=load, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for n in range(1, 6):
            daemon.signal(signal.SIGUSR2)
            wait_for(lambda: daemon.log().count("finishes its sessions") == n)
        stop.set()
        for thread in threads:
            thread.join(20)
        self.assertEqual(failures, [])
        self.assertGreater(sum(count), 100)
        wait_for(lambda: len(daemon.workers()) == 1, 20)


class Hostile(Case):
    def test_garbage(self):
        daemon = self.daemon().start()
        before = daemon.workers()
        packets = [b"", b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1Z", b"\0\0\0\1O", b"\0\0\0\5Oabcd", b"GET / HTTP/1.0\r\n\r\n",
                   b"\0\0\0\x0dO" + b"\xff" * 12, b"\0\0\0\1E", b"\0\0\0\1M", b"\0\0\0\1B"]
        for packet in packets:
            for close in (True, False):
                with socket.socket(socket.AF_UNIX) as raw:
                    raw.connect(daemon.path)
                    raw.sendall(packet)
                    if not close:
                        time.sleep(0.02)
        self.assert_serves(daemon)
        self.assertEqual(daemon.workers(), before)

    def test_half_open_sessions(self):
        daemon = self.daemon().start()
        idle = []
        try:
            for _ in range(200):
                raw = socket.socket(socket.AF_UNIX)
                raw.connect(daemon.path)
                idle.append(raw)
            for n in range(50):
                milter = daemon.milter()
                if n % 2:
                    milter.mail("a@b")
                idle.append(milter.socket)
            self.assert_serves(daemon)
        finally:
            for raw in idle:
                raw.close()
        self.assert_serves(daemon)
        self.assertEqual(len(daemon.workers()), 1)


if __name__ == "__main__":
    unittest.main()
