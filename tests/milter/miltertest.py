"""
The MTA's side of the milter protocol, in pure Python: a library for tests.

    with Milter("inet:8891@127.0.0.1") as milter:      # or "local:/path"
        milter.connect("mail.example.org", "192.0.2.1")
        milter.helo("mail.example.org")
        result = milter.message("a@example.org", ["b@example.net"],
                                [("From", " a@example.org"), ("Subject", " x")],
                                b"text\\r\\n", queue_id="4F00")
    result.action            "accept", "reject", "tempfail", "discard"
    result.reply             "550 5.7.1 text" or None
    result.quarantine        the reason, or None
    result.changes           in the order in which they came
    result.headers           the fields as they stand afterwards

Every step can be sent by itself too. Speaks versions 2 to 6: Milter(..., version=2)
offers what an MTA of that age offers. What the filter must not do (reply where it
promised not to, change what it did not ask to change) is a ProtocolError.
"""
import ipaddress
import socket
import struct

ACTIONS = {"+": 0x04, "-": 0x08, "b": 0x02, "h": 0x01, "i": 0x01, "m": 0x10, "q": 0x20, "e": 0x40, "2": 0x80}
SETSYMLIST = 0x100
NR = {"C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "U": 0x20000, "L": 0x80, "N": 0x40000, "B": 0x80000}
NO = {"C": 0x1, "H": 0x2, "M": 0x4, "R": 0x8, "B": 0x10, "L": 0x20, "N": 0x40, "U": 0x100, "T": 0x200}
SKIP = 0x400
LEADSPC = 0x100000
FINAL = {"a": "accept", "c": "continue", "d": "discard", "r": "reject", "t": "tempfail", "y": "replycode", "4": "shutdown",
         "f": "connfail", "s": "skip"}
STAGES = {"C": 0, "H": 1, "M": 2, "R": 3, "T": 4, "E": 5, "N": 6}

# What the MTAs of the time offer: (actions, protocol).
OFFERS = {2: (0x3F, 0x7F), 3: (0x3F, 0x17F), 4: (0x3F, 0x37F), 6: (0x1FF, 0x1FFFFF)}
DEFAULT_MACROS = {"C": ["j", "{daemon_name}", "v"], "H": [], "M": ["{auth_authen}", "{auth_type}", "i"], "R": ["i"], "T": ["i"],
                  "E": ["i"], "N": ["i"]}


class ProtocolError(Exception):
    pass


class Result:
    def __init__(self, headers):
        self.action = None
        self.reply = None
        self.quarantine = None
        self.changes = []
        self.skipped = False
        self.headers = list(headers)

    def header(self, name):
        """Values of the fields of that name, top to bottom."""
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def __repr__(self):
        return f"<{self.action} {self.reply or ''} {self.changes!r}>"


def _z(text):
    return (text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")) + b"\0"


def _s(data):
    return data.decode("utf-8", "surrogateescape")


class Milter:
    def __init__(self, address, version=6, macros=None, timeout=30, offer=None, negotiate=True):
        kind, rest = address.split(":", 1)
        if kind in ("local", "unix"):
            self.socket = socket.socket(socket.AF_UNIX)
            target = rest
        else:
            port, _, host = rest.partition("@")
            self.socket = socket.socket(socket.AF_INET6 if kind == "inet6" else socket.AF_INET)
            target = (host or "127.0.0.1", int(port))
        self.socket.settimeout(timeout)
        self.socket.connect(target)
        self.version = version
        self.offer = offer or OFFERS[version]
        self.macros = {"j": "mx.example.net", "{daemon_name}": "smtpd", **(macros or {})}
        self.wanted_macros = dict(DEFAULT_MACROS)
        self.actions = self.protocol = 0
        self.body_skipped = False
        self.received = b""  # every byte of the filter's replies
        if negotiate:
            try:
                self.negotiate()
            except BaseException:
                self.socket.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # ---- packets ----

    def send(self, command, data=b""):
        self.socket.sendall(struct.pack("!I", len(data) + 1) + command.encode() + data)

    def _read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("the filter closed the connection")
            data += more
        self.received += data
        return data

    def receive(self):
        (length,) = struct.unpack("!I", self._read(4))
        packet = self._read(length)
        return chr(packet[0]), packet[1:]

    # ---- steps ----

    def negotiate(self):
        self.send("O", struct.pack("!III", self.version, *self.offer))
        reply, data = self.receive()
        if reply != "O":
            raise ProtocolError(f"negotiation answered with {reply!r}")
        version, self.actions, self.protocol = struct.unpack("!III", data[:12])
        if version > self.version or self.actions & ~self.offer[0] or self.protocol & ~self.offer[1]:
            raise ProtocolError(f"asked for more than was offered: {version} {self.actions:#x} {self.protocol:#x}")
        rest = data[12:]
        by_number = {number: command for command, number in STAGES.items()}
        while rest:
            (stage,) = struct.unpack("!I", rest[:4])
            names, _, rest = rest[4:].partition(b"\0")
            self.wanted_macros[by_number[stage]] = _s(names).replace(",", " ").split()

    def send_macros(self, command):
        """Those that the filter asked for and that have a value."""
        pairs = [(name, self.macros[name]) for name in self.wanted_macros.get(command, []) if name in self.macros]
        if pairs:
            self.send("D", command.encode() + b"".join(_z(name) + _z(value) for name, value in pairs))

    def step(self, command, data=b""):
        """One command with its macros; the final reply's name, or None where there is none."""
        if self.protocol & NO.get(command, 0):
            return None
        if command in STAGES:
            self.send_macros(command)
        self.send(command, data)
        if self.protocol & NR.get(command, 0):
            return None
        reply, _ = self.receive()
        if reply not in FINAL:
            raise ProtocolError(f"{command} answered with {reply!r}")
        return FINAL[reply]

    def connect(self, name="mail.example.org", ip="192.0.2.1", port=25):
        if ip is None:
            return self.step("C", _z(name) + b"U")
        if ip.startswith("/"):
            return self.step("C", _z(name) + b"L" + struct.pack("!H", 0) + _z(ip))
        family = b"6" if ipaddress.ip_address(ip).version == 6 else b"4"
        return self.step("C", _z(name) + family + struct.pack("!H", port) + _z(ip))

    def helo(self, name):
        return self.step("H", _z(name))

    def mail(self, sender, *arguments):
        return self.step("M", _z(f"<{sender}>") + b"".join(_z(a) for a in arguments))

    def rcpt(self, recipient, *arguments):
        return self.step("R", _z(f"<{recipient}>") + b"".join(_z(a) for a in arguments))

    def data(self):
        return self.step("T")

    def header(self, name, value):
        """@value as in the message, with the space behind the colon."""
        if not self.protocol & LEADSPC and value[:1] in (" ", b" "):
            value = value[1:]
        return self.step("L", _z(name) + _z(value))

    def eoh(self):
        return self.step("N")

    def body(self, body, chunk=65535):
        self.body_skipped = False
        for at in range(0, len(body), chunk):
            reply = self.step("B", body[at:at + chunk])
            if reply == "skip":
                if not self.protocol & SKIP:
                    raise ProtocolError("SKIP without having asked for it")
                self.body_skipped = True
                break
            if reply not in (None, "continue"):
                return reply
        return None

    def send_end(self):
        self.send_macros("E")
        self.send("E")

    def end(self, headers=()):
        self.send_end()
        return self.end_result(headers)

    def end_result(self, headers=()):
        result = Result(headers)
        result.skipped = self.body_skipped
        while True:
            reply, data = self.receive()
            if reply in FINAL:
                break
            if reply != "p":
                self._change(result, reply, data)
        result.action = FINAL[reply]
        if reply == "y":
            text = data.rstrip(b"\0")
            result.reply = _s(text).replace("%%", "%")
            result.action = "reject" if text[:1] == b"5" else "tempfail"
        elif reply == "c":
            result.action = "accept"
        return result

    def _change(self, result, reply, data):
        if reply not in ACTIONS or not self.actions & ACTIONS[reply]:
            raise ProtocolError(f"a change that was not negotiated: {reply!r}")
        space = "" if self.protocol & LEADSPC else " "
        if reply in "im":
            (index,) = struct.unpack("!I", data[:4])
            name, value = (_s(part) for part in data[4:].split(b"\0")[:2])
            result.changes.append(("insert" if reply == "i" else "change", index, name, value))
            if reply == "i":
                result.headers.insert(index, (name, space + value))
                return
            places = [k for k, (n, _) in enumerate(result.headers) if n.rstrip(" \t").lower() == name.lower()]
            if not 1 <= index <= len(places):
                raise ProtocolError(f"there is no field {index} of {name}")
            if value == "":
                del result.headers[places[index - 1]]
            else:
                result.headers[places[index - 1]] = (name, space + value)
        elif reply == "h":
            name, value = (_s(part) for part in data.split(b"\0")[:2])
            result.changes.append(("add", name, value))
            result.headers.append((name, space + value))
        elif reply == "q":
            result.quarantine = _s(data.rstrip(b"\0"))
            result.changes.append(("quarantine", result.quarantine))
        else:
            result.changes.append((reply, data))

    def message(self, sender, recipients, headers, body=b"", queue_id=None, macros=None):
        """A whole message; self.connect() comes first. A refusal on the way ends it."""
        kept = dict(self.macros)
        self.macros.update(macros or {})
        self.macros.pop("i", None)
        try:
            refusal = self._message_steps(sender, recipients, headers, body, queue_id)
            if refusal is None:
                return self.end(headers)
            result = Result(headers)
            result.action = refusal
            return result
        finally:
            self.macros = kept

    def _message_steps(self, sender, recipients, headers, body, queue_id):
        def refused(reply):
            return None if reply in (None, "continue") else reply

        refusal = refused(self.mail(sender))
        if queue_id is not None:
            self.macros["i"] = queue_id  # as Postfix: after the first recipient is known
        for recipient in recipients:
            refusal = refusal or refused(self.rcpt(recipient))
        refusal = refusal or refused(self.data())
        for name, value in headers:
            refusal = refusal or refused(self.header(name, value))
        refusal = refusal or refused(self.eoh())
        return refusal or refused(self.body(body))

    def abort(self):
        self.send("A")

    def quit(self):
        self.send("Q")

    def close(self):
        try:
            self.quit()
        except OSError:
            pass
        self.socket.close()
