#!/usr/bin/python3
"""Compare our SPF evaluation with python3-spf on random records.

  differential.py SPF_CASE [CASES [SEED]]

Both evaluate the same zones in memory. A difference counts as explained when python3-spf, changed in one or more of
the points listed in EXPLAINED below (docs/spf-differences.md gives the reasons), comes to our result. The table of
these is printed; an unexplained difference is printed in full and fails the run.
"""
import itertools, linecache, random, re, subprocess, sys

try:
    import spf
except ImportError:
    print("SKIP: python3-spf is not installed")
    sys.exit(77)

RECEIVER = "mx.receiver.example"
NOW = 1700000000
CLIENTS = ["192.0.2.1", "192.0.2.77", "198.51.100.9", "2001:db8::1", "2001:db8:1::25", "::ffff:192.0.2.1"]
DOMAINS = ["d%d.example.com" % i for i in range(8)]
HOSTS = ["h%d.example.com" % i for i in range(8)]
OTHERS = ["nowhere.example.com", "fails.example.com", "two..dots.example.com", "x" * 64 + ".example.com"]
FAILURE = object()


# ---- random zones ----

def macro(r):
    if r.random() < 0.1:
        return r.choice(["%%", "%_", "%-"])
    letter = r.choice("slodiphvSLODIPHV" + ("crtx" if r.random() < 0.15 else ""))
    digits = r.choice(["", "", "", "1", "2", "3", "12"]) if r.random() < 0.97 else "0"
    return "%%{%s%s%s%s}" % (letter, digits, r.choice(["", "", "r"]),
                             r.choice(["", "", "-", ".-", "+", "/", "_=", ","]) if r.random() < 0.4 else "")


def domain_spec(r):
    kind = r.random()
    if kind < 0.62:
        return r.choice(DOMAINS + HOSTS + HOSTS)
    if kind < 0.70:
        return r.choice(OTHERS)
    if kind < 0.90:
        return macro(r) + r.choice([".example.com", "." + r.choice(HOSTS), "._spf.example.com", ".example.com."])
    if kind < 0.94:
        return r.choice(["%{d}", "%{h}", "%{o}", "%{d2}", "%{p}"])
    return r.choice(["example", "example.com/", "a.123", "a.-com", "a b.com", "%{d", "%(d).example.com", "%", "",
                     "a:b.example.com", "foo/24.example.com", "EXAMPLE.com."])


def lengths(r):
    return r.choice(["", "", "", "/24", "/0", "/32", "//64", "//0", "//128", "/24//48", "/33", "//129", "/08", "/24/48"])


def network(r):
    return r.choice(["ip4:192.0.2.0/24", "ip4:192.0.2.1", "ip4:198.51.100.0/25", "ip4:10.0.0.0/8", "ip4:1.2.3.4/0",
                     "ip4:1.2.3.4/33", "ip4:1.2.3", "ip4:01.2.3.4", "ip6:2001:db8::/32", "ip6:2001:db8:1::/48",
                     "ip6:::1", "ip6:::ffff:192.0.2.1", "ip6:2001:db8::1/129", "ip6:192.0.2.1", "ip4:", "ip6:2001:db8::/0"])


def term(r):
    kind, sign = r.random(), r.choice(["", "", "", "-", "~", "?", "+"])
    if kind < 0.22:
        return sign + r.choice(["a", "mx", "A", "Mx"]) + r.choice(["", ":" + domain_spec(r)]) + lengths(r)
    if kind < 0.42:
        return sign + "include:" + domain_spec(r)
    if kind < 0.52:
        return sign + "exists:" + domain_spec(r)
    if kind < 0.60:
        return sign + "ptr" + r.choice(["", ":" + r.choice(["example.com", "example.org", domain_spec(r)])])
    if kind < 0.80:
        return sign + network(r)
    if kind < 0.90:
        return sign + "all"
    if kind < 0.96:
        return r.choice(["redirect=", "exp=", "Exp="]) + domain_spec(r)
    return r.choice(["moo=" + macro(r), "foo", "all:x", "all/8", "include", "exists", "-exp=a.com", "x.y-z_9=a", "=a",
                     "default=pass", "a:", "ptr/24", "~~all", "include:", "a,", "-all."])


