#!/usr/bin/python3
"""trimilterctl report show: the table, the JSON object, and what is said of what cannot be shown.

    report_show.py TRIMILTERCTL AGGREGATE_TOOL
"""
import collections, gzip, json, os, re, subprocess, sys, tempfile
import xml.etree.ElementTree as ElementTree

CTL, TOOL = sys.argv[1:3]
CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "corpus", "report_read")
failures = 0

TABLE = """\
DMARC report on example.com
  from         receiver.example
  address      noreply@receiver.example
  report id    17636000000000000001
  period       2025-11-20 00:00:00 to 2025-11-20 23:59:59 UTC
  policy       p=none sp=none adkim=r aspf=r pct=100

source         messages       pass              fail           by DKIM     by SPF quarantine     reject
2001:db8::25          4          0   0.0%          4 100.0%          0          0          0          4
192.0.2.1             3          3 100.0%          0   0.0%          3          0          0          0
2 sources             7          3  42.9%          4  57.1%          3          0          0          4
"""
HOSTILE = """<feedback><report_metadata><org_name>a\x1b[31m\x9b31m\u009b2J\u202e</org_name></report_metadata>
<record><row><source_ip>%s\x07</source_ip><count>1</count></row></record></feedback>""" % ("x" * 100)


def check(what, got, wanted):
    global failures
    if got != wanted:
        failures += 1
        print("not ok: %s: %r instead of %r" % (what, got, wanted))


def show(*words, stdin=b""):
    done = subprocess.run([CTL, "report", "show", *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def corpus(name):
    return os.path.join(CORPUS, name)


def text_and_json():
    check("table", show(corpus("no-namespace.xml")), (0, TABLE, ""))
    with open(corpus("no-namespace.xml"), "rb") as file:
        check("standard input", show("-", stdin=file.read()), (0, TABLE, ""))
    status, text, errors = show("--json", corpus("no-namespace.xml"))
    check("JSON", (status, errors, text.count("\n")), (0, "", 1))
    report = json.loads(text)
    check("sources", [(s["source_ip"], s["messages"], s["pass"], s["fail"], s["dkim_aligned"], s["spf_aligned"],
                       s["quarantine"], s["reject"]) for s in report["sources"]],
          [("2001:db8::25", 4, 0, 4, 0, 0, 0, 4), ("192.0.2.1", 3, 3, 0, 3, 0, 0, 0)])
    check("sums", [report[key] for key in ("records", "messages", "pass", "fail", "reject")], [2, 7, 3, 4, 4])
    check("nulls", (report["error"], report["generator"], report["policy_published"]["np"]), (None, None, None))
    check("policy", (report["policy_published"]["domain"], report["policy_published"]["p"]), ("example.com", "none"))


def mistakes():
    for words, status, message in [
            ((corpus("error-truncated.xml"),), 65, "error-truncated.xml: line 2: the document ends early\n"),
            ((corpus("error-text.txt"),), 65, "error-text.txt: it is neither XML, gzip nor a zip file, nor a mail message with "
             "one of these attached\n"),
            ((corpus("is-not-there"),), 66, "is-not-there: No such file or directory\n"),
            ((CORPUS,), 74, ": Is a directory\n"),
            ((), 64, "exactly one FILE is needed, or -\nTry 'trimilterctl report show --help'.\n"),
            (("a", "b"), 64, "exactly one FILE is needed, or -\nTry 'trimilterctl report show --help'.\n"),
            (("--frob", "a"), 64, "unknown or incomplete option\nTry 'trimilterctl report show --help'.\n")]:
        got = show(*words)
        check("status of %s" % (words,), got[0], status)
        check("nothing on standard output", got[1], "")
        check("message of %s" % (words,), got[2][-len(message):], message)
    done = subprocess.run([CTL, "report"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check("no verb", (done.returncode, done.stdout), (64, b""))


def terminal():
    """Nothing that a terminal would act upon comes out; U+202E is for the terminal's own judgement."""
    status, text, _ = show("-", stdin=HOSTILE.encode("latin-1", "xmlcharrefreplace"))
    check("hostile texts are shown", status, 0)
    check("control characters", re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), [])
    check("the source is cut", max(len(line) for line in text.splitlines()) < 160, True)


def sums():
    """The 1,000 rows of the tool's report, added up here."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([TOOL, "variants", folder], stdout=subprocess.DEVNULL, check=True)
        name, = [name for name in os.listdir(folder) if name.endswith("!thousandold.xml.gz")]
        root = ElementTree.fromstring(gzip.open(os.path.join(folder, name)).read())
        report = json.loads(show("--json", os.path.join(folder, name))[1])
    wanted = collections.Counter()
    for record in root.findall("record"):
        n = int(record.findtext("row/count"))
        evaluated = record.find("row/policy_evaluated")
        dkim, spf = evaluated.findtext("dkim") == "pass", evaluated.findtext("spf") == "pass"
        wanted["messages"] += n
        wanted["pass"] += n * (dkim or spf)
        wanted["fail"] += n * (not dkim and not spf)
        wanted["dkim_aligned"] += n * dkim
        wanted["spf_aligned"] += n * spf
        wanted[evaluated.findtext("disposition")] += n
    del wanted["none"]
    check("sums", {key: report[key] for key in wanted}, dict(wanted))
    for key in wanted:
        check("sum of the sources' " + key, sum(source[key] for source in report["sources"]), wanted[key])
    messages = [source["messages"] for source in report["sources"]]
    check("most messages first", messages, sorted(messages, reverse=True))


text_and_json()
mistakes()
terminal()
sums()
sys.exit(1 if failures else 0)
