"""The test's side of preload.c: orders faults, and reads what was done."""
import mmap
import os
import struct

ORDERS = struct.Struct("=6IQ6Q256s256s")
N_WORDS = 6      # the first are of 32 bits
NAMES = ("alloc_chance", "write_chance", "thread_chance", "fork_chance", "send_chance", "write_error", "alloc_nth",
         "allocs", "failed_allocs", "failed_writes", "failed_threads", "failed_forks", "failed_sends", "culprit", "aborted")
# libspf2 calls abort() itself where it gets no memory for the response of an include, or in a function of its own without
# a name outside, for its list of errors; nobody can prevent that, and the master starts another worker.
KNOWN_ABORTS = (["libspf2.so.2", "SPF_response_new"], ["libspf2.so.2", "?"])


class Orders:
    def __init__(self, library, path):
        self.library, self.path = library, path
        with open(path, "wb") as file:
            file.write(bytes(ORDERS.size))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), ORDERS.size)

    def environment(self, role=None):
        more = {"LD_PRELOAD": self.library, "FAULT_ORDERS": self.path}
        return {**os.environ, **more, **({"FAULT_ROLE": role} if role else {})}

    def give(self, **orders):
        """Those that are named; what was counted stays."""
        for name, value in orders.items():
            at = NAMES.index(name)
            kind, offset = ("=I", 4 * at) if at < N_WORDS else ("=Q", 4 * N_WORDS + 8 * (at - N_WORDS))
            self.map[offset:offset + struct.calcsize(kind)] = struct.pack(kind, value)

    def reset(self, **orders):
        self.map[:] = bytes(ORDERS.size)
        self.give(**orders)

    def done(self):
        values = dict(zip(NAMES, ORDERS.unpack(self.map[:])))
        for name in ("culprit", "aborted"):
            values[name] = values[name].split(b"\0")[0].decode(errors="replace")
        return values

    def is_known_abort(self):
        done = self.done()
        return done["aborted"].split(" ")[0] == "libspf2.so.2" and done["culprit"].split(" ")[:2] in KNOWN_ABORTS