def clean_term(r):
    """Most real records have no mistakes: these reach deeper."""
    sign = r.choice(["", "", "-", "~", "?"])
    name = r.choice(DOMAINS + HOSTS)
    return sign + r.choice(["a", "mx", "a:" + r.choice(HOSTS), "mx:" + r.choice(DOMAINS), "a:%s/24//48" % r.choice(HOSTS),
                            "include:" + r.choice(DOMAINS), "include:" + r.choice(DOMAINS), "exists:%{i}.list.example.com",
                            "exists:%{ir}.%{v}.list.example.com", "exists:" + r.choice(HOSTS), "a:%{h}", "ptr",
                            "ptr:example.com", "exists:%{p}.list.example.com", "exists:%{l1r-}.%{d2}",
                            "ip4:192.0.2.64/26", "ip6:2001:db8:1::/48", "a:" + name])


def record(r):
    clean = r.random() < 0.6
    terms = [(clean_term if clean else term)(r) for _ in range(r.choice([0, 1, 2, 2, 3, 3, 4, 5, 12]))]
    if clean and r.random() < 0.8:
        terms.append(r.choice(["-all", "~all", "?all", "+all", "redirect=" + r.choice(DOMAINS)]))
    if clean and r.random() < 0.3:
        terms.insert(r.randrange(len(terms) + 1), "exp=" + r.choice(["exp.example.com", "exp2.example.com", HOSTS[0],
                                                                     "%{o}", "nowhere.example.com"]))
    space = "  " if r.random() < 0.05 else " "
    return r.choice(["v=spf1", "v=spf1", "V=SPF1"]) + "".join(space + t for t in terms) + r.choice(["", "", " "])


def explanation(r):
    words = ["See", "http://example.com/?s=%{S}&i=%{I}", "%{c}", "%{r}", "%{p}", "%{t}", "%{l1r+}", "%%", "%_", "%{d}",
             "%{O2r}", "%{v}", "%{ir}"] + (["%{x}", "%", "%{d0}", "\xe9"] if r.random() < 0.1 else [])
    return " ".join(r.choice(words) for _ in range(r.randrange(1, 6)))


def addresses(r):
    entry = {}
    if r.random() < 0.7:
        entry["A"] = r.sample([c for c in CLIENTS[:3]] + ["203.0.113.5", "192.0.2.200"], r.randrange(1, 3))
    if r.random() < 0.4:
        entry["AAAA"] = r.sample(CLIENTS[3:5] + ["2001:db8:ffff::1"], r.randrange(1, 3))
    return entry


def make_case(r):
    zone = {}
    for domain in DOMAINS:
        entry = addresses(r)
        if r.random() < 0.9:
            entry["TXT"] = [record(r)]
        if r.random() < 0.1:
            entry.setdefault("TXT", []).append(r.choice(["v=spf10 -all", "other", record(r)]))
        if r.random() < 0.5:
            hosts = r.sample(HOSTS, r.randrange(1, 4)) if r.random() < 0.93 else ["m%d.example.org" % i for i in range(11)]
            entry["MX"] = ["%d %s" % (10 * r.randrange(3), h) for h in hosts]
        zone[domain] = entry
    for host in HOSTS:
        if r.random() < 0.85:
            zone[host] = addresses(r)
            if r.random() < 0.05:
                zone[host] = {"FAIL": True}
    for i in range(11):
        zone["m%d.example.org" % i] = {"A": ["192.0.2.%d" % (70 + i)]}
    zone["fails.example.com"] = {"FAIL": True}
    zone["exp.example.com"] = {"TXT": [explanation(r)]}
    zone["exp2.example.com"] = {"TXT": [explanation(r), "second"]} if r.random() < 0.2 else {"TXT": [explanation(r)]}
    for name in ["1.2.0.192.list.example.com", "192.0.2.1.list.example.com", "1.2.0.192.in-addr.list.example.com",
                 "bob.example.com"]:
        if r.random() < 0.5:
            zone[name] = {"A": ["127.0.0.2"]}
    client = r.choice(CLIENTS)
    pointer = spf.query(i=client, s="a@b.c", h="b.c")
    name = "%s.%s.arpa" % (spf.reverse_dots(pointer.i), pointer.v)
    kind = r.random()
    if kind < 0.7:
        names = r.sample(HOSTS + DOMAINS, r.randrange(1, 4))
        zone[name.lower()] = {"PTR": names if r.random() < 0.9 else ["p%d.example.org" % i for i in range(11)] + names}
    elif kind < 0.8:
        zone[name.lower()] = {"FAIL": True}
    sender = r.choice(["bob@", "alice-bob@", "Bob+x-y@", "a.b_c=d/e@", "@", "odd!#name@"]) + r.choice(DOMAINS[:4])
    helo = r.choice([HOSTS[0], DOMAINS[5], "localhost", "[192.0.2.1]", "HELO.example.com", "under_score.example.com"])
    return {"client": client, "helo": helo, "from": sender, "zone": zone}


# ---- the two implementations ----

