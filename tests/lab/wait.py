"""Waiting for what is to come: by asking again, never by sleeping blindly."""
import secrets
import socket
import time

PORTS = range(20001, 32768)
given = set()       # by this process


class Late(Exception):
    pass


def until(what, ask, seconds=20.0, every=0.02):
    """The first true answer of ask(); Late, naming what was waited for, when none came in time."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Late("%s: not within %g s" % (what, seconds))
        time.sleep(every)


def free_port():
    """A TCP port on loopback that nobody listens on: above 20000, and below those that the kernel gives to clients."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            given.add(port)
            return port


def accepts(address):
    """True when something accepts connections: a path, or a port on loopback."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(2)
        try:
            probe.connect(address if isinstance(address, str) else ("127.0.0.1", address))
            return True
        except OSError:
            return False


def greets(port):
    """True when an SMTP server on loopback says 220."""
    with socket.socket() as probe:
        probe.settimeout(5)
        try:
            probe.connect(("127.0.0.1", port))
            return probe.recv(4) == b"220 "
        except OSError:
            return False
