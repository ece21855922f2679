#!/usr/bin/python3
"""Hostile messages and records: each gets a clear result within bounds of time and memory.

    tests/scenarios/limits.py --ctl PATH [--table] [-k WORD]

What is measured is one process of `trimilterctl check` or `spf`, as /usr/bin/time -v does: CPU seconds and the
largest resident set. A sanitizer's build is slower and larger, and so are its bounds. --table prints the rows of
docs/limits.md. Last line: "N passed, N failed".
"""
import argparse, base64, hashlib, json, os, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = "1700000000"
CPU_SECONDS, MEGABYTES = 2.0, 100
SANITIZED = 15  # how many times that a sanitizer's build may take
POLICY = "_dmarc.author.example TXT v=DMARC1; p=reject\n"
HEAD = "From: Joe <joe@author.example>\r\nTo: you@receiver.example\r\nSubject: limits\r\n"
EMPTY_BODY = base64.b64encode(hashlib.sha256(b"").digest()).decode()


def der(tag, content):
    n = len(content)
    length = bytes([n]) if n < 128 else bytes([0x80 + (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + content


def integer(n):
    return der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def rsa_record(bits, exponent):
    """A key that nobody has; its modulus is odd and of the right length, which is all that can be seen of it."""
    key = der(0x30, integer((1 << (bits - 1)) | 0x1234567 * 2 + 1) + integer(exponent))
    return "v=DKIM1; k=rsa; p=" + base64.b64encode(key).decode()


def txt(name, text):
    """A zone line; strings of 255 bytes become one record, as long ones are published."""
    return name + " TXT " + " ".join('"%s"' % text[i:i + 250] for i in range(0, len(text), 250)) + "\n"


def signature(domain="author.example", algorithm="rsa-sha256", selector="s", b="AAAA"):
    return ("DKIM-Signature: v=1; a=%s; c=relaxed/relaxed; d=%s; s=%s; h=from:to:subject;\r\n\tbh=%s;\r\n\tb=%s\r\n"
            % (algorithm, domain, selector, EMPTY_BODY, b))


def small_order():
    point = bytes([1]) + bytes(31)
    record = "v=DKIM1; k=ed25519; p=" + base64.b64encode(point).decode()
    return record, signature(algorithm="ed25519-sha256", b=base64.b64encode(point + bytes(32)).decode())


def words(found):
    """What counts in a verdict, in one line."""
    tally = {}
    for one in found["dkim"]:
        key = one["result"] + (" " + one["reason"] if one["reason"] else "")
        tally[key] = tally.get(key, 0) + 1
    signatures = ", ".join("%d x %s" % (n, key) for key, n in tally.items())
    return "%s; dmarc %s, %d queries; removed %d; %s %s" % (
        signatures or "no signature", found["dmarc"]["result"], len(found["dmarc"]["queries"]), found["removed_headers"],
        found["verdict"]["action"], found["verdict"]["reply"] or "")


def messages():
    """(what, zone, message, what the verdict's line must contain, lines of configuration)"""
    rsa = open(os.path.join(HERE, "keys", "k1.record")).read().strip()
    keys = "".join(txt("s%d._domainkey.author.example" % i, rsa) for i in range(100))
    b256 = "A" * 344
    yield ("100 signatures, RSA 2048", POLICY + keys,
           "".join(signature(selector="s%d" % i, b=b256) for i in range(100)) + HEAD + "\r\n",
           "10 x fail signature did not verify, 90 x policy", "")
    yield ("100 signatures, all of them verified", POLICY + keys,
           "".join(signature(selector="s%d" % i, b=b256) for i in range(100)) + HEAD + "\r\n",
           "100 x fail signature did not verify", "MaximumSignaturesToVerify 100")
    yield ("100 signatures of 100 domains of seven labels below the author's", POLICY,
           "".join(signature(domain="a%d.b.c.d.e.author.example" % i) for i in range(100)) + HEAD + "\r\n",
           "10 x permerror no key in the DNS, 90 x policy", "")
    yield ("10,000 signatures", POLICY, signature() * 9990 + HEAD + "\r\n", "dmarc fail", "")
    yield ("RSA key of 16,384 bits", POLICY + txt("s._domainkey.author.example", rsa_record(16384, 65537)),
           signature(b=b256) + HEAD + "\r\n", "1 x policy RSA key larger than 4096 bits", "")
    yield ("RSA signature of 16,384 bits", POLICY + txt("s._domainkey.author.example", rsa_record(16384, 65537)),
           signature(b="A" * 2732) + HEAD + "\r\n", "1 x permerror", "")
    yield ("RSA exponent 1", POLICY + txt("s._domainkey.author.example", rsa_record(2048, 1)),
           signature(b=b256) + HEAD + "\r\n", "1 x permerror unusable RSA exponent", "")
    yield ("RSA exponent of 16,384 bits", POLICY + txt("s._domainkey.author.example", rsa_record(2048, (1 << 16383) | 1)),
           signature(b=b256) + HEAD + "\r\n", "1 x permerror unusable RSA exponent", "")
    yield ("RSA exponent of 64 bits, key of 4,096, ten signatures",
           POLICY + txt("s._domainkey.author.example", rsa_record(4096, (1 << 63) | 1)),
           signature(b="A" * 682) * 10 + HEAD + "\r\n", "10 x", "")
    record, field = small_order()
    yield ("Ed25519 key of small order", POLICY + txt("s._domainkey.author.example", record), field + HEAD + "\r\n",
           "1 x permerror the Ed25519 key is a point of small order", "")
    yield ("key record of 64 KiB", POLICY + txt("s._domainkey.author.example", "v=DKIM1; n=" + "x" * 60000 + "; p=" + "A" * 4000),
           signature() + HEAD + "\r\n", "1 x p", "")
    yield ("10,000 header fields", POLICY, HEAD + "".join("X-%d: a\r\n" % i for i in range(9997)) + "\r\n",
           "dmarc fail", "")
    yield ("10,001 header fields", POLICY, HEAD + "".join("X-%d: a\r\n" % i for i in range(9998)) + "\r\n",
           "reject 552", "")
    yield ("10,000 fields of one name, signed one by one", POLICY + txt("s._domainkey.author.example", rsa),
           signature(b=b256).replace("h=from:", "h=" + "x:" * 9000 + "from:") + HEAD + "x: a\r\n" * 9990 + "\r\n",
           "1 x fail", "")
    yield ("header line of 1 MiB", POLICY, HEAD + "X-Long: " + "a" * (1 << 20) + "\r\n\r\n", "dmarc fail", "")
    yield ("header of 5 MiB", POLICY, HEAD + ("X-Long: " + "a" * (1 << 20) + "\r\n") * 5 + "\r\n", "reject 552", "")
    yield ("1,000 results fields of ours", POLICY,
           "Authentication-Results: (a) mx.receiver.example; dmarc=pass\r\n" * 1000 + HEAD + "\r\n", "removed 1000", "")
    yield ("1,000 results fields of others", POLICY,
           "Authentication-Results: mx.other.example; dmarc=pass\r\n" * 1000 + HEAD + "\r\n", "removed 0", "")
    yield ("results field of 1 MiB of nested comments", POLICY,
           "Authentication-Results: " + "(" * (1 << 20) + "\r\n" + HEAD + "\r\n", "dmarc fail", "")
    yield ("From of 100,000 addresses", POLICY,
           "From: " + ",\r\n ".join("a%d@x%d.author.example" % (i, i) for i in range(100000)) + "\r\n\r\n", "dmarc permerror", "")
    yield ("From of 100 domains", POLICY,
           "From: " + ", ".join("a@x%d.author.example" % i for i in range(100)) + "\r\n\r\n", "dmarc fail", "")
    yield ("From of 1 MiB of nested comments", POLICY,
           "From: " + "(" * (1 << 20) + " a@author.example\r\n\r\n", "dmarc permerror", "")
    yield ("From of 1 MiB of quotes and backslashes", POLICY, "From: " + '"\\' * (1 << 19) + " <a@author.example>\r\n\r\n",
           "dmarc permerror", "")
    yield ("From of 127 labels", POLICY, "From: a@" + "a." * 119 + "author.example\r\n\r\n", "dmarc fail, 7 queries", "")
    yield ("1,000 From fields", POLICY, "From: a@author.example\r\n" * 1000 + "\r\n", "dmarc permerror", "")
    yield ("body of 10 MiB, simple and relaxed", POLICY + txt("s._domainkey.author.example", rsa),
           signature(b=b256) + signature(b=b256).replace("relaxed/relaxed", "simple/simple") + HEAD + "\r\n"
           + ("a  b \t c" * 9 + "\r\n") * 141699, "2 x fail body hash", "")
    yield ("body of one line of 10 MiB of blanks", POLICY + txt("s._domainkey.author.example", rsa),
           signature(b=b256) + HEAD + "\r\n" + " " * 10485760 + "x\r\n", "1 x fail body hash", "")
    yield ("body of 5 million empty lines", POLICY + txt("s._domainkey.author.example", rsa),
           signature(b=b256) + HEAD + "\r\n" + "\r\n" * 5000000 + "x\r\n", "1 x fail body hash", "")


def senders():
    """(what, zone, words of the result)"""
    yield ("SPF: includes, ten at each of five depths",
           "".join("%s.e.example TXT v=spf1 %s -all\n" % (".".join(["*"] + ["x"] * d), " ".join(
               "include:%d.%se.example" % (i, "x." * (d + 1)) for i in range(10))) for d in range(5))
           + "e.example TXT v=spf1 " + " ".join("include:%d.e.example" % i for i in range(10)) + " -all\n", "permerror look-up limit")
    yield ("SPF: 10,000 terms", txt("e.example", "v=spf1 " + "a:x.example " * 5000 + "-all"), "permerror")
    yield ("SPF: a record of 64 KiB of ip4", txt("e.example", "v=spf1 " + "ip4:192.0.2.9 " * 4500 + "-all"), "fail")
    yield ("SPF: 1,000 MX hosts", "".join("e.example MX 10 m%d.e.example\n" % i for i in range(1000))
           + "e.example TXT v=spf1 mx -all\n", "permerror too many MX hosts")
    yield ("SPF: ten times ten MX hosts", "".join("m%d.e.example MX 10 h%d.m%d.e.example\nh%d.m%d.e.example A 10.0.0.1\n"
           % (i // 10, i, i // 10, i, i // 10) for i in range(100))
           + "e.example TXT v=spf1 " + " ".join("mx:m%d.e.example" % i for i in range(10)) + " -all\n",
           "permerror too many DNS look-ups")
    yield ("SPF: 1,000 PTR names", "".join("1.2.0.192.in-addr.arpa PTR p%d.e.example\n" % i for i in range(1000))
           + "e.example TXT v=spf1 ptr -all\n", "fail")
    yield ("SPF: void look-ups", "e.example TXT v=spf1 a:a.e.example a:b.e.example a:c.e.example a:d.e.example -all\n",
           "permerror void look-up limit exceeded")
    yield ("SPF: a loop", "e.example TXT v=spf1 include:e.example -all\n", "permerror look-up limit exceeded")
    yield ("SPF: an explanation of 16,000 macros", "e.example TXT v=spf1 -all exp=x.e.example\n"
           + txt("x.e.example", "%{s}" * 15000), "fail")


def sanitized(path):
    with open(path, "rb") as file:
        return b"__asan_init" in file.read()


# The largest resident set of a child is never less than its parent's, so a small one stands between.
BETWEEN = """import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, file=sys.stderr)"""


def measure(command):
    """(exit status, stdout, stderr, CPU seconds, megabytes)"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", BETWEEN, *command], capture_output=True, check=True, text=True)
    err, _, last = done.stderr.rstrip("\n").rpartition("\n")
    status, cpu, memory = last.split()
    return int(status), done.stdout, err, float(cpu), float(memory)


def run_message(ctl, folder, zone, message, config):
    write(folder, zone, config)
    with open(os.path.join(folder, "message"), "wb") as file:
        file.write(message.encode("latin-1"))
    status, out, err, cpu, memory = measure(
        [ctl, "check", "--json", "--now", NOW, "-c", os.path.join(folder, "conf"), "--client-ip", "192.0.2.1", "--helo", "h",
         "--mail-from", "b@author.example", os.path.join(folder, "message")])
    return (words(json.loads(out)) if status == 0 else "exit %d: %s" % (status, err[-300:])), cpu, memory


def run_sender(ctl, folder, zone):
    write(folder, zone, "")
    status, out, err, cpu, memory = measure(
        [ctl, "spf", "--json", "--now", NOW, "-c", os.path.join(folder, "conf"), "--client-ip", "192.0.2.1", "--helo", "h",
         "--mail-from", "b@e.example"])
    found = json.loads(out) if status == 0 else {"result": "exit %d" % status, "reason": err[-300:]}
    return found["result"] + (" " + found["reason"] if found["reason"] else ""), cpu, memory


def write(folder, zone, config):
    with open(os.path.join(folder, "zone"), "w") as file:
        file.write(zone)
    with open(os.path.join(folder, "conf"), "w") as file:
        file.write("AuthservID mx.receiver.example\nSyslog no\nRejectFailures yes\nDNSZoneFile %s/zone\n%s\n" % (folder, config))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ctl", default="build/trimilterctl")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("-k", default="")
    args = parser.parse_args()
    factor = SANITIZED if sanitized(args.ctl) else 1
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        cases = [(what, wanted, lambda z=zone, m=message, c=config: run_message(args.ctl, folder, z, m, c))
                 for what, zone, message, wanted, config in messages()]
        cases += [(what, wanted, lambda z=zone: run_sender(args.ctl, folder, z)) for what, zone, wanted in senders()]
        for what, wanted, run in cases:
            if args.k not in what:
                continue
            got, cpu, memory = run()
            good = wanted in got and cpu < CPU_SECONDS * factor and memory < MEGABYTES * factor
            passed += good
            failed += not good
            if args.table:
                print("| %s | %s | %.2f | %.0f |" % (what, got.strip(), cpu, memory))
            if not good:
                print("FAIL %s: want %r, got %r, %.1f s, %.0f MiB" % (what, wanted, got, cpu, memory))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main())
