"""Results of a suite, held against the committed list of what is expected to differ.

`expect/<suite>.txt` has, besides comments:

    tests N                     how many tests the suite has; fewer is a failure
    skip  PATTERN  reason       these may be skipped or are left out
    fail  PATTERN  reason       these fail with real Apache ZooKeeper too
    apache PATTERN reason       these fail with real Apache ZooKeeper, and must pass with ours
    ours   PATTERN reason       these are left out with ours, and must pass with Apache ZooKeeper

Patterns are as in the shell.  A listed test that passes counts as passed; one that fails or
is skipped as listed counts as skipped; everything else that does not pass is a failure.
"""

import fnmatch
import json
import os
import threading


class Expectations:
    def __init__(self, path, apache=False):
        """`apache`: the server under test is Apache's."""
        self.tests, self.rules = 0, []
        if not os.path.exists(path):
            return
        with open(path) as f:
            for number, line in enumerate(f, 1):
                line = line.strip()
                if not line or line.startswith("#"):
                    continue
                words = line.split(None, 2)
                if words[0] == "tests" and len(words) == 2:
                    self.tests = int(words[1])
                elif words[0] in ("skip", "fail") and len(words) == 3:
                    self.rules.append(tuple(words))
                elif words[0] in ("apache", "ours") and len(words) == 3:
                    if (words[0] == "apache") == apache:
                        kind = "fail" if apache else "skip"
                        self.rules.append((kind,) + tuple(words[1:]))
                else:
                    raise ValueError("%s:%d: not understood (a reason is needed)" % (path, number))

    def reason(self, outcome, test):
        for kind, pattern, reason in self.rules:
            if kind == outcome and fnmatch.fnmatchcase(test, pattern):
                return reason
        return None

    def left_out(self):
        """The patterns of kind `skip`, for suites that leave tests out."""
        return [pattern for kind, pattern, _ in self.rules if kind == "skip"]


class Report:
    """Counts of one suite; `add` may be called from several threads."""

    def __init__(self, suite, expectations, say):
        self.suite, self.expect, self.say = suite, expectations, say
        self.passed = self.failed = self.skipped = 0
        self.results = []
        self._lock = threading.Lock()

    def add(self, test, outcome, detail=""):
        """One test: outcome is `pass`, `fail` or `skip`."""
        with self._lock:
            reason = None if outcome == "pass" else self.expect.reason(outcome, test)
            self.results.append((test, outcome, reason, detail))
            if outcome == "pass":
                self.passed += 1
                return
            if reason is not None:
                self.skipped += 1
                return
            self.failed += 1
        what = "FAILED" if outcome == "fail" else "SKIPPED WITHOUT A LISTED REASON"
        self.say("%s %s" % (what, test))
        for line in detail.strip().splitlines()[-25:]:
            self.say("    | " + line)

    def seen(self):
        return self.passed + self.failed + self.skipped

    def finish(self, whole=True):
        """Checks that nothing is missing (when the whole suite ran)."""
        if whole and self.seen() < self.expect.tests:
            self.add(
                "%s: number of tests" % self.suite,
                "fail",
                "only %d of %d tests gave a result" % (self.seen(), self.expect.tests),
            )
        elif self.seen() == 0:
            self.add("%s: number of tests" % self.suite, "fail", "no test ran")

    def line(self):
        return "%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped)

    def save(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            json.dump(
                {
                    "suite": self.suite,
                    "passed": self.passed,
                    "failed": self.failed,
                    "skipped": self.skipped,
                    "results": [
                        {"test": t, "outcome": o, "reason": r, "detail": d}
                        for t, o, r, d in self.results
                    ],
                },
                f,
                indent=1,
            )
