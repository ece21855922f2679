"""Messages, SMTP sessions of every kind of sender, and independent verification of what came out."""
import os
import re
import smtplib
import subprocess
import tempfile

import dkim

from .postfix import PASSWORD

DATE = "Fri, 21 Nov 2025 10:00:00 +0000"


def compose(author, to, token, subject="Lunch", body="Shall we meet at noon?\r\n", headers=(), date=DATE):
    """A message as bytes with CRLF; the token makes its Message-ID. Headers: lines that go on top."""
    lines = list(headers) + ["From: " + author, "To: " + to, "Subject: " + subject,
                             "Message-ID: <%s@lab.example>" % token]
    if date:
        lines.append("Date: " + date)
    text = "\r\n".join(lines) + "\r\n\r\n"
    return text.encode("utf-8") + (body if isinstance(body, bytes) else body.encode("utf-8"))


def sign(message, domain, selector, key, algorithm=b"rsa-sha256", canonicalization="relaxed/relaxed",
         every_field=False):
    """Signed by python3-dkim, which has not a line in common with the code under test; its usual fields, or every one."""
    names = [name.encode() for name, _ in fields(message)] if every_field else None
    return dkim.sign(message, selector.encode(), domain.encode(), key,
                     canonicalize=tuple(canonicalization.encode().split(b"/")), signature_algorithm=algorithm,
                     include_headers=names) + message


def fields(message):
    """[(name, unfolded value)] of a message's header, top to bottom."""
    header = re.split(rb"\r?\n\r?\n", message, maxsplit=1)[0].decode("utf-8", "surrogateescape")
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", header)
    pairs = (line.partition(":")[::2] for line in re.split(r"\r?\n", unfolded))
    return [(name.strip(), re.sub(r"\s+", " ", value).strip()) for name, value in pairs]


def field(message, name):
    """All values of a field."""
    return [value for n, value in fields(message) if n.lower() == name.lower()]


def crlf(message):
    return re.sub(rb"\r?\n", b"\r\n", message)


# ---- senders ----

class Session:
    """
    One SMTP connection. client: (address, name) to be taken for by XCLIENT; login: authenticate on the submission port.
    """

    def __init__(self, mta, client=None, helo="client.example", login=False, source="127.0.0.1"):
        port = mta.submission_port if login else mta.smtp_port
        self.smtp = smtplib.SMTP("127.0.0.1", port, local_hostname=helo, timeout=180, source_address=(source, 0))
        self.smtp.ehlo()
        if client:
            code, text = self.smtp.docmd("XCLIENT", "ADDR=%s NAME=%s" % client)
            if code != 220:
                raise smtplib.SMTPResponseException(code, text)
            self.smtp.ehlo(helo)
        if login:
            self.smtp.login(mta.user, PASSWORD)

    def send(self, sender, recipients, message, options=("BODY=8BITMIME",)):
        """(code, text) of the first refusal, else of the reply to the whole message."""
        reply = self.smtp.mail(sender, list(options))
        for recipient in [recipients] if isinstance(recipients, str) else recipients:
            if reply[0] // 100 == 2:
                reply = self.smtp.rcpt(recipient)
        if reply[0] // 100 == 2:
            try:
                reply = self.smtp.data(message)
            except smtplib.SMTPDataError as error:
                reply = error.smtp_code, error.smtp_error
        if reply[0] // 100 != 2:
            self.smtp.rset()
        return reply[0], reply[1].decode("utf-8", "replace")

    def close(self):
        try:
            self.smtp.quit()
        except (smtplib.SMTPException, OSError):
            self.smtp.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- independent verifiers ----

def with_signature_of(message, selector):
    """The message with this one of its signatures: opendkim speaks of one only."""
    return re.sub(rb"(?m)^DKIM-Signature:.*\n(?:[ \t].*\n)*",
                  lambda found: found[0] if re.search(rb"\bs=%s;" % selector.encode(), found[0]) else b"", message)


def verify_python(message, txt):
    """[(domain, selector, algorithm, valid)] for each signature, by python3-dkim. txt(name): the record, or None."""
    verifier = dkim.DKIM(crlf(message))
    count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
    found = []
    for i in range(count):
        try:
            valid = verifier.verify(idx=i, dnsfunc=lambda name, timeout=5: txt(name.decode().rstrip(".")))
        except dkim.DKIMException:
            valid = False
        found.append((verifier.domain.decode(), verifier.selector.decode(),
                      verifier.signature_fields[b"a"].decode(), valid))
    return found


def verify_opendkim(message, txts):
    """What opendkim, run as a test of one message, says on stdout. txts: {name: record}."""
    with tempfile.TemporaryDirectory() as top:
        def write(name, data):
            path = os.path.join(top, name)
            with open(path, "wb") as file:
                file.write(data)
            return path
        records = write("dns", b"".join(b"%s %s\n" % (n.encode(), r) for n, r in txts.items()))
        config = write("conf", b"Mode v\nSyslog no\nSocket local:%s/none\nTestDNSData file:%s\n"
                       % (top.encode(), records.encode()))
        done = subprocess.run(["/usr/sbin/opendkim", "-x", config, "-t", write("message", crlf(message))],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        return done.stdout.decode(errors="replace").replace(top + "/", "").strip()


MAIL_DKIM = r"""
use strict; use warnings; use Mail::DKIM::Verifier; use Mail::DKIM::DNS; use Net::DNS::Resolver;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], port => $ARGV[0], recurse => 1));
my $verifier = Mail::DKIM::Verifier->new();
while (<STDIN>) { s/\r?\n$//; $verifier->PRINT("$_\015\012"); }
$verifier->CLOSE;
print join("\n", map { $_->domain . " " . $_->selector . " " . $_->result_detail } $verifier->signatures), "\n";
"""


def verify_perl(message, port):
    """Lines "domain selector result" by Perl's Mail::DKIM, asking the lab's DNS."""
    done = subprocess.run(["perl", "-e", MAIL_DKIM, str(port)], input=message, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    return done.stdout.decode(errors="replace").strip()
