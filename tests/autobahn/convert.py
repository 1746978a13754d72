"""Makes the cases of PyPI's autobahntestsuite loadable by Python 3.

    convert.py WHEEL FOLDER

The cases of sections 1 to 10 are taken out of the wheel, changed line by line and written to FOLDER, where
`suite.py` lists them. Only what a section needs to run is changed; each verdict stays the suite's own. A
change that no longer finds its lines is an error: it would mean another version of the suite.
"""

import pathlib
import re
import sys
import zipfile

CASES = "autobahntestsuite/case/"

# What is replaced, by what, and in how many files at least.
CHANGES = [
    # A literal's bytes are its characters.
    (r"^# coding=utf-8$", "# coding=latin-1", 10),
    (r"^import binascii$", "import latin1 as binascii", 5),
    (r"^from autobahn.websocket.utf8validator import", "from latin1 import", 1),
    # Only in the suite's tests of itself.
    (r"^(\s+)print\b.*$", r"\1pass", 1),
    (r"\bxrange\b", "range", 4),
    (r"\bunichr\b", "chr", 1),
    # Classic classes had no common base.
    (r"\(object, Case, \)", "(Case, )", 4),
    # Whole numbers divided were whole.
    (r" / self\.p\.autoFragmentSize", " // self.p.autoFragmentSize", 1),
    # Equal objects need not have equal pickles.
    (r"pickle\.dumps\(obj1\) == pickle\.dumps\(obj2\)", "obj1 == obj2", 1),
]
# Compression, which flumen does not offer, and a case that the suite itself leaves out.
LEFT_OUT = re.compile(r"case9_9_1|case12_x_x|Case1[23]_X_X")


def main(wheel, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = [0] * len(CHANGES)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not name.startswith(CASES) or not name.endswith(".py") or LEFT_OUT.search(name):
                continue
            lines = archive.read(name).decode("latin-1").splitlines()
            lines = [line for line in lines if not LEFT_OUT.search(line)]
            for at, (old, new, _) in enumerate(CHANGES):
                changed = [re.sub(old, new, line) for line in lines]
                found[at] += changed != lines
                lines = changed
            name = name.removeprefix(CASES).replace("__init__", "suite")
            (folder / name).write_text("\n".join(lines) + "\n", encoding="latin-1")
    for (old, _, at_least), files in zip(CHANGES, found):
        if files < at_least:
            sys.exit(f"convert.py: {old!r} was found in {files} files, not in {at_least}: another suite?")


if __name__ == "__main__":
    main(*sys.argv[1:])
