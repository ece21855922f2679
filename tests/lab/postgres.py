#!/usr/bin/python3
"""A private PostgreSQL: data directory of its own, a port on loopback and a socket of its own, started and stopped by us.

    tests/lab/postgres.py COMMAND...    runs COMMAND with TEST_POSTGRESQL=postgresql://... in its environment
    with postgres.Postgres() as server: in Python; see the class

PostgreSQL refuses root, so where we are root it runs as postgres, or else as nobody.
"""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.parse

if __package__:
    from . import wait
else:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from lab import wait

USER, PASSWORD, DATABASE = "trimilter", "p@ss/w:rd%", "mail"

CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{top}'
shared_buffers = 32MB
max_connections = 40
logging_collector = off
log_checkpoints = off
"""

# Over TCP a password is asked for; over the socket, which only this helper uses, none.
ACCESS = """
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""


class PostgresError(Exception):
    pass


def programs():
    """The directory of the newest version's programs, which Debian keeps out of PATH; None: not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    path = found[-1] if found else shutil.which("initdb")
    return os.path.dirname(path) if path else None


def _account():
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        except KeyError:
            pass
    raise PostgresError("there is no user that PostgreSQL could run as")


class Postgres:
    """
    Between start() and stop(), or in a with statement, it answers at `port` of 127.0.0.1 and at a socket in `top`.

    safe      whether commits wait for the disk; for measurements
    settings  further lines of postgresql.conf
    """

    def __init__(self, safe=False, settings=""):
        self.programs = programs()
        if self.programs is None:
            raise PostgresError("PostgreSQL is not installed: apt-get install postgresql")
        self.holder = tempfile.TemporaryDirectory(prefix="trimilter-postgres-", ignore_cleanup_errors=True)
        top = self.top = self.holder.name
        os.chmod(top, 0o755)
        self.data, self.port = os.path.join(top, "data"), wait.free_port()
        self.log_path = os.path.join(top, "postgres.log")
        self.account, self.process = _account(), None
        if self.account:
            os.chown(top, self.account["user"], self.account["group"])
        self._run("initdb", "-D", self.data, "-U", "admin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        self._write("postgresql.conf", CONFIGURATION.format(port=self.port, top=top) + settings +
                    ("" if safe else "\nfsync = off\nfull_page_writes = off\n"))
        self._write("pg_hba.conf", ACCESS)

    def _write(self, name, text):
        # Written over, so that owner and mode stay.
        with open(os.path.join(self.data, name), "w") as file:
            file.write(text)

    def _run(self, name, *arguments, text=None):
        done = subprocess.run([os.path.join(self.programs, name), *arguments], input=text, text=True, cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, **self.account)
        if done.returncode != 0:
            raise PostgresError("%s: exit %d: %s" % (name, done.returncode, done.stderr or done.stdout))
        return done.stdout

    def start(self):
        """Returns when it answers. The first time it also makes the user and an empty database."""
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen([os.path.join(self.programs, "postgres"), "-D", self.data], cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                            **self.account)

        def ready():
            if self.process.poll() is not None:
                with open(self.log_path) as log:
                    raise PostgresError("it ended: " + log.read()[-2000:])
            return subprocess.run([os.path.join(self.programs, "pg_isready"), "-q", "-h", self.top, "-p", str(self.port)],
                                  cwd="/").returncode == 0

        wait.until("PostgreSQL", ready, 60)
        if self.sql("SELECT count(*) FROM pg_roles WHERE rolname = '%s'" % USER, "postgres", "admin") == "0":
            self.sql("CREATE ROLE %s LOGIN CREATEDB PASSWORD '%s'" % (USER, PASSWORD), "postgres", "admin")
            self.sql("CREATE DATABASE %s OWNER %s" % (DATABASE, USER), "postgres", "admin")
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        self.holder.cleanup()

    def url(self, database=DATABASE, port=None):
        return "postgresql://%s:%s@127.0.0.1:%d/%s" % (USER, urllib.parse.quote(PASSWORD, safe=""), port or self.port, database)

    def sql(self, statement, database=DATABASE, user=USER):
        """What psql prints: a row a line, columns apart by '|'. The user "admin" may do anything."""
        return self._run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.top, "-p", str(self.port),
                         "-U", user, "-d", database, text=statement).rstrip("\n")

    def stop(self, how=signal.SIGINT):
        """SIGINT ends all connections, SIGTERM waits for them, SIGQUIT is a crash. Nothing where it does not run."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def freeze(self):
        """It and all its children stand still, as a dead machine does; thaw() lets them go on."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self):
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number):
        """The postmaster and its children, each of which leads a session of its own."""
        for pid in self._children() + [self.process.pid]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def _children(self):
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as file:
            return [int(word) for word in file.read().split()]


def main(command):
    if not command:
        print(__doc__.strip(), file=sys.stderr)
        return 64
    with Postgres() as server:
        return subprocess.run(command, env={**os.environ, "TEST_POSTGRESQL": server.url()}).returncode


if __name__ == "__main__":
    # A test that is ended from outside takes its server along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
