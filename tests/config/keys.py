#!/usr/bin/python3
"""genkey and testkey: what one makes the other accepts, and what is wrong is said.

    keys.py TRIMILTERCTL
"""
import os
import re
import stat
import subprocess
import sys
import tempfile

CTL = os.path.abspath(sys.argv[1])
failures = 0


def check(what, ok, detail=''):
    global failures
    if not ok:
        failures += 1
        print('not ok: %s %s' % (what, detail))


def run(*words):
    done = subprocess.run([CTL, *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def zone_line(text):
    """The BIND line as the zone file of tests wants it; every string at most 255 bytes."""
    owner, strings = re.fullmatch(r'(\S+)\. IN TXT \( (.*) \)\n', text).groups()
    for string in re.findall(r'"([^"]*)"', strings):
        check('string of a TXT record', len(string) <= 255, string)
    return '%s TXT %s\n' % (owner, strings)


def main():
    os.chdir(tempfile.mkdtemp(prefix='trimilter-keys-'))
    os.umask(0)
    zone = ''
    for words in (['-s', 'rsa'], ['-s', 'big', '-b', '4096', '-t', '-S', '-r', '-n', 'a note'],
                  ['-s', 'ed', '--type', 'ed25519']):
        status, out, err = run('genkey', '-d', 'Example.com', *words)
        check('genkey %s' % words, status == 0, err)
        name = words[1]
        mode = stat.S_IMODE(os.stat(name + '.private').st_mode)
        check('mode of the key', mode == 0o600, oct(mode))
        record = open(name + '.txt').read()
        zone += zone_line(record)
        check('the record is shown', record in out)
        check('the lines of configuration are shown', 'Selector  %s\n' % name in out)
    check('tags', 't=y:s; s=email; n=a note; p=' in open('big.txt').read())
    before = open('rsa.private').read()
    status, out, err = run('genkey', '-d', 'example.com', '-s', 'rsa')
    check('never replaces', status == 74 and open('rsa.private').read() == before, err)
    os.unlink('rsa.txt')
    status, out, err = run('genkey', '-d', 'example.com', '-s', 'rsa')
    check('never replaces a key without its record', status == 74 and open('rsa.private').read() == before, err)
    status, out, err = run('genkey', '-d', 'example.com', '-s', 'other')
    check('another', status == 0, err)
    check('nothing else is left', sorted(os.listdir('.')) == sorted(
        ['rsa.private', 'big.private', 'big.txt', 'ed.private', 'ed.txt', 'other.private', 'other.txt']))
    for words in (['-b', '512'], ['-b', 'x'], ['--type', 'dsa'], ['-s', 'a b'], ['-d', '..'], ['-n', 'a;b'], ['x']):
        check('usage %s' % words, run('genkey', *words)[0] == 64)

    open('zone', 'w').write(zone + 'revoked._domainkey.example.com TXT "v=DKIM1; p="\nslow._domainkey.example.com RCODE SERVFAIL\n')
    here = os.getcwd()
    rows = {'rsa': 'rsa', 'big': 'big', 'ed': 'ed'}

    def testkey(rows, *words):
        with open('conf', 'w') as conf:
            conf.write('DNSZoneFile %s/zone\nKeyTable csl:%s\nSigningTable csl:*=%s\n' % (here, ','.join(
                '%s=example.com:%s:%s/%s.private' % (s, s, here, k) for s, k in rows.items()), next(iter(rows))))
        return run('testkey', '-c', 'conf', *words)

    status, out, err = testkey(rows)
    check('all match', status == 0 and out.count(': ok (') == 3, out + err)
    check('t=y is said', 'big._domainkey.example.com: ok (rsa, 4096 bits): the record says that the key is under test' in out, out)
    for selector, key, word, wanted in (('rsa', 'other', 'mismatch', 65), ('rsa', 'ed', 'mismatch', 65),
                                        ('nope', 'rsa', 'missing', 65), ('revoked', 'rsa', 'unusable', 65),
                                        ('slow', 'rsa', 'dns-error', 69)):
        status, out, err = testkey({selector: key})
        check('%s with %s' % (selector, key), status == wanted and ': %s: ' % word in out, out + err)
    status, out, err = testkey(dict(rows, nope='rsa'), '-s', 'ed')
    check('one selector', status == 0 and out.count('\n') == 1, out + err)
    status, out, err = testkey({'rsa': 'gone'})
    check('a key that is missing', status == 78 and 'does not exist' in err, err)
    status, out, err = testkey(rows, '--json')
    check('json', status == 0 and out.startswith('{"ok":true,"keys":[{"domain":"example.com","selector":"rsa"'), out)
    check('usage', run('testkey')[0] == 64 and run('testkey', '-d', 'example.com')[0] == 64)
    print('keys: %d failed' % failures)
    subprocess.run(['rm', '-rf', here])
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
