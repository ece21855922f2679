"""The daemons that are measured: each with a configuration, a directory and sockets of its own, in the foreground."""
import os
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AUTHSERV_ID = "bench.example"


class Missing(Exception):
    """A program that is not installed."""


def find(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise Missing(program)
    return path


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def status(pid, field):
    """A number of /proc/PID/status: VmRSS and VmHWM in KiB, Threads."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    return 0


class Daemon:
    name = ""

    def __init__(self, directory, tcp_port=None):
        self.directory = os.path.join(directory, self.name)
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        self.port = tcp_port
        self.process = None

    def file(self, name, text=None):
        path = os.path.join(self.directory, name)
        if text is not None:
            with open(path, "w") as file:
                file.write(text)
        return path

    def socket(self):
        return f"inet:{self.port}@127.0.0.1" if self.port else "local:" + self.file("socket")

    def sockets(self):
        return [self.socket()]

    def command(self):
        raise NotImplementedError

    def pids(self):
        """The processes whose time counts."""
        return [self.process.pid]

    def is_ready(self):
        return self.port is not None or os.path.exists(self.file("socket"))

    def start(self):
        begin = time.monotonic()
        with open(self.file("log"), "w") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > begin + 60:
                self.stop()
                with open(self.file("log")) as log:
                    raise RuntimeError(f"{self.name} does not start: {log.read()[-2000:]}")
            time.sleep(0.02)
        self.start_seconds = time.monotonic() - begin
        if self.port:
            time.sleep(0.3)
        return self

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


class Trimilter(Daemon):
    name = "trimilter"
    more = ""  # lines for the configuration of all of them

    def __init__(self, directory, program, config="", **named):
        super().__init__(directory, **named)
        self.program, self.config = program, config

    def command(self):
        path = self.file("conf", f"Socket {self.socket()}\nAuthservID {AUTHSERV_ID}\nSyslog no\n"
                                 f"Nameservers 127.0.0.1@53\nReportSpool {self.file('spool')}\nReportStore sqlite:{self.file('reports.db')}\n"
                                 f"{self.more}\n{self.config}\n")
        return [self.program, "-f", "-c", path]

    def is_ready(self):
        with open(self.file("log")) as log:
            return " ready on " in log.read()

    def pids(self):
        return children(self.process.pid)

    def n_logged(self, text):
        """Lines with @text."""
        with open(self.file("log")) as log:
            return sum(text in line for line in log)


class Floor(Daemon):
    name = "floor"

    def __init__(self, directory, program, *options, **named):
        super().__init__(directory, **named)
        self.program, self.options = program, options

    def command(self):
        return [self.program, *self.options, self.socket()]


class OpenDKIM(Daemon):
    name = "opendkim"

    def __init__(self, directory, config="Mode v", **named):
        self.program = find("opendkim")
        super().__init__(directory, **named)
        self.config = config

    def command(self):
        path = self.file("conf", f"Socket {self.socket()}\nAuthservID {AUTHSERV_ID}\nSyslog no\nBackground no\n"
                                 f"Nameservers 127.0.0.1\nUMask 000\n{self.config}\n")
        return [self.program, "-f", "-x", path]


class OpenDMARC(Daemon):
    name = "opendmarc"

    def __init__(self, directory, **named):
        self.program = find("opendmarc")
        super().__init__(directory, **named)

    def command(self):
        path = self.file("conf", f"Socket {self.socket()}\nAuthservID {AUTHSERV_ID}\nTrustedAuthservIDs {AUTHSERV_ID}\n"
                                 "Syslog no\nBackground no\nSPFIgnoreResults yes\nSPFSelfValidate yes\n"
                                 "PublicSuffixList /usr/share/publicsuffix/public_suffix_list.dat\n")
        return [self.program, "-f", "-c", path]


class Chain:
    """OpenDKIM, then OpenDMARC, which checks SPF too: what this replaces."""
    name = "chain"

    def __init__(self, directory, ports=(None, None)):
        self.parts = [OpenDKIM(directory, tcp_port=ports[0]), OpenDMARC(directory, tcp_port=ports[1])]

    def sockets(self):
        return [part.socket() for part in self.parts]

    def pids(self):
        return [part.process.pid for part in self.parts]

    def __enter__(self):
        for part in self.parts:
            part.start()
        return self

    def __exit__(self, *_):
        for part in self.parts:
            part.stop()


class Rspamd(Daemon):
    """With DKIM, SPF and DMARC alone, and a results field."""
    name = "rspamd"

    def __init__(self, directory, **named):
        self.program = find("rspamd")
        super().__init__(directory, **named)

    def command(self):
        rules = self.file("rules.lua", "-- none\n")
        # The whole list of suffixes takes it a minute to compile.
        suffixes = self.file("suffixes", "com\nnet\norg\nexample\n")
        where = self.directory
        path = self.file("conf", f"""
options {{
    pidfile = "{where}/pid"; filters = "dkim"; local_addrs = ["127.0.0.0/8"];
    dns {{ nameserver = ["127.0.0.1:53:10"]; timeout = 5s; retransmits = 2; sockets = 16; }}
    tempdir = "{where}"; hs_cache_dir = "{where}"; cache_file = "{where}/symbols.cache";
    control_socket = "{where}/control"; history_rows = 1; stats_file = "{where}/stats"; rrd = "";
    url_tld = "{suffixes}";
    check_all_filters = true; explicit_modules = ["spf", "dmarc", "milter_headers"];
}}
logging {{ type = "file"; filename = "{where}/rspamd.log"; level = "error"; }}
lua = "{rules}";
worker "rspamd_proxy" {{
    bind_socket = "{where}/socket mode=0666"; milter = yes; timeout = 60s; count = 2; task_timeout = 60s;
    upstream "local" {{ default = yes; self_scan = yes; }}
}}
dkim {{ dkim_cache_size = 2000; whitelist = []; }}
spf {{ spf_cache_size = 2000; }}
dmarc {{ }}
milter_headers {{ use = ["authentication-results"]; routines {{ authentication-results {{ hostname = "{AUTHSERV_ID}"; }} }} skip_local = false; skip_authenticated = false; }}
metric {{ name = default; actions {{ reject = 10000; add_header = 9000; greylist = 8000; }} unknown_weight = 0.0; }}
actions {{ reject = 10000; add_header = 9000; greylist = 8000; }}
modules {{ path = "/usr/share/rspamd/plugins/spf.lua"; path = "/usr/share/rspamd/plugins/dmarc.lua"; path = "/usr/share/rspamd/plugins/milter_headers.lua"; fallback_path = "/nonexistent"; }}
""")
        return [self.program, "-f", "-i", "-c", path]

    def pids(self):
        return children(self.process.pid)


class Nameserver:
    def __init__(self, directory, program, zone, delay_ms=0):
        self.log = os.path.join(directory, "dns.log")
        self.command = [program, "-d", str(delay_ms), "-l", self.log, "127.0.0.1", "53", zone]
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        time.sleep(0.2)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def empty_log(self):
        self.process.send_signal(signal.SIGHUP)
        time.sleep(0.05)

    def questions(self):
        """(microseconds, name, type), in the order of arrival."""
        time.sleep(0.1)
        with open(self.log) as file:
            rows = (line.split() for line in file)
            return [(int(row[0]), row[1], int(row[2])) for row in rows if len(row) == 3]
