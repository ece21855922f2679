#!/usr/bin/python3
"""Our aggregate reports, read by others.

    tests/report/aggregate_peers.py AGGREGATE_TOOL

The tool writes a report of each kind in both formats and says what it put in: hostile texts, 100 signatures, 1,000 rows,
parts of a split one. Each must be valid by its RFC's schema (xmllint), and say the same to expat, to dmarc-cat and to
Mail::DMARC, each as far as it is installed. Mail::DMARC looks for elements without a namespace, so it reads the RFC 7489
format alone. Last line: "N passed, N failed".
"""
import collections, gzip, ipaddress, json, os, re, shutil, subprocess, sys, tempfile
import xml.etree.ElementTree as ElementTree

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lab import consumers  # noqa: E402

NAMESPACES = {"rfc9990": "{urn:ietf:params:xml:ns:dmarc-2.0}", "rfc7489": ""}
passed, failures = 0, []


def check(what, got, wanted):
    global passed
    if got == wanted:
        passed += 1
    else:
        failures.append("%s: %r instead of %r" % (what, got, wanted))


def unpack(path):
    with gzip.open(path) as file:
        return file.read()


def validate(folder, reports):
    """xmllint, many files at a time: what it does not call valid it complains about."""
    for form in consumers.SCHEMAS:
        names = []
        for report in reports:
            if report["format"] == form:
                name = os.path.join(folder, report["file"][:-3])
                with open(name, "wb") as file:
                    file.write(unpack(name + ".gz"))
                names.append(name)
        said = consumers.xmllint(form, names)
        for name in names:
            check("xmllint", "valid" if name + " validates\n" in said else said[:2000], "valid")


def read_expat(folder, report):
    space = NAMESPACES[report["format"]]
    root = ElementTree.fromstring(unpack(os.path.join(folder, report["file"])))
    records = root.findall(space + "record")
    text = lambda path: root.findtext("/".join(space + name for name in path.split("/")))
    check("expat: " + report["file"], root.tag, space + "feedback")
    check("expat: " + report["file"],
          (text("report_metadata/report_id"), int(text("report_metadata/date_range/begin")),
           int(text("report_metadata/date_range/end")), len(records),
           sum(int(record.findtext("%srow/%scount" % (space, space))) for record in records)),
          (report["report_id"], report["begin"], report["end"], report["rows"], report["messages"]))
    for record in records:
        ipaddress.ip_address(record.findtext("%srow/%ssource_ip" % (space, space)))


def read_dmarc_cat(folder, report):
    check("dmarc-cat: " + report["file"], consumers.dmarc_cat(os.path.join(folder, report["file"])),
          (0, report["rows"], report["messages"]))


def read_mail_dmarc(folder, reports):
    reports = [report for report in reports if report["format"] == "rfc7489"]
    found, errors = consumers.mail_dmarc([os.path.join(folder, report["file"]) for report in reports])
    check("Mail::DMARC: " + errors[-300:], len(found), len(reports))
    for read, report in zip(found, reports):
        domain = report["domain"].encode("idna").decode()
        check("Mail::DMARC: " + report["file"], read,
              [str(word) for word in (report["report_id"], domain, report["begin"], report["end"], report["rows"],
                                      report["messages"])])


def names(reports):
    """RFC 9990 section 3.5.2"""
    for report in reports:
        check("file name", bool(re.fullmatch(r"[a-z0-9.-]+![a-z0-9.-]+!\d+!\d+![a-zA-Z0-9]+\.xml\.gz", report["file"])), True)
        check("unique-id", report["file"].split("!")[4][:-7], report["report_id"])
        check("subject", report["subject"].split(),
              ["Report", "Domain:", report["file"].split("!")[1], "Submitter:", report["file"].split("!")[0], "Report-ID:",
               "<%s>" % report["report_id"]])
    check("report ids", len({report["report_id"] for report in reports}), len(reports))


def main():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.argv[1], "variants", folder], stdout=subprocess.PIPE, check=True)
        reports = [json.loads(line) for line in done.stdout.decode().splitlines()]
        names(reports)
        for report in reports:
            read_expat(folder, report)
        peers = ["expat"]
        if shutil.which("xmllint"):
            validate(folder, reports)
            peers.append("xmllint")
        if shutil.which("dmarc-cat"):
            for report in reports:
                read_dmarc_cat(folder, report)
            peers.append("dmarc-cat")
        if subprocess.run(["perl", "-MMail::DMARC::Report::Receive", "-e", "1"], stderr=subprocess.DEVNULL).returncode == 0:
            read_mail_dmarc(folder, reports)
            peers.append("Mail::DMARC")
    sums = collections.defaultdict(int)
    for report in reports:
        if re.fullmatch(r"(split|thousand).*", report["report_id"]):
            sums[re.split(r"p\d+$", report["report_id"])[0]] += report["messages"]
    check("parts sum up to the whole", sums["split"], sums["thousand"])
    check("parts sum up to the whole", sums["splitold"], sums["thousandold"])
    print("\n".join(failures[:50]))
    print("%d reports, read by %s" % (len(reports), ", ".join(peers)))
    print("%d passed, %d failed" % (passed, len(failures)))
    return 1 if failures or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
