"""What processes take."""
import os
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


def sample_all(pids):
    found = {role: sample(pid) for role, pid in pids.items()}
    return {role: one for role, one in found.items() if one}


class Peaks(threading.Thread):
    """
    The most that each took at any time.

    pids   called for {role: process id}; a process may have been replaced
    every  seconds between two samples
    most   {role: {"rss": ...}}
    """

    def __init__(self, pids, every):
        super().__init__(daemon=True)
        self.pids, self.every, self.over, self.most = pids, every, threading.Event(), {}

    def run(self):
        while not self.over.wait(self.every):
            for role, found in sample_all(self.pids()).items():
                most = self.most.setdefault(role, dict(found))
                most.update((name, max(value, most[name])) for name, value in found.items())

    def stop(self):
        self.over.set()
        self.join()


def settled(pids, what, wanted, seconds):
    """What each has when it is at rest: wanted[role] or less, else what it still had after so long."""
    end = time.monotonic() + seconds
    while True:
        now = {role: found[what] for role, found in sample_all(pids()).items()}
        if all(now[role] <= wanted[role] for role in now) or time.monotonic() > end:
            return now
        time.sleep(0.5)
