"""A PostgreSQL server of the test's own: a directory, a socket in it and a port of loopback, no service of the system."""
import glob
import os
import socket
import subprocess
import tempfile
import time


def programs():
    """The newest version's directory of programs; None: not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    return os.path.dirname(found[-1]) if found else None


class PostgreSQL:
    """with PostgreSQL() as server: server.sql("..."), server.socket, server.port"""
    user = "trimilter"

    def __init__(self):
        self.process = None

    def _run(self, *words, **named):
        # The server refuses to run as root.
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        return [*prefix, os.path.join(programs(), words[0]), *words[1:]]

    def __enter__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="postgresql", ignore_cleanup_errors=True)
        self.socket = self.holder.name
        if os.geteuid() == 0:
            subprocess.run(["chown", "postgres", self.socket], check=True)
        os.chmod(self.socket, 0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        data = os.path.join(self.socket, "data")
        password = os.path.join(self.socket, "password")
        with open(password, "w") as file:
            file.write("pass/w:rd\n")
        os.chmod(password, 0o644)
        subprocess.run(self._run("initdb", "-N", "-A", "trust", "--auth-host=scram-sha-256", "--pwfile=" + password, "-U", self.user,
                                 "-E", "UTF8", "--locale=C", "-D", data), cwd="/", stdout=subprocess.DEVNULL, check=True)
        self.start()
        self.sql("CREATE DATABASE mail", "postgres")
        return self

    def start(self):
        log = open(os.path.join(self.socket, "log"), "a")
        self.process = subprocess.Popen(
            self._run("postgres", "-D", os.path.join(self.socket, "data"), "-k", self.socket, "-p", str(self.port),
                      "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"), cwd="/", stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 30
        while subprocess.run(self._run("pg_isready", "-q", "-h", self.socket, "-p", str(self.port)), cwd="/").returncode != 0:
            if time.monotonic() > end or self.process.poll() is not None:
                with open(os.path.join(self.socket, "log")) as file:
                    raise RuntimeError("PostgreSQL does not start: " + file.read()[-2000:])
            time.sleep(0.05)

    def stop(self):
        if self.process is not None:
            subprocess.run(self._run("pg_ctl", "-D", os.path.join(self.socket, "data"), "-m", "immediate", "-s", "stop"), cwd="/")
            self.process.wait()
            self.process = None

    def __exit__(self, *_):
        self.stop()
        self.holder.cleanup()

    def sql(self, text, database="mail"):
        subprocess.run(self._run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-p", str(self.port), "-U", self.user,
                                 database), cwd="/", input=text, text=True, stdout=subprocess.DEVNULL, check=True)
