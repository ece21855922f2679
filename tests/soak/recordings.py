"""Sends each mail once, judges what becomes of it, and writes the conversation down for replay.c."""
import concurrent.futures
import struct

import over_socket
from miltertest import Milter, ProtocolError

SIGNED, COLD = 1, 2     # as in replay.c
AT_A_TIME = 12          # those of silent names take seconds


class Recorder(Milter):
    sent = b""

    def send(self, command, data=b""):
        self.sent += struct.pack("!I", len(data) + 1) + command.encode() + data
        super().send(command, data)

    def taken(self):
        """What was sent and what was received since the last time."""
        taken = self.sent, self.received
        self.sent = self.received = b""
        return taken


def record(address, mail):
    """(what is wrong or None, negotiation, before MAIL, from MAIL on, replies)"""
    envelope = mail.envelope
    fields, body = over_socket.split(mail.message)
    macros = {"{auth_authen}": envelope["auth"], "{auth_type}": "PLAIN"} if "auth" in envelope else {}
    with Recorder(address, timeout=60) as milter:
        negotiation = milter.taken()[0]
        milter.connect(envelope.get("client-name", "[%s]" % envelope["client-ip"]), envelope["client-ip"])
        milter.helo(envelope.get("helo", ""))
        head = milter.taken()[0]
        got = milter.message(envelope.get("mail-from", ""), ["you@receiver.example"],
                             [(over_socket.decode(name), over_socket.decode(value)) for name, value in fields], body,
                             queue_id="4F00", macros=macros)
        message, reply = milter.taken()
    return mail.expect(got), negotiation, head, message, reply


def try_record(address, mail):
    try:
        return record(address, mail)
    except (OSError, ProtocolError) as error:
        return str(error), b"", b"", b"", b""


def as_good(reply):
    """
    The same, but for the reason why a name is not known: who joins a question that others have waited for hears that it
    failed, and does not come to his own deadline.
    """
    out, at, texts = b"", 0, (b"DNS look-up timed out", b"DNS look-up failed")
    while at < len(reply):
        (n,) = struct.unpack("!I", reply[at:at + 4])
        packet, at = reply[at + 4:at + 4 + n], at + 4 + n
        for old, new in (texts, texts[::-1]):
            if old in packet:
                packet = packet.replace(old, new)
                break
        out += counted(packet)
    return out if out != reply else b""


def counted(data):
    return struct.pack("!I", len(data)) + data


def write(path, address, mails):
    """Those whose first verdict was wrong: [(name, why)]. Mail of one client stands together, as replay.c wants it."""
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        records = list(zip(mails, pool.map(lambda mail: try_record(address, mail), mails)))
    wrong = [(mail.name, found[0]) for mail, found in records if found[0]]
    good = sorted(((mail, found) for mail, found in records if not found[0]), key=lambda one: one[1][2])
    with open(path, "wb") as file:
        file.write(counted(good[0][1][1] if good else b"") + struct.pack("!I", len(good)))
        for mail, (_, _, head, message, reply) in good:
            file.write(struct.pack("!II", mail.weight, SIGNED * mail.signed + COLD * mail.cold)
                       + b"".join(map(counted, (mail.name.encode(), head, message, reply, as_good(reply)))))
    return wrong
