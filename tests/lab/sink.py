"""
An SMTP server that behaves as its recipients are called, and counts what it took.

    ok@...            250 for all                     later@..., refused@...       450, 550 to RCPT
    data-later@...    451 to DATA                     text-refused@..., text-later@...  554, 452 to the message
    silent@...        no answer to RCPT               drip@...       a byte of the answer each 0.2 s, for ever
    drop@...          closes at RCPT                  drop-text@...  closes while the message comes
    kept-silent@...   takes the message, never answers   kept-drop@...  takes the message and closes
    busy@...          421 to RCPT                     nonsense@...   an answer that is no SMTP

    with Sink() as sink: ... sink.port, sink.messages: [Message(sender, recipients, data)]

greeting, ehlo, mail: other replies than usual there, such as b"554 no\r\n". Anything may follow the word in the local
part ("later-17@example.org" is later@). What was taken by hook(message) returning a reply is answered with that.
"""
import collections
import re
import socketserver
import threading
import time

Message = collections.namedtuple("Message", "sender recipients data")
WORDS = ["ok", "data-later", "text-refused", "text-later", "later", "refused", "silent", "drip", "drop-text", "drop", "kept-silent",
         "kept-drop", "busy", "nonsense"]

def behaviour(recipient):
    found = [word for word in WORDS if recipient.lower().startswith(word)]
    return max(found, key=len) if found else "ok"


class Closed(Exception):
    pass


class Session(socketserver.StreamRequestHandler):
    def say(self, reply):
        self.wfile.write(reply)
        self.wfile.flush()

    def line(self):
        line = self.rfile.readline(1 << 20)
        if not line.endswith(b"\n"):
            raise Closed
        if not line.endswith(b"\r\n"):
            self.server.sink.complaints.append("a line without CR: %r" % line)
        return line[:-2]

    def hang(self):
        while not self.server.sink.closing:
            time.sleep(0.02)
        raise Closed

    def rcpt(self, recipient):
        answers = {"later": b"450 4.2.0 %s: greylisted\r\n", "refused": b"550-5.1.1 %s:\r\n550 5.1.1 no such user\r\n",
                   "busy": b"421 4.3.2 %s: shutting down\r\n", "nonsense": b"hello %s\r\n"}
        how = behaviour(recipient)
        if how == "silent":
            self.hang()
        if how == "drop":
            raise Closed
        if how == "drip":
            while not self.server.sink.closing:
                self.say(b"2")
                time.sleep(0.2)
            raise Closed
        self.say(answers.get(how, b"250 2.1.5 %s: ok\r\n").replace(b"%s", recipient.encode()))
        return how not in answers

    def text(self):
        lines = []
        while True:
            line = self.line()
            if line == b".":
                return b"".join(lines)
            lines.append((line[1:] if line.startswith(b".") else line) + b"\r\n")

    def data(self, sender, recipients):
        how = {behaviour(recipient) for recipient in recipients}
        if "data-later" in how:
            return self.say(b"451 4.3.0 not now\r\n")
        self.say(b"354 go on\r\n")
        if "drop-text" in how:
            self.line()
            raise Closed
        message = Message(sender, recipients, self.text())
        if "text-refused" in how:
            return self.say(b"554 5.6.0 not this\r\n")
        if "text-later" in how:
            return self.say(b"452 4.3.1 disk full\r\n")
        reply = self.server.sink.take(message)
        if "kept-silent" in how:
            self.hang()
        if "kept-drop" in how:
            raise Closed
        return self.say(reply)

    def handle(self):
        try:
            self.converse()
        except (Closed, OSError):
            pass

    def converse(self):
        sink = self.server.sink
        self.say(sink.greeting)
        sender, recipients = None, []
        while True:
            line = self.line()
            verb = line[:4].upper()
            with sink.lock:
                sink.commands.append(line.decode("utf-8", "replace"))
            if verb == b"EHLO":
                self.say(sink.ehlo)
            elif verb == b"HELO":
                self.say(b"250 sink\r\n")
            elif verb == b"MAIL":
                path = re.fullmatch(rb"(?i)MAIL FROM:<([^<> ]*)>(?: SIZE=\d+| BODY=(?:8BITMIME|7BIT))*", line)
                sender, recipients = (path[1].decode() if path else None), []
                self.say((sink.mail or b"250 2.1.0 ok\r\n") if path else b"501 5.5.4 path?\r\n")
            elif verb == b"RCPT":
                path = re.fullmatch(rb"(?i)RCPT TO:<([^<>]+)>", line)
                if not path:
                    self.say(b"501 5.5.4 path?\r\n")
                elif self.rcpt(path[1].decode()):
                    recipients.append(path[1].decode())
            elif verb == b"DATA" and sender is not None and recipients:
                self.data(sender, recipients)
            elif verb == b"RSET":
                sender, recipients = None, []
                self.say(b"250 2.0.0 ok\r\n")
            elif verb == b"QUIT":
                self.say(b"221 2.0.0 bye\r\n")
                return
            else:
                self.say(b"503 5.5.1 not now\r\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


class Sink:
    def __init__(self, port=0, greeting=b"220 sink ESMTP\r\n", ehlo=b"250-sink\r\n250-SIZE 30000000\r\n250 8BITMIME\r\n", mail=None,
                 hook=None):
        self.greeting, self.ehlo, self.mail, self.hook = greeting, ehlo, mail, hook
        self.lock, self.messages, self.commands, self.complaints, self.closing = threading.Lock(), [], [], [], False
        self.server = Server(("127.0.0.1", port), Session)
        self.server.sink = self
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def take(self, message):
        with self.lock:
            self.messages.append(message)
            number = len(self.messages)
        return (self.hook and self.hook(message)) or b"250 2.0.0 taken as %d\r\n" % number

    def to(self, recipient):
        """How often a message for this address was taken."""
        with self.lock:
            return sum(recipient in message.recipients for message in self.messages)

    def close(self):
        self.closing = True
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
