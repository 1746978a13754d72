"""Judges what `fuzz.py` has found: a table, a record for docs, and an exit code.

    summary.py RESULTS.json RECORD.json

Passed: behaviour OK, NON-STRICT or INFORMATIONAL, and the end of the connection OK or INFORMATIONAL. What
is not plainly OK is named with its reason.
"""

import collections
import json
import pathlib
import sys

SECTIONS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "close",
    "9": "limits and performance",
    "10": "automatic fragmentation",
}
BEHAVIOURS = ["OK", "NON-STRICT", "INFORMATIONAL"]
ENDS = ["OK", "INFORMATIONAL"]


def write(record, known):
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def main(results, record):
    record = pathlib.Path(record)
    known = json.loads(record.read_text()) if record.exists() else {}
    known.pop("autobahn", None)
    write(record, known)
    try:
        with open(results, encoding="utf-8") as file:
            results = json.load(file)
    except FileNotFoundError:
        sys.exit("the cases were not all run: no verdict")
    table = collections.defaultdict(collections.Counter)
    for case in results:
        passed = case["behavior"] in BEHAVIOURS and case["behavior_close"] in ENDS
        case["verdict"] = case["behavior"] if passed else "FAILED"
        table[case["id"].split(".")[0]][case["verdict"]] += 1

    verdicts = [*BEHAVIOURS, "FAILED"]
    print(f"{'cases':<28}{'number':>7}" + "".join(f"{verdict:>15}" for verdict in verdicts))
    for section, counts in table.items():
        row = "".join(f"{counts[verdict]:>15}" for verdict in verdicts)
        print(f"{section + '.* ' + SECTIONS[section]:<28}{counts.total():>7}{row}")
    total = sum(table.values(), collections.Counter())
    print(f"{'all':<28}{total.total():>7}" + "".join(f"{total[verdict]:>15}" for verdict in verdicts))
    for case in results:
        if case["verdict"] != "OK":
            print(f"\n{case['id']} {case['verdict']}: {case['description']}")
            print(f"  behaviour {case['behavior']}: {case['result']}")
            print(f"  the end {case['behavior_close']}: {case['result_close']}")
            if case["verdict"] == "FAILED":
                print(f"  expected {case['expected']}, received {case['received']},", end=" ")
                print(f"closed with {case['close_code']} ({case['close_reason']})")

    named = {verdict: [c["id"] for c in results if c["verdict"] == verdict] for verdict in verdicts[1:]}
    known["autobahn"] = {
        "cases": total.total(),
        "passed": total.total() - total["FAILED"],
        "non_strict": named["NON-STRICT"],
        "informational": named["INFORMATIONAL"],
        "failed": named["FAILED"],
        "sections": {section: dict(counts) for section, counts in table.items()},
    }
    write(record, known)
    missing = set(SECTIONS) - set(table)
    if missing:
        sys.exit(f"no case of the sections {sorted(missing)} was run")
    sys.exit(1 if total["FAILED"] else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
