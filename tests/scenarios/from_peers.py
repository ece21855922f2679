#!/usr/bin/python3
"""Random From fields: where dmarc=pass is given, no other reader may see the domain of somebody else.

    tests/scenarios/from_peers.py --ctl PATH [--cases N] [--seed N]

The attacker's evil.example passes SPF; what stands in From is made of his address, of the victim's, and of all that structures
such a field. Python's email (two parsers of it) and Perl's Mail::Address (where it is installed) read each field that passes.
Last line: "N passed, N failed".
"""
import argparse, concurrent.futures as futures, email.policy, email.utils, json, os, random, subprocess, sys, tempfile

PIECES = ["a@victim.example", "a@evil.example", "<a@victim.example>", "<a@evil.example>", "victim.example", "evil.example", "CEO",
          "<", ">", '"', ",", ";", ":", "(", ")", "\\", "@", " ", " ", "\t", "\r\n ", "[", "]", ".", "..", "'", "%", "|", "()", "(c)",
          '""', '"x"', '\\"', "\\(", "\\)", "a", "m", "group:", "=?utf-8?q?", "?=", "=?utf-8?q?a=40victim.example?=", "\u00a0",
          "\u202e", "\uff20"]
SHAPES = [["CEO", " ", "<a@evil.example>"], ["a@evil.example"], ['"', "CEO", '"', " ", "<", "a@evil.example", ">"],
          ["(c)", "a@evil.example"], ["CEO", "(", "a@victim.example", ")", "<a@evil.example>"], ["group:", "a@evil.example", ";"],
          ["a@evil.example", " ", "(a@victim.example)"], ['"a@victim.example"', " ", "<a@evil.example>"],
          ["<", "@victim.example", ":", "a@evil.example", ">"], ["a@evil.example", " ", "<a@evil.example>"],
          ['"a@victim.example"', "[x]", " ", "<a@evil.example>"], [".", '"x,a@victim.example"', " ", "<a@evil.example>"],
          ["a@evil.example", " ", "victim.example", " ", "<a@evil.example>"], ["<", ",", "@victim.example", ":", "a@evil.example", ">"],
          ["<", "@victim.example", ",", ":", "a@evil.example", ">"], ["=?utf-8?q?a=40victim.example?=", " ", "a@evil.example", " ",
                                                                     "<a@evil.example>"]]
ZONE = "evil.example TXT v=spf1 ip4:203.0.113.5 -all\n_dmarc.evil.example TXT v=DMARC1; p=reject\n"
PERL = r"""use Mail::Address; use JSON::PP; $| = 1;
while (<STDIN>) { chomp; print encode_json([map { $_->address // "" } Mail::Address->parse(pack "H*", $_)]), "\n" }"""


def random_field(rng):
    pieces = list(rng.choice(SHAPES))
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        at = rng.randrange(len(pieces) + 1)
        if rng.random() < 0.75:
            pieces.insert(at, rng.choice(PIECES))
        elif at < len(pieces):
            del pieces[at]
    return "".join(pieces)


def passes(ctl, folder, number, field):
    message = os.path.join(folder, "message%d" % number)
    open(message, "w", encoding="utf-8", newline="").write("From: %s\r\nSubject: x\r\n\r\nx\r\n" % field)
    done = subprocess.run([ctl, "check", "--json", "-c", os.path.join(folder, "conf"), "--client-ip", "203.0.113.5", "--helo",
                           "mail.evil.example", "--mail-from", "x@evil.example", message], capture_output=True, check=True)
    os.remove(message)
    return json.loads(done.stdout)["dmarc"]["result"] == "pass"


def by_email(field):
    text = field.replace("\r\n", "")
    found = [address for _, address in email.utils.getaddresses([text])]
    try:
        found += [address.addr_spec for address in email.policy.default.header_factory("From", text).addresses]
    except Exception:  # it raises what it likes where it cannot read a field: nothing is shown then
        pass
    return found


def by_perl(fields):
    if subprocess.run(["perl", "-MMail::Address", "-e1"], capture_output=True).returncode != 0:
        return [[] for _ in fields]
    lines = "".join(field.replace("\r\n", "").encode().hex() + "\n" for field in fields)
    done = subprocess.run(["perl", "-e", PERL], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_victims(address):
    domain = address.rpartition("@")[2].strip(" .>\"").lower()
    return "@" in address and not address.startswith('"') and domain.endswith("victim.example")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ctl", default="build/trimilterctl")
    parser.add_argument("--cases", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    fields = sorted({random_field(rng) for _ in range(args.cases)})
    with tempfile.TemporaryDirectory() as folder, futures.ThreadPoolExecutor(2) as pool:
        open(os.path.join(folder, "zone"), "w").write(ZONE)
        open(os.path.join(folder, "conf"), "w").write("Syslog no\nDNSZoneFile %s/zone\n" % folder)
        verdicts = list(pool.map(lambda job: passes(args.ctl, folder, *job), enumerate(fields)))
    passing = [field for field, verdict in zip(fields, verdicts) if verdict]
    wrong = 0
    for field, perl in zip(passing, by_perl(passing)):
        seen = [address for address in by_email(field) + perl if is_victims(address)]
        if seen:
            wrong += 1
            print("FAIL From: %r passes for evil.example, and is %s to others" % (field, ", ".join(seen)))
    if len(passing) < len(fields) // 20:
        sys.exit("from_peers: only %d of %d fields pass: that tells nothing" % (len(passing), len(fields)))
    print("%d passed, %d failed" % (len(passing) - wrong, wrong))
    return 1 if wrong else 0


sys.exit(main())
