"""What all parts of the benchmark share: rounds, ratios, the table."""
import json
import os
import statistics
import subprocess
import threading

from corpus import Corpus
from daemons import Chain, Floor, Missing, Nameserver, Rspamd, Trimilter

# Messages of a round, by list: enough for some tenths of a second.
MESSAGES = {"2k": 4000, "20k": 2000, "200k": 400, "5m": 16, "out": 3000}
TIMEOUT_MS = 5000  # DNSTimeout


class Figures:
    """Of the rounds of one thing."""

    def __init__(self, values):
        self.values = [value for value in values if value is not None]

    def __str__(self):
        if not self.values:
            return "-"
        return "%s (%s-%s)" % tuple("%.3g" % v for v in (self.median, min(self.values), max(self.values)))

    @property
    def median(self):
        return statistics.median(self.values)


class Bench:
    def __init__(self, arguments):
        self.quick = arguments.mode == "quick"
        self.rounds = arguments.rounds or (1 if self.quick else 7)
        self.work = arguments.work
        self.program = arguments.daemon
        self.n_messages = 2000 if self.quick else arguments.messages
        self.only = arguments.only.split(",") if arguments.only else None
        self.corpus = Corpus(os.path.join(self.work, "corpus-quick" if self.quick else "corpus"),
                             60 if self.quick else 600, 4 if self.quick else 16)
        self.rows = []
        self.notes = []
        self.raw = {}

    def wanted(self, word):
        return self.only is None or word in self.only

    def tool(self, name):
        return os.path.join(self.work, "bin", name)

    def dns(self, delay_ms=0):
        return Nameserver(self.work, self.tool("dnsd"), self.corpus.path("zone"), delay_ms)

    def load_command(self, name, daemon, options):
        pids = [word for pid in daemon.pids() for word in ("-p", str(pid))]
        return [self.tool("load"), *(str(option) for option in options), *pids, self.corpus.path(name + ".list"),
                *daemon.sockets()]

    def load(self, name, daemon, *options):
        done = subprocess.run(self.load_command(name, daemon, options), capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise RuntimeError("load: " + done.stderr)
        result = json.loads(done.stdout.splitlines()[-1])
        if result["errors"]:
            raise RuntimeError(f"{daemon.name}: {result['errors']} broken connections")
        return result

    def messages(self, name):
        return max(MESSAGES[name] // 20, 4) if self.quick else MESSAGES[name]

    def row(self, aim, what, measured, is_met, figures=""):
        """@is_met None: there is nothing to compare with."""
        word = "not measured" if measured is None else "" if is_met is None else "met" if is_met else "NOT MET"
        shown = "" if measured is None else str(measured) if isinstance(measured, (Figures, str)) else "%.4g" % measured
        self.rows.append((aim, what, shown, word, str(figures)))
        print(f"{aim:2} {what:72} {shown:20} {word:8} {figures}", flush=True)

    def note(self, text):
        self.notes.append(text)
        print("     " + text, flush=True)

    def write(self, path):
        with open(path, "w") as file:
            json.dump({"rows": self.rows, "notes": self.notes, "raw": self.raw}, file, indent=1)

    def peers(self):
        makers = {"trimilter": lambda: Trimilter(self.work, self.program),
                  "floor": lambda: Floor(self.work, self.tool("floor")),
                  "chain": lambda: Chain(self.work), "rspamd": lambda: Rspamd(self.work)}
        for name in list(makers):
            try:
                makers[name]()
            except Missing as missing:
                self.note(f"{missing} is not installed: no figures of {name}")
                del makers[name]
        return makers

    def rounds_of(self, name, running, connections):
        """By daemon, the results of the rounds."""
        results = {who: [] for who in running}
        order = list(running)
        for number in range(self.rounds):
            for who in order[number % len(order):] + order[:number % len(order)]:
                n = self.messages(name)
                slow = {"chain": 3, "rspamd": 3}.get(who, 1)
                try:
                    results[who].append(self.load(name, running[who], "-c", connections, "-n", max(n // slow, 4)))
                except RuntimeError as error:
                    if who in ("trimilter", "floor"):
                        raise
                    self.note(str(error))
        self.raw.setdefault("rounds", {})[f"{name} at {connections}"] = results
        return results

    @staticmethod
    def ratios(results, key, a, b):
        if a not in results or b not in results:
            return Figures([])
        return Figures([x[key] / y[key] for x, y in zip(results[a], results[b]) if y[key]])


class Watch:
    """Looks every now and then, beside what goes on."""

    def __init__(self, look):
        self.look, self.ended = look, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.wait(0.1):
            try:
                self.look()
            except (OSError, IndexError):
                return

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
