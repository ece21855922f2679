"""Aggregate reports as they arrive, and programs of others that read them: xmllint with the RFCs' schemas, dmarc-cat, Perl's
Mail::DMARC.
"""
import email
import email.policy
import os
import re
import subprocess

SCHEMAS = {"rfc9990": "rfc9990-appendixA.xsd", "rfc7489": "rfc7489-appendixC.xsd"}
FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "report", "schemas")

# It looks for elements without a namespace, so it reads the RFC 7489 format alone.
PERL = r"""
use strict; use warnings; use IO::Uncompress::Gunzip qw(gunzip); use XML::LibXML; use Mail::DMARC::Report::Receive;
while (my $path = <STDIN>) {
    chomp $path;
    my ($xml, $sum) = ('', 0);
    gunzip($path => \$xml) or die;
    my $reader = Mail::DMARC::Report::Receive->new;
    my $dom = XML::LibXML->load_xml(string => $xml);
    my $metadata = $reader->do_node_report_metadata($dom->findnodes('/feedback/report_metadata'));
    my $policy = $reader->do_node_policy_published($dom->findnodes('/feedback/policy_published'));
    my @records = map { $reader->do_node_record($_) } $dom->findnodes('/feedback/record');
    $sum += $_->row->count for @records;
    print join("\t", $metadata->report_id, $policy->domain, $metadata->begin, $metadata->end, scalar(@records), $sum), "\n";
}
"""


def attached(message):
    """[(file name, gzip data)] of a message."""
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    return [(part.get_filename(), part.get_content()) for part in parsed.walk()
            if part.get_content_type() == "application/gzip"]


def xmllint(form, paths):
    """What it says of XML files, "PATH validates" for each that is valid."""
    done = subprocess.run(["xmllint", "--nonet", "--noout", "--schema", os.path.join(FOLDER, SCHEMAS[form])] + paths,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode(errors="replace")


def dmarc_cat(path):
    """(exit status, rows, messages) of a .xml.gz file; it goes by its name."""
    done = subprocess.run(["dmarc-cat", "-N", os.path.basename(path)], cwd=os.path.dirname(path), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    said = done.stdout.decode(errors="replace")
    rows = re.findall(r"(?m)^[0-9a-f.:]+ +(\d+) ", said[said.find("Reports("):])
    return done.returncode, len(rows), sum(map(int, rows))


def mail_dmarc(paths):
    """([report id, domain, begin, end, rows, messages] as text for each .xml.gz file that it could read, its complaints)"""
    done = subprocess.run(["perl", "-e", PERL], input="".join(path + "\n" for path in paths), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    return [line.split("\t") for line in done.stdout.splitlines()], done.stderr
