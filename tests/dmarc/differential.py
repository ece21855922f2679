#!/usr/bin/python3
"""Random zones, authors and identifiers, judged by `trimilterctl dmarc` and by RFC 9989 section 4.10 written down plainly.

    tests/dmarc/differential.py --ctl PATH [--cases N] [--seed N]

The model below asks for each name when the text says so, keeps nothing, and knows no DNS failure; what it shares with
the code is only the RFC. Last line: "N passed, N failed".
"""
import argparse, json, os, random, subprocess, sys, tempfile

POLICIES = ["none", "quarantine", "reject"]


# ---- the model ----

def tags_of(record):
    """{} where it is no DMARC record. Section 4.7, 4.8"""
    tags = [tag.split("=", 1) for tag in record.split(";") if "=" in tag]
    tags = [(name.strip(" \t").lower(), value.strip(" \t")) for name, value in tags]
    if not tags or tags[0] != ("v", "DMARC1"):
        return {}
    return {name: value if name in ("v", "rua") else value.lower() for name, value in tags}


def query(zone, name):
    """The one record there, or None. Section 4.10 step 2"""
    found = [tags for tags in map(tags_of, zone.get("_dmarc." + name, [])) if tags]
    return found[0] if len(found) == 1 else None


def walk(zone, domain):
    """[(name, record or None)] in order. Section 4.10"""
    labels, steps = domain.split("."), []
    while labels:
        record = query(zone, ".".join(labels))
        steps.append((".".join(labels), record))
        if record and record.get("psd") in ("y", "n"):
            break
        labels = labels[1:] if len(labels) < 8 else labels[-7:]
    return steps


def organizational(zone, domain):
    """Section 4.10.2"""
    found = [(name, record) for name, record in walk(zone, domain) if record]
    for name, record in found:
        if record.get("psd") == "n":
            return name
        if record.get("psd") == "y" and name != domain:
            return ".".join(domain.split(".")[-(name.count(".") + 2):])
    return found[-1][0] if found else domain


def discover(zone, author):
    """(policy domain, record) or (None, None). Section 4.10.1"""
    steps = dict(walk(zone, author))
    last_name, last = list(walk(zone, author))[-1]
    for name in (author, organizational(zone, author)):
        if steps.get(name):
            return name, steps[name]
    return (last_name, last) if last and last.get("psd") == "y" else (None, None)


def policy_of(zone, author, policy_domain, record):
    """None: no DMARC processing. Section 4.10.1, 4.7"""
    valid = [record.get("p", "") in POLICIES, record.get("sp", "none") in POLICIES, record.get("np", "none") in POLICIES]
    if not all(valid):
        return "none" if record.get("rua", "").startswith("mailto:") else None
    policy = record["p"]
    if policy_domain != author:
        exists = any(name == author or name.endswith("." + author) for name in zone)
        policy = record.get("sp", policy)
        if not exists:
            policy = record.get("np", policy)
    if record.get("t") == "y":
        policy = POLICIES[max(0, POLICIES.index(policy) - 1)]
    return policy


def aligned(zone, author, identifier, strict):
    if author == identifier:
        return True
    return not strict and organizational(zone, author) == organizational(zone, identifier)


def judge(zone, author, spf, dkim):
    """(result, policy, organizational domain, policy domain)"""
    policy_domain, record = discover(zone, author)
    policy = policy_of(zone, author, policy_domain, record) if record else None
    org = organizational(zone, author)
    if policy is None:
        return "none", None, org, policy_domain
    passes = any(aligned(zone, author, name, record.get("aspf") == "s") for name in spf)
    passes |= any(aligned(zone, author, name, record.get("adkim") == "s") for name in dkim)
    return "pass" if passes else "fail", policy, org, policy_domain


# ---- random cases ----

def random_record(rng):
    tags = ["v=DMARC1"]
    if rng.random() < 0.9:
        tags.append("p=" + rng.choice(POLICIES + ["Reject", "x"]))
    for name, values, chance in (("sp", POLICIES + ["y"], 0.3), ("np", POLICIES, 0.3), ("t", ["y", "n", "Y", "yes"], 0.2),
                                 ("psd", ["y", "n", "u", "x"], 0.3), ("adkim", ["r", "s", "S", ""], 0.3),
                                 ("aspf", ["r", "s", "strict"], 0.3), ("rua", ["mailto:a@b.example", "nothing"], 0.4),
                                 ("pct", ["0"], 0.1), ("unknown", ["1"], 0.1)):
        if rng.random() < chance:
            tags.append("%s=%s" % (name, rng.choice(values)))
    rest = tags[1:]
    rng.shuffle(rest)
    text = rng.choice(["; ", ";", " ; "]).join(["v=DMARC1"] + rest)
    return text if rng.random() < 0.95 else rng.choice(["v=spf1 -all", "v=DMARC2; p=none", "p=none; v=DMARC1"])


def random_name(rng, base):
    labels = base.split(".")
    shape = rng.random()
    if shape < 0.3:
        labels = labels[rng.randrange(len(labels)):]
    elif shape < 0.7:
        labels = [rng.choice("abc") for _ in range(rng.randrange(1, 4))] + labels[rng.randrange(len(labels)):]
    return ".".join(labels)


def random_case(rng):
    base = ".".join(rng.choice("abc") for _ in range(rng.choice([1, 2, 3, 4, 5, 7, 8, 9, 11]))) + ".example"
    zone, labels = {}, base.split(".")
    for depth in range(len(labels)):
        if rng.random() < 0.35:
            zone["_dmarc." + ".".join(labels[depth:])] = [random_record(rng) for _ in range(1 if rng.random() < 0.9 else 2)]
    for _ in range(rng.randrange(3)):
        zone["_dmarc." + random_name(rng, base)] = [random_record(rng)]
    for _ in range(rng.randrange(3)):
        zone[random_name(rng, base)] = ["some text"]
    author = base if rng.random() < 0.7 else random_name(rng, base)
    return zone, author, [random_name(rng, base) for _ in range(rng.randrange(2))], [random_name(rng, base) for _ in range(rng.randrange(3))]


def run(ctl, folder, zone, author, spf, dkim):
    with open(os.path.join(folder, "zone"), "w") as file:
        file.write("".join('%s TXT "%s"\n' % (name, text) for name, texts in zone.items() for text in texts))
    words = [ctl, "dmarc", "--json", "-c", os.path.join(folder, "conf")]
    words += [word for name in spf for word in ("--spf", name + "=pass")]
    words += [word for name in dkim for word in ("--dkim", name + "=pass")]
    found = json.loads(subprocess.run(words + [author], capture_output=True, check=True).stdout)
    return found["result"], found["policy"], found["organizational_domain"], found["policy_domain"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ctl", default="build/trimilterctl")
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "conf"), "w") as file:
            file.write("AuthservID mx.receiver.example\nSyslog no\nDNSZoneFile %s/zone\n" % folder)
        for _ in range(args.cases):
            case = random_case(rng)
            wanted, got = judge(*case), run(args.ctl, folder, *case)
            passed += wanted == got
            failed += wanted != got
            if wanted != got:
                print("FAIL want %r\n      got %r\n      %r" % (wanted, got, case))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main())
