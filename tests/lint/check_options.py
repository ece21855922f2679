#!/usr/bin/python3
"""Every member of the modules' option structs is set by an option and read by the program.

    check_options.py SOURCE-ROOT

An option that nothing reads is a promise that is not kept; a member that no option sets cannot be changed by anybody.
"""
import pathlib
import re
import sys

# What config_load() or the program puts together, by member: from where.
DERIVED = {
    'auth.mode_verify': 'Mode',
    'auth.verify_authenticated': 'trimilterctl check',
    'auth.own_ids': 'AuthservID, RemoveARFrom',
    'auth.internal_hosts': 'InternalHosts',
    'auth.external_ignore': 'ExternalIgnoreList',
    'auth.ignore_hosts': 'IgnoreHosts',
    'auth.peers': 'PeerList',
    'auth.exempt_domains': 'ExemptDomains',
    'auth.dont_sign_mail_to': 'DontSignMailTo',
    'auth.ignore_mail_from': 'IgnoreMailFrom',
    'auth.secondary_mx': 'SecondaryMX',
    'auth.spf_ignore_hosts': 'SPFIgnoreHosts',
    'auth.trusted_forwarders': 'TrustedForwarders',
    'auth.domain_whitelist': 'DomainWhitelist',
    'auth.domain_whitelist_file': 'DomainWhitelistFile',
    'auth.body_length_rcpts': 'BodyLengthDB',
    'auth.signature_options': 'SignatureOptions',
    'auth.local_daemons': 'MacroList',
    'auth.users': 'UserDomains',
    'auth.signers': 'KeyTable, SigningTable, Domain',
    'dkim_sign.body_canonicalization': 'Canonicalization',
    'spf.receiver': 'the host name',
    'dmarc.suffixes': 'PublicSuffixList',
    'report.ignore_mail_to': 'IgnoreMailTo',
    'report.no_reports': 'NoReportsList',
    'report.only_reports': 'ReportOnlyTo',
}

MODULES = {  # struct -> (header, module in options.def)
    'milter_options': ('milter/options.h', 'milter'),
    'dns_options': ('dns/options.h', 'dns'),
    'auth_options': ('auth/options.h', 'auth'),
    'dkim_verify_options': ('dkim/options.h', 'dkim_verify'),
    'dkim_sign_options': ('dkim/options.h', 'dkim_sign'),
    'spf_options': ('spf/options.h', 'spf'),
    'dmarc_options': ('dmarc/options.h', 'dmarc'),
    'report_options': ('report/options.h', 'report'),
    'config_tables': ('config/values.h', 'tables'),
}


def without_comments(text):
    return re.sub(r'/\*.*?\*/|//[^\n]*', ' ', text, flags=re.S)


def members(text, struct):
    body = re.search(r'struct %s \{(.*?)\n\};' % struct, without_comments(text), re.S).group(1)
    for declaration in body.split(';'):
        for name in re.findall(r'(\w+)\s*(?:,|$)', declaration.strip()):
            yield name


def main(root):
    src = pathlib.Path(root) / 'src'
    rows = set(re.findall(r'^OPTION\((\w+), (\w+),', (src / 'config/options.def').read_text(), re.M))
    sources = {path: without_comments(path.read_text())
               for path in src.rglob('*.[ch]') if path.name != 'options.h'}
    problems = []
    n = 0
    for struct, (header, module) in MODULES.items():
        own = module == 'tables'
        for member in members((src / header).read_text(), struct):
            n += 1
            key = '%s.%s' % (module, member)
            if (module, member) not in rows and key not in DERIVED and not member.startswith('n_'):
                problems.append('%s: no option of options.def sets it' % key)
            # Reading is an access that is not the left side of an assignment, nor an initializer's .member =
            reading = re.compile(r'(?:->|\w\.|\)\.)%s\b(?!\s*=[^=])' % member)
            readers = [path for path, text in sources.items()
                       if (path.parent.name == 'config') == own and reading.search(text)]
            if not readers:
                problems.append('%s: nothing in src/ reads it' % key)
    for key in DERIVED:
        if tuple(key.split('.')) in rows:
            problems.append('%s: has an option, and is listed as derived' % key)
    for problem in problems:
        print('check_options: ' + problem)
    print('check_options: %d members, %d problems' % (n, len(problems)))
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else '.'))
