#!/usr/bin/python3
"""What we write into Authentication-Results, read by python3-authres and by Mail::AuthenticationResults.

    tests/scenarios/results_peers.py --ctl PATH

Envelopes and signatures full of what structures such a field; both must see our id and just our results, whatever
the sender wrote. Last line: "N passed, N failed"; exit 77 (skipped) where neither reader is installed.
"""
import argparse, json, os, re, subprocess, sys, tempfile

PERL = r"""use Mail::AuthenticationResults::Parser; local $/; my $text = <STDIN>;
my $field = Mail::AuthenticationResults::Parser->new()->parse($text);
print $field->value->value, "\n";
for my $entry (@{$field->children}) { print $entry->key, "=", $entry->value, "\n" if ref($entry) =~ /::Entry$/ }"""
BH = "h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;"
USUAL = ["spf", "spf", "dmarc"]

# what it shows, MAIL FROM, HELO, From, DKIM-Signature or None
CASES = [
    ("plain", "u@evil.example", "h.evil.example", "a@author.example", None),
    ("quotes, blanks, parentheses in MAIL FROM", '"a b(c"@evil.example', "h", "a@author.example", None),
    ("a result in MAIL FROM", 'u;dkim=pass(x)@evil.example', "h", "a@author.example", None),
    ("a result in HELO", "u@evil.example", "h; dmarc=pass header.from=author.example", "a@author.example", None),
    ("an open quote in HELO", "u@evil.example", 'h"evil', "a@author.example", None),
    ("an open comment in HELO", "u@evil.example", "h(", "a@author.example", None),
    ("a backslash at the end of HELO", "u@evil.example", "h\\", "a@author.example", None),
    ("a line break in HELO", "u@evil.example", "h\r\n dmarc=pass", "a@author.example", None),
    ("an address literal", "u@[192.0.2.1]", "[192.0.2.1]", "a@author.example", None),
    ("an encoded word", "=?utf-8?q?=3Bdkim=3Dpass?=@evil.example", "h", "a@author.example", None),
    ("long names", "x" * 300 + "@evil.example", "y" * 250 + ".example", "a@author.example", None),
    ("two authors", "u@evil.example", "h", "a@author.example, b@other.example", None),
    ("no author", "u@evil.example", "h", "nobody", None),
    ("U-labels in From", "u@evil.example", "h", "a@b\u00fccher.example", None),
    ("quotes in i=", "u@evil.example", "h", "a@author.example",
     'v=1; a=rsa-sha256; d=evil.example; s=a; i="(x"y@evil.example; ' + BH + " b=AA/=+A"),
    ("a semicolon in i=, quoted-printable", "u@evil.example", "h", "a@author.example",
     "v=1; a=rsa-sha256; d=evil.example; s=a; i==3Bdkim=3Dpass=20@evil.example; " + BH + " b=ab/+cdefgh"),
    ("slashes and signs in b=", "u@evil.example", "h", "a@author.example",
     "v=1; a=rsa-sha256; d=evil.example; s=a; " + BH + " b=+/=()\"\\"),
    ("an algorithm of quotes", "u@evil.example", "h", "a@author.example",
     'v=1; a="(rsa; d=evil.example; s=a; ' + BH + " b=AAAA"),
]


def field_of(ctl, case, comments):
    _, mail_from, helo, author, signature = case
    with tempfile.TemporaryDirectory() as folder:
        zone, config, message = (os.path.join(folder, name) for name in ("zone", "conf", "message"))
        open(zone, "w").write("evil.example TXT v=spf1 -all\n_dmarc.author.example TXT v=DMARC1; p=reject\n")
        open(config, "w").write("AuthservID mx.receiver.example\nSyslog no\nResultComments %s\nDNSZoneFile %s\n"
                                % (comments, zone))
        text = "DKIM-Signature: %s\r\n" % signature if signature else ""
        open(message, "w", newline="").write(text + "From: %s\r\nTo: x\r\n\r\nx\r\n" % author)
        done = subprocess.run([ctl, "check", "--json", "-c", config, "--client-ip", "192.0.2.1", "--helo", helo,
                               "--mail-from", mail_from, message], capture_output=True, check=True)
    return json.loads(done.stdout)["authentication_results"]


def by_authres(field):
    import authres
    unfolded = re.sub(r"\r?\n[ \t]", " ", field)
    header = authres.AuthenticationResultsHeader.parse("Authentication-Results: " + unfolded)
    return header.authserv_id, ["%s=%s" % (one.method, one.result) for one in header.results]


def by_perl(field):
    done = subprocess.run(["perl", "-e", PERL], input=field.encode(), capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    return lines[0], lines[1:]


def readers():
    found = []
    try:
        import authres  # noqa: F401
        found.append(("authres", by_authres))
    except ImportError:
        pass
    if subprocess.run(["perl", "-MMail::AuthenticationResults", "-e1"], capture_output=True).returncode == 0:
        found.append(("Mail::AuthenticationResults", by_perl))
    return found


def mistake(case, field, authserv_id, results):
    """None, or what a reader was misled about."""
    if authserv_id != "mx.receiver.example":
        return "id %r" % authserv_id
    methods = [result.split("=")[0] for result in results]
    if methods != ["dkim"] + USUAL and methods != ["dkim"] + USUAL[1:]:
        return "results %r" % results
    if any(result.endswith("=pass") for result in results):
        return "a pass in %r" % results
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ctl", default="build/trimilterctl")
    args = parser.parse_args()
    passed = failed = 0
    found = readers()
    if not found:
        print("neither python3-authres nor Mail::AuthenticationResults is installed")
        return 77
    for case in CASES:
        for comments in ("no", "yes"):
            field = field_of(args.ctl, case, comments)
            for name, reader in found:
                try:
                    why = mistake(case, field, *reader(field))
                except Exception as error:
                    why = "cannot read it: %s" % error
                passed += why is None
                failed += why is not None
                if why:
                    print("FAIL %s, %s: %s\n%s" % (case[0], name, why, field))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
