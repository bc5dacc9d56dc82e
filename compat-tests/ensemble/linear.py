"""Whether the history of one register is linearizable: a search as Wing and Gong describe it,
that remembers where it has been (Lowe).

The register is a znode: a value and a version that every write raises by one. Operations are
`write` (any version), `cas` (this version only) and `read`.
"""

import collections

# outcome: "ok" (with result), "fail" (had no effect; for `cas`: the version was another one),
# "unknown" (may take effect at any time after its begin, or never)
Op = collections.namedtuple("Op", "kind argument result outcome begin end who")

START = (0, b"init")
FOREVER = float("inf")


def step(state, op):
    """The state after the operation, or None when it cannot take effect in this one."""
    version, value = state
    if op.kind == "read":
        return state if op.result == state else None
    expected, new = op.argument
    if op.outcome == "fail":
        return state if expected != version else None
    if expected is not None and expected != version:
        return None
    if op.outcome == "ok" and op.result != version + 1:
        return None
    return (version + 1, new)


def linearizable(history):
    """True, or the operations that no order explains."""
    ops = [op for op in history if not (op.kind == "read" and op.outcome != "ok")]
    ops = [op for op in ops if not (op.outcome == "fail" and op.kind != "cas")]
    ops.sort(key=lambda op: op.begin)
    ends = [op.end if op.outcome != "unknown" else FOREVER for op in ops]
    certain = sum(1 << i for i, op in enumerate(ops) if op.outcome != "unknown")
    seen, best = set(), (0, 0)
    stack = [(0, START)]
    while stack:
        done, state = stack.pop()
        if done & certain == certain:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        best = max(best, (bin(done & certain).count("1"), done))
        # only what began before everything left has ended may come next
        horizon, moves = FOREVER, []
        for i, op in enumerate(ops):
            if op.begin > horizon:
                break
            if done >> i & 1:
                continue
            horizon = min(horizon, ends[i])
            moves.append(i)
        for i in reversed(moves):
            if ops[i].begin <= horizon:
                after = step(state, ops[i])
                if after is not None:
                    stack.append((done | 1 << i, after))
    return [op for i, op in enumerate(ops) if not best[1] >> i & 1][:6]


def old_reads(history):
    """Reads after a sync that are older than a write which had ended before the sync began."""
    writes = sorted((op.end, op.result) for op in history if op.kind != "read" and op.outcome == "ok")
    wrong = []
    for op in history:
        if op.kind == "read" and op.outcome == "ok":
            newest = max((v for end, v in writes if end < op.begin), default=0)
            if op.result[0] < newest:
                wrong.append((op, newest))
    return wrong


def selftest():
    """The checker finds what is wrong, and only that."""

    def op(kind, argument, result, begin, end, outcome="ok"):
        return Op(kind, argument, result, outcome, begin, end, "t")

    good = [
        op("write", (None, b"a"), 1, 0, 3),
        op("cas", (1, b"b"), 2, 1, 4),
        op("read", None, (2, b"b"), 2, 5),
        op("cas", (1, b"c"), None, 4.5, 6, "fail"),
        op("write", (None, b"d"), None, 5, 5.5, "unknown"),
        op("read", None, (3, b"d"), 9, 10),
        op("write", (None, b"e"), None, 9, 9, "unknown"),
    ]
    bad = {
        "lost write": [op("write", (None, b"a"), 1, 0, 1), op("read", None, START, 2, 3)],
        "two writes, one version": [op("write", (None, b"a"), 1, 0, 9), op("write", (None, b"b"), 1, 0, 9)],
        "cas that had to work": [op("cas", (0, b"a"), None, 0, 1, "fail")],
        "value of nobody": [op("read", None, (1, b"x"), 0, 1)],
        "back in time": [
            op("write", (None, b"a"), None, 0, 1, "unknown"),
            op("read", None, (1, b"a"), 2, 3),
            op("read", None, START, 4, 5),
        ],
    }
    assert linearizable(good) is True, linearizable(good)
    for name, history in bad.items():
        assert linearizable(history) is not True, name
    assert old_reads(bad["lost write"]) and not old_reads(good)
