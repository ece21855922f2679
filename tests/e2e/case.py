"""What a case is, and the few things that all of them say."""
from lab import mail
from lab.site import Site

CASES = []


class Failed(Exception):
    pass


class Case:
    def __init__(self, function, options, quick, kind):
        self.function, self.options, self.quick, self.kind = function, options, quick, kind
        self.name = function.__name__.replace("_", "-")
        self.says = (function.__doc__ or "").strip().splitlines()[0]


def case(function=None, own=None, quick=False, kind=Site):
    """
    Register a case. It gets the shared site of its kind, running; with own={...} a site of its own with these arguments,
    not yet started.
    """
    def register(function):
        CASES.append(Case(function, own, quick, kind))
        return function
    return register(function) if function else register


def check(condition, why):
    if not condition:
        raise Failed(why)


def accepted(reply):
    check(reply[0] == 250, "not accepted: %d %s" % reply)


def refused(reply, code, enhanced, *words):
    text = "%d %s" % reply
    check(reply[0] == code and reply[1].startswith(enhanced), "want %d %s, got %s" % (code, enhanced, text))
    for word in words:
        check(word in reply[1], "%r is not in the reply: %s" % (word, text))


def results(message):
    """The value of our one Authentication-Results field; it must stand above all that came with the message."""
    from lab.site import HOSTNAME
    names = [name.lower() for name, _ in mail.fields(message)]
    ours = [value for value in mail.field(message, "Authentication-Results")
            if value.split(";")[0].strip().lower() == HOSTNAME]
    check(len(ours) == 1, "%d results fields of ours: %s" % (len(ours), ours))
    added = ("return-path", "delivered-to")     # by delivery, after the milter
    top = next(name for name in names if name not in added)
    check(top == "authentication-results", "the results field is not at the top, but %s" % top)
    return ours[0]


def no_results(message):
    from lab.site import HOSTNAME
    check(not any(HOSTNAME in value for value in mail.field(message, "Authentication-Results")),
          "a results field of ours: %s" % mail.field(message, "Authentication-Results"))


def has(text, *words):
    for word in words:
        check(word in text, "%r is not in: %s" % (word, text))


def lacks(text, *words):
    for word in words:
        check(word not in text, "%r is in: %s" % (word, text))


def signed(site, message, selectors=("mail", "ed")):
    """Signed for our domain with each of the selectors and nothing more, and valid says python3-dkim."""
    found = mail.verify_python(message, site.txt)
    check(sorted(s for _, s, _, _ in found) == sorted(selectors), "signatures: %s" % found)
    check(all(d == "home.example" and valid for d, _, _, valid in found), "not all valid: %s" % found)


def unsigned(message):
    check(not mail.field(message, "DKIM-Signature"), "a signature: %s" % mail.field(message, "DKIM-Signature"))
