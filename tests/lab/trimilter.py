"""The daemon under test: its configuration, its log, its signals, its end."""
import glob
import os
import signal
import subprocess
import sys

from . import unit, wait

SANITIZER = "exitcode=99:log_path=%s/sanitizer"


class DaemonError(Exception):
    pass


class Trimilter:
    """
    top      an empty directory that any user may enter
    options  {name: value}; a value that is a list gives a line for each
    UNIT     the systemd unit under whose restrictions it runs, as UserID from the start; None: as whoever runs the tests
    """

    UNIT = None

    def __init__(self, binary, top, options):
        self.binary, self.top, self.options = binary, top, dict(options)
        self.config = os.path.join(top, "trimilter.conf")
        self.log_path = os.path.join(top, "trimilter.log")
        self.process = None
        self.configure()

    def configure(self, **changes):
        """Write the configuration, with changes from now on; None takes an option out. SIGHUP is the caller's."""
        self.options.update({name.replace("_", "-"): value for name, value in changes.items()})
        with open(self.config + ".new", "w") as file:
            for name, value in self.options.items():
                for one in value if isinstance(value, list) else [value]:
                    if one is not None:
                        file.write("%-24s %s\n" % (name, one))
        os.rename(self.config + ".new", self.config)

    def command(self, *arguments):
        return [*self.restricted(), self.binary, "-f", "-c", self.config, *arguments]

    def restricted(self):
        if not self.UNIT:
            return []
        address = self.address()
        places = {self.top} | ({os.path.dirname(address)} if isinstance(address, str) else set())
        return [sys.executable, unit.__file__, self.UNIT, "--user", self.options["UserID"],
                *(word for place in sorted(places) for word in ("--writable", place)), "--"]

    def environment(self):
        where = SANITIZER % self.top
        return {**os.environ, "ASAN_OPTIONS": where, "UBSAN_OPTIONS": "print_stacktrace=1:" + where,
                "TSAN_OPTIONS": "second_deadlock_stack=1:atexit_sleep_ms=20:" + where}

    def check(self):
        """(exit status, stderr) of -n."""
        done = subprocess.run(self.command("-n"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, timeout=60, env=self.environment())
        return done.returncode, done.stdout

    def start(self):
        """Returns when the socket accepts; DaemonError with the log's end when the daemon ends before."""
        mark = len(self.log())
        with open(self.log_path, "a") as log:
            self.process = self.spawn(log)

        def ready():
            if self.process.poll() is not None:
                raise DaemonError("exit %d: %s" % (self.process.returncode, self.log()[mark:].strip()))
            return "ready on" in self.log()[mark:] and wait.accepts(self.address())
        wait.until("trimilter ready", ready, 60)
        return self

    def spawn(self, log):
        return subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(),
                                start_new_session=True)

    def address(self):
        """Where it listens, as wait.accepts() takes it."""
        kind, _, rest = self.options["Socket"].partition(":")
        return rest if kind == "local" else int(rest.partition("@")[0])

    def milter(self):
        """Where it listens, as Postfix's smtpd_milters takes it."""
        address = self.address()
        return "unix:" + address if isinstance(address, str) else "inet:127.0.0.1:%d" % address

    def stop(self):
        """SIGTERM; the exit status, None where it was not running."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
                raise DaemonError("did not end within 30 s of SIGTERM")
        status, self.process = self.process.returncode, None
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, **changes):
        """Change options, SIGHUP, and wait until the log says what became of it; True when it was taken."""
        self.configure(**changes)
        mark = len(self.log())
        self.signal(signal.SIGHUP)
        text = wait.until("a word about the reload",
                          lambda: "reloaded" in self.log()[mark:] and self.log()[mark:], 30)
        return "not reloaded" not in text

    def children(self, role="worker"):
        """Process ids of the master's children of that role; None: of all."""
        def role_of(pid):
            try:
                with open("/proc/%d/cmdline" % pid) as file:
                    return file.read().split("\0")[2]
            except (FileNotFoundError, ProcessLookupError, IndexError):
                return ""
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as file:
            children = [int(word) for word in file.read().split()]
        return [pid for pid in children if role is None or role_of(pid) == role]

    def log(self):
        try:
            with open(self.log_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def is_sanitized(self):
        with open(self.binary, "rb") as file:
            program = file.read()
        return b"__asan_init" in program or b"__tsan_init" in program

    def sanitizer_reports(self):
        """What ASan, UBSan or TSan had to say, from every process so far."""
        reports = []
        for path in sorted(glob.glob(os.path.join(self.top, "sanitizer.*"))):
            with open(path, errors="replace") as file:
                reports.append(file.read())
        return reports