def escape(text):
    return "".join(c if " " <= c <= "~" and c != "\\" else "\\x%02x" % ord(c) for c in text)


def ours(program, cases):
    lines = []
    for number, case in enumerate(cases):
        lines += ["client " + case["client"], "helo " + escape(case["helo"]), "from " + escape(case["from"])]
        for name, entry in case["zone"].items():
            if not entry:
                lines.append("zone %s none " % name)
            for kind, values in entry.items():
                if kind == "FAIL":
                    lines.append("zone %s fail " % name)
                    continue
                lines += ["zone %s %s %s" % (name, kind, escape(v)) for v in values]
        lines.append("run %d" % number)
    done = subprocess.run([program], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == len(cases), "%d results for %d cases" % (len(rows), len(cases))
    return [{"result": row[1], "mechanism": row[2], "explanation": row[3].replace("\\x5c", "\\"), "reason": row[4],
             "questions": int(row[7])} for row in rows]


def lookup_in(zone):
    def lookup(name, kind, strict=True, timeout=0):
        entry = zone.get(name.lower().rstrip("."), {})
        if "FAIL" in entry:
            raise spf.TempError("DNS failure")
        found = []
        for value in entry.get(kind, []):
            if kind == "TXT":
                value = [value.encode("latin-1")]
            elif kind == "MX":
                preference, host = value.split()
                value = (int(preference), host)
            found.append(((name, kind), value))
        return found
    return lookup


def theirs(case, changes=()):
    spf.DNSLookup = lookup_in(case["zone"])
    made = type("query", tuple(reversed([EXPLAINED[c] for c in changes])) + (spf.query,), {})
    query = made(i=case["client"], s=case["from"], h=case["helo"], receiver=RECEIVER)
    query.t = str(NOW)
    query.defexps = dict.fromkeys(query.defexps, "")
    query.exps = dict(query.defexps)
    result, _, text = query.check()
    return {"result": result, "explanation": text if result == "fail" else "",
            "mechanism": query.mechanism or "" if result in ("pass", "fail", "softfail", "neutral") else ""}


def same(a, b):
    return all(a[k] == b[k] for k in ("result", "explanation", "mechanism"))


# ---- python3-spf, changed where it differs ----

class PointerNames(spf.query):
    """A DNS error on a PTR name skips the name, RFC 7208 section 5.5."""
    def validated_ptrs(self):
        names = []
        try:
            pointers = self.dns_ptr(self.i)[:spf.MAX_PTR]
        except spf.TempError:
            return []
        for name in pointers:
            try:
                if self.cidrmatch(self.dns_a(name, self.A), self.cidrmax):
                    names.append(name)
            except spf.TempError:
                pass
        return names


class VoidTerms(spf.query):
    """The void limit is on terms, RFC 7208 section 4.6.4: addresses of MX and PTR names, and %{p}, do not count."""
    def without_voids(self, function, *args):
        voids, self.void_lookups = self.void_lookups, -100
        try:
            return function(*args)
        finally:
            self.void_lookups = voids

    def dns_mx(self, name):
        self.dns(name, "MX")
        return self.without_voids(super().dns_mx, name)

    def validated_ptrs(self):
        if sys._getframe(1).f_code.co_name != "getp":
            try:
                self.dns_ptr(self.i)
            except spf.TempError:
                pass
        return self.without_voids(super().validated_ptrs)


class OwnP(spf.query):
    """%{p} is found anew for each <domain>, RFC 7208 section 7.3."""
    def getp(self):
        self.p = None
        return super().getp()


class MxInOrder(spf.query):
    """MX hosts are looked at in order of preference: a match ends it before a later host's error, or an eleventh."""
    def dns_mx(self, name):
        for number, (_, host) in enumerate(sorted(self.dns(name, "MX"), key=lambda mx: mx[0])):
            if number == spf.MAX_MX:
                raise spf.PermError("More than 10 MX records")
            found = self.dns_a(host, self.A)
            if self.cidrmatch(found, self.bits):
                return found
        return []

    @property
    def bits(self):
        frame = sys._getframe(1)
        while "cidrlength" not in frame.f_locals:
            frame = frame.f_back
        return frame.f_locals["cidrlength"]


class SelfInclude(spf.query):
    """A record that includes itself is an error when evaluation gets there (at the limit), not before."""
    def validate_mechanism(self, mech):
        try:
            return super().validate_mechanism(mech)
        except spf.PermError as error:
            if "trivial recursion" not in error.msg:
                raise
            return mech, "include", self.d, self.cidrmax, spf.RESULTS.get(mech[0], "pass")


class Percent(spf.query):
    """"%%" at the end of a text is a percent sign."""
    def expand(self, text, stripdot=True):
        parts = text.split("%%")
        if len(parts) == 1:
            return super().expand(text, stripdot)
        expanded = "%".join(super(Percent, self).expand(part, False) if part else "" for part in parts)
        if any(letter in part.lower() for part in parts for letter in ("%{c", "%{r", "%{t")) and stripdot:
            raise spf.PermError("c,r,t macros allowed in exp= text only")
        return expanded.rstrip(".") if stripdot else expanded


class LongText(spf.query):
    """An explanation is not cut to the 253 bytes of a name."""
    def expand(self, text, stripdot=True):
        if stripdot:
            return super().expand(text, True)
        return "".join(super(LongText, self).expand(part, False) for part in re.split(r"(%[%_-]|%{[^}]*}| )", text) if part)


class Postmaster(spf.query):
    """A sender without local part is postmaster@, in %{s} too, RFC 7208 section 4.3."""
    def check(self):
        if self.s.startswith("@"):
            self.s = "postmaster" + self.s
        return super().check()


class Zero(spf.query):
    """The digits of a macro must not be zero, RFC 7208 section 7.3."""
    def expand(self, text, stripdot=True):
        if re.search(r"%{[a-zA-Z]0+(?![0-9])", text):
            raise spf.PermError("zero parts")
        return super().expand(text, stripdot)


class RedirectReached(spf.query):
    """A redirect counts as a look-up when evaluation follows it, RFC 7208 section 4.6.4."""
    def check_lookups(self):
        caller = sys._getframe(1)
        if caller.f_code.co_name == "check0" and isinstance(caller.f_locals.get("m"), list):
            return
        super().check_lookups()

    def dns_spf(self, domain):
        caller = sys._getframe(1)
        if "redirect_record" in linecache.getline(caller.f_code.co_filename, caller.f_lineno):
            super().check_lookups()
        return super().dns_spf(domain)


class Modifiers(spf.query):
    """Names of modifiers are case-insensitive, and unknown ones may be repeated, RFC 7208 section 6."""
    def check0(self, record, recursion):
        terms = (record or "").split(" ")
        for i, term in enumerate(terms):
            name, equals, value = term.partition("=")
            if i == 0 or not spf.RE_MODIFIER.match(term):
                continue
            known = name.lower() in ("exp", "redirect")
            terms[i] = (name.lower() if known else "x%d" % i) + equals + value
        return super().check0(" ".join(terms), recursion)


# Those that call a changed function of another stand behind it.
EXPLAINED = {
    "MX in order": MxInOrder, "PTR errors": PointerNames, "void terms": VoidTerms, "own %{p}": OwnP,
    "self include": SelfInclude, "redirect reached": RedirectReached, "modifier names": Modifiers,
    "postmaster": Postmaster, "long text": LongText, "zero parts": Zero, "%% at the end": Percent,
}


def explain(case, our):
    """The smallest set of changes that brings python3-spf to our result; None: there is none."""
    for n in range(1, len(EXPLAINED) + 1):
        for changes in itertools.combinations(EXPLAINED, n):
            if same(our, theirs(case, changes)):
                return changes
        if n == 1 and not same(our, theirs(case, tuple(EXPLAINED))):
            return None
    return None


def show(case, our, their):
    print("UNEXPLAINED: ours %s" % our)
    print("           theirs %s" % their)
    print("  client %s helo %s from %s" % (case["client"], case["helo"], case["from"]))
    print("          changed %s" % theirs(case, tuple(EXPLAINED)))
    for name, entry in case["zone"].items():
        if not name.startswith("m"):
            print("    %s %s" % (name, entry))


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 7208
    r = random.Random(seed)
    cases = [make_case(r) for _ in range(count)]
    equal, unexplained, most, tally, results = 0, 0, 0, {}, {}
    for case, our in zip(cases, ours(program, cases)):
        most = max(most, our["questions"])
        results[our["result"]] = results.get(our["result"], 0) + 1
        their = theirs(case)
        if same(our, their):
            equal += 1
            continue
        changes = explain(case, our)
        if changes is None:
            unexplained += 1
            if unexplained <= 5:
                show(case, our, their)
            continue
        tally[changes] = tally.get(changes, 0) + 1
    print("results: " + ", ".join("%s %d" % item for item in sorted(results.items())))
    for changes, n in sorted(tally.items(), key=lambda item: -item[1]):
        print("%5d  %s" % (n, " + ".join(changes)))
    print("%d cases (seed %d): %d equal, %d explained, %d unexplained; at most %d questions" %
          (count, seed, equal, sum(tally.values()), unexplained, most))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
