"""What the processes take while they work, and whether that grows."""
import os
import statistics
import threading
import time

def sample(pid):
    """{"rss": KiB, "threads": n, "files": n}; None when it is gone."""
    try:
        with open("/proc/%d/status" % pid) as file:
            lines = dict(line.split(":", 1) for line in file)
        return {"rss": int(lines["VmRSS"].split()[0]), "threads": int(lines["Threads"]),
                "files": len(os.listdir("/proc/%d/fd" % pid))}
    except (FileNotFoundError, ProcessLookupError, KeyError):
        return None


class Watch(threading.Thread):
    """
    pids      called for {role: process id}; a process may have been replaced
    progress  called for the number of messages so far
    every     seconds between two samples
    samples   role: [(messages, sample)]
    """

    def __init__(self, pids, progress, every):
        super().__init__(daemon=True)
        self.pids, self.progress, self.every, self.over = pids, progress, every, threading.Event()
        self.samples = {}

    def run(self):
        while not self.over.wait(self.every):
            done = self.progress()
            for role, pid in self.pids().items():
                found = sample(pid)
                if found:
                    self.samples.setdefault(role, []).append((done, found))

    def stop(self):
        self.over.set()
        self.join()

    def between(self, role, what, first, last, total):
        """The values from @first to @last, shares of @total messages."""
        return [found[what] for done, found in self.samples.get(role, []) if first * total <= done <= last * total]

    def growth(self, role, total, warm):
        """KiB of resident memory: the median of the last tenth less that of the first tenth behind the warm-up."""
        early = self.between(role, "rss", warm, warm + 0.1, total)
        late = self.between(role, "rss", 0.9, 1, total)
        return statistics.median(late) - statistics.median(early) if early and late else None

    def curve(self, role, total):
        """Resident MiB at each tenth of the way."""
        tenths = [self.between(role, "rss", i / 10, (i + 1) / 10, total) for i in range(10)]
        return " ".join("%.1f" % (statistics.median(one) / 1024) if one else "-" for one in tenths)

    def most(self, role, what):
        return max((found[what] for _, found in self.samples.get(role, [])), default=0)


def settled(pids, what, wanted, seconds):
    """What each process has when it is at rest: @wanted[role] or less, else what it still had after so long."""
    end = time.monotonic() + seconds
    while True:
        now = {role: (sample(pid) or {what: -1})[what] for role, pid in pids().items()}
        if all(now[role] <= wanted[role] for role in now) or time.monotonic() > end:
            return now
        time.sleep(0.5)
