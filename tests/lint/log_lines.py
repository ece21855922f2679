#!/usr/bin/python3
"""Every line that the daemon logs, and every key of a message's line, has an entry in docs/log.md; and no entry is without its line."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ("auth", "dns", "milter", "report", "config", "tables", "db", "dkim", "spf", "dmarc", "message", "base")
CALL = re.compile(r'\b(?:log_(?:error|warning|info)\(|fault_log\(LOG_LEVEL_[A-Z]+,\s*(?:STR\(""\)|[^"]*?),)\s*((?:"(?:\\.|[^"\\])*"\s*|[A-Z][A-Za-z0-9_]+\s*)+)')
LITERAL = re.compile(r'"((?:\\.|[^"\\])*)"|[A-Z][A-Za-z0-9_]+')
CONVERSION = re.compile(r"%[-0-9.*]*(?:[hljzt]*[a-zA-Z])?|\\0")
FEWEST = 4      # letters; what has fewer is made of what is handed to it


def words(text):
    """Lower case letters alone, so that neither punctuation nor quoting counts."""
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def formats():
    """[(where, format)] of the calls; what a macro stands for counts as a conversion."""
    for folder in PROGRAM:
        for path in sorted((ROOT / "src" / folder).glob("*.c")):
            for call in CALL.finditer(path.read_text()):
                text = "".join(found[1] if found[1] is not None else "\\0" for found in LITERAL.finditer(call[1]))
                yield "%s/%s" % (folder, path.name), text.replace('\\"', '"')


def entries(page):
    """The code spans of the tables' first columns, without their capitals and what a dotted end leaves out."""
    for row in re.findall(r"(?m)^\| (`.*?`) \|", page):
        for span in re.findall(r"`([^`]+)`", row):
            yield span, [piece for piece in map(words, re.split(r"\b[A-Z]{4,}\b|\bN\b|\b\d+\b|\bPID\b|\bWHO\b|\bHOW\b|\.\.\.", span)) if piece]


def main():
    page = (ROOT / "docs/log.md").read_text()
    line, rest = page.split("## Start", 1)
    known = [(span, parts) for span, parts in entries(rest) if parts]
    logged = [(where, one, words(CONVERSION.sub(" ", one))) for where, one in formats()]
    mistakes = ["%s: no entry in docs/log.md for: %s" % (where, one) for where, one, fixed in logged
                if len(fixed.replace(" ", "")) >= FEWEST and not any(all(part in fixed for part in parts) for _, parts in known)]
    # A line may also be made elsewhere and be handed to the call.
    source = words(" ".join(path.read_text() for folder in PROGRAM for path in (ROOT / "src" / folder).glob("*.c")))
    mistakes += ["docs/log.md: nothing logs: " + span for span, parts in known if not all(part in source for part in parts)]
    code = (ROOT / "src/auth/logline.c").read_text()
    keys = set(re.findall(r'add_key\([^;]*?"(\w+)"', code)) | set(re.findall(r'" (\w+)=%', code))
    documented = {span for span, _ in entries(line)}
    mistakes += ["docs/log.md: the line of a message has no key %s" % key for key in sorted(documented - keys)]
    mistakes += ["src/auth/logline.c: no entry for the key %s" % key for key in sorted(keys - documented)]
    print("\n".join(mistakes) or "%d log calls and %d keys stand in docs/log.md" % (len(logged), len(keys)))
    return 1 if mistakes or not logged or not keys else 0


if __name__ == "__main__":
    sys.exit(main())
