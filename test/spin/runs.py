# SPDX-License-Identifier: Apache-2.0
"""What is checked. A run is a model, what may happen in it, and what must come of it."""

import dataclasses


@dataclasses.dataclass
class Run:
    name: str
    model: str = "drop"
    settings: dict = dataclasses.field(default_factory=dict)
    must_fail: bool = False
    kind: str = "safety"
    large: bool = False
    arguments: tuple = ()


RESERVE, ISSUE = 1, 2

# Scenes: each with what it may show going wrong, small enough to be looked at whole.
SCENES = {
    # One gate, no fault: double clicks, lost answers, lost connections, rolled-back batches, the sweeper.
    "settle": dict(ATTEMPT1=ISSUE, ATTEMPT2=RESERVE, ATTEMPT3=ISSUE, HICCUPS=3, EAGER_SWEEP=1, REST=1),
    "settle, reserve first": dict(ATTEMPT1=RESERVE, ATTEMPT2=RESERVE, ATTEMPT3=ISSUE, HICCUPS=3, EAGER_SWEEP=1, REST=1),
    # A row by other hands: the one way to a conflict.
    "conflict": dict(ATTEMPT1=RESERVE, ATTEMPT2=ISSUE, FAULTS=1, PLANT=1, HICCUPS=1, QUANTITY=2),
    # The node rewound, by promotion of a replica (the old one goes on), or by a restart.
    "fail-over": dict(ATTEMPT1=RESERVE, ATTEMPT2=RESERVE, FAULTS=1, FAIL_OVER=1),
    "fail-over, issue": dict(ATTEMPT1=ISSUE, ATTEMPT2=RESERVE, FAULTS=1, FAIL_OVER=1, EPOCHS=2),
    "fail-over while building": dict(FAULTS=1, FAIL_OVER=1, REBUILDS=1, HICCUPS=1),
    "restart": dict(ATTEMPT1=RESERVE, ATTEMPT2=RESERVE, FAULTS=1, RESTART=1),
    "flush": dict(ATTEMPT1=RESERVE, ATTEMPT2=RESERVE, FAULTS=1, FLUSH=1),
    "lost key": dict(ATTEMPT1=RESERVE, ATTEMPT3=RESERVE, FAULTS=1, TEAR=1, QUANTITY=2),
    "lost key while building": dict(ATTEMPT1=RESERVE, FAULTS=1, TEAR=1, REBUILDS=1),
    # A server is killed, or paused or cut from SQL, while an administrator has the gate rebuilt.
    "kill": dict(ATTEMPT1=RESERVE, ATTEMPT2=ISSUE, FAULTS=1, KILL=1, REBUILDS=1, EPOCHS=2),
    "pause": dict(ATTEMPT1=RESERVE, ATTEMPT2=RESERVE, FAULTS=1, PAUSE=1, REBUILDS=1),
    "pause before telling": dict(ATTEMPT1=RESERVE, ATTEMPT2=RESERVE, FAULTS=1, PAUSE=1, REBUILDS=1, SLOW_TELL=1,
                                 EPOCHS=2),
    # Raising, lowering, sold out.
    "settings": dict(ATTEMPT1=RESERVE, ATTEMPT2=ISSUE, RAISES=1, LOWERS=1, EPOCHS=2),
    "lower": dict(ATTEMPT1=RESERVE, ATTEMPT2=ISSUE, LOWERS=1, HICCUPS=1, QUANTITY=2, EPOCHS=2),
    "sold out": dict(ATTEMPT1=ISSUE, ATTEMPT2=RESERVE, ATTEMPT3=RESERVE, RAISES=1, HICCUPS=1, MEMORY=1, REST=1),
    "sold out, one server": dict(ATTEMPT1=ISSUE, ATTEMPT2=RESERVE, ATTEMPT3=RESERVE, RAISES=1, HICCUPS=1, MEMORY=1,
                                 SERVER1=1, REST=1),
    # Two faults: 1, 2, 5-8 still hold.
    "two faults, kill": dict(ATTEMPT1=ISSUE, FAULTS=2, FAIL_OVER=1, KILL=1, EPOCHS=2),
    "two faults, pause": dict(ATTEMPT1=RESERVE, FAULTS=2, FAIL_OVER=1, PAUSE=1, EPOCHS=2),
}
# The same with more of everything.
LARGE = {
    "settle, two places": SCENES["settle"] | dict(QUANTITY=2, HICCUPS=4),
    "fail-over, more": SCENES["fail-over"] | dict(HICCUPS=1),
    "fail-over, issue, more": SCENES["fail-over, issue"] | dict(HICCUPS=1, EPOCHS=3),
    "fail-over, two places": SCENES["fail-over, issue"] | dict(QUANTITY=2, HICCUPS=1),
    "fail-over, joined": SCENES["fail-over"] | dict(ATTEMPT3=ISSUE, EPOCHS=2),
    "restart, more": SCENES["restart"] | dict(HICCUPS=1),
    "flush, more": SCENES["flush"] | dict(HICCUPS=2),
    "lost key, more": SCENES["lost key"] | dict(HICCUPS=1, REBUILDS=1),
    "kill, more": SCENES["kill"] | dict(HICCUPS=1, QUANTITY=2),
    "pause, more": SCENES["pause"] | dict(HICCUPS=1),
    "settings, more": SCENES["settings"] | dict(HICCUPS=1, EPOCHS=3, MEMORY=1),
    "kill, lower": SCENES["lower"] | dict(FAULTS=1, KILL=1, HICCUPS=0),
    "two faults, kill, more": SCENES["two faults, kill"] | dict(ATTEMPT2=RESERVE),
    "two faults, pause, more": SCENES["two faults, pause"] | dict(ATTEMPT2=ISSUE),
    "two fail-overs' worth": dict(ATTEMPT1=RESERVE, ATTEMPT2=RESERVE, FAULTS=2, RESTART=1, FAIL_OVER=1, EPOCHS=3),
}

ALL = [Run(name, settings=scene) for name, scene in SCENES.items()]
ALL += [Run(name, settings=scene, large=True) for name, scene in LARGE.items()]

# What each guard is there for: (guard, scene, what is different in it).
GUARDS = [
    ("NO_REPLID", "fail-over", {}), ("NO_COUNTS", "lost key", {}),
    ("NO_REPLY_EPOCH", "fail-over", {}), ("NO_REPLY_CLOSING", "fail-over", {}),
    ("NO_LEASE", "pause", {}), ("NO_LEASE_BEFORE", "pause", {}), ("NO_BEAT_ORDER", "pause", {}),
    ("NO_HAND_IN", "fail-over", {}), ("NO_ACK_EPOCH", "fail-over", {"EPOCHS": 4}),
    ("NO_BARRIER", "fail-over", {}), ("NO_DRAIN", "kill", {}), ("NO_DRAIN", "pause before telling", {}), ("NO_CAS", "fail-over", {}),
    ("NO_SQL_LOCK", "fail-over", {}), ("NO_EPOCH_FENCE", "pause", {}), ("NO_UNIQUE", "conflict", {}),
    ("NO_READ_AFTER", "two faults, kill", {"HICCUPS": 1}), ("NO_BEGIN_EPOCH", "kill", {"EPOCHS": 3, "REBUILDS": 2, "ATTEMPT2": 0}),
    ("NO_OPEN_COUNT", "lost key while building", {}), ("NO_OPEN_REPLID", "fail-over while building", {}), ("NO_NEW_EPOCH", "fail-over while building", {}),
    ("NO_REREAD", "fail-over", {}), ("NO_GAPS", "kill", {"ATTEMPT1": ISSUE, "ATTEMPT2": RESERVE, "QUANTITY": 2, "HICCUPS": 1}),
    ("NO_TOKEN", "settle", {}), ("NO_JOIN_MARK", "settle", {}), ("NO_JOIN_CLEAR", "settle", {}),
    ("NO_UNKNOWN_KEEP", "settle", {}), ("NO_UNKNOWN_STICKS", "settle", {}),
    ("NO_TOLD_KEEP", "settle", {}), ("NO_FORWARD_SWEEP", "settle", {}),
    ("NO_SWEEP_CHECK", "fail-over, issue", {"HICCUPS": 1}), ("NO_HOLD", "fail-over", {"HICCUPS": 1}),
    ("NO_VERSION", "settings", {}), ("NO_LOWER_CLOSE", "lower", {}),
    ("NO_FOR_GOOD", "sold out", {}), ("NO_HOLDERS", "sold out", {}), ("NO_MEMORY_VERSION", "sold out, one server", {}),
]
ALL += [Run(f"no {guard[3:].lower()}" + (": " + scene if [g[0] for g in GUARDS].count(guard) > 1 else ""),
            settings=SCENES[scene] | changed | {"NO": guard}, must_fail=True) for guard, scene, changed in GUARDS]

# What must be able to happen, or the runs above would show nothing.
REACHED = [
    ("REACH_REBUILD", "fail-over", {}), ("REACH_JOIN", "settle", {}), ("REACH_RELEASE", "settle", {}),
    ("REACH_STALE", "fail-over", {}), ("REACH_OFFER", "pause", {}), ("REACH_GOOD", "sold out, one server", {}),
    ("REACH_TAKE_OVER", "kill", {}), ("REACH_RESERVED", "fail-over", {}), ("REACH_ISSUED", "settle", {}),
    ("REACH_SWEPT", "kill", {}), ("REACH_CONFLICT", "conflict", {}), ("REACH_LOWERED", "lower", {}),
]
ALL += [Run(f"reach {what[6:].lower()}", settings=SCENES[scene] | changed | {"REACH": what}, must_fail=True)
        for what, scene, changed in REACHED]

# At rest everybody has an answer and the gate agrees with SQL; and every run comes to rest.
LIVE = {"PATIENT": 1, "REST": 1, "EPOCHS": 6}
ALL += [Run(f"rest: {scene}", settings=SCENES[scene] | LIVE)
        for scene in ["fail-over", "fail-over, issue", "restart", "flush", "lost key", "kill", "pause", "settings"]]
ALL += [Run(f"no cycle: {scene}", settings=SCENES[scene] | LIVE, kind="cycles")
        for scene in ["settle", "fail-over", "flush", "pause"]]
ALL += [Run(f"no cycle: {scene}", settings=SCENES[scene] | LIVE, kind="cycles", large=True)
        for scene in ["lost key", "kill", "settings"]]
ALL += [Run(f"rest: {scene}", settings=LARGE[scene] | LIVE, large=True)
        for scene in ["fail-over, more", "fail-over, two places", "kill, more", "pause, more", "settings, more"]]
STUCK = [("NO_SWEEP", "settle", {}), ("NO_PUSH", "settings", {"LOWERS": 0}), ("NO_TAKE_OVER", "kill", {})]
ALL += [Run(f"no {guard[3:].lower()}", settings=SCENES[scene] | changed | LIVE | {"NO": guard}, must_fail=True)
        for guard, scene, changed in STUCK]
ALL.append(Run("no rest", settings=SCENES["settle"] | LIVE | {"NO": "NO_REST"}, kind="cycles", must_fail=True))

# ---- the two small models ----
PAYMENT = {"CLAIMS": 2, "LOSSES": 1}
REFUND = {"CLAIMS": 2, "LOSSES": 1, "REFUND": 1}
ALL += [
    Run("payment", "payment", {"CLAIMS": 2, "LOSSES": 2}),
    Run("payment, refund", "payment", {"CLAIMS": 9, "LOSSES": 1, "REFUND": 1, "PATIENT": 1}),
    Run("payment, refund, large", "payment", {"CLAIMS": 3, "LOSSES": 2, "REFUND": 1}, large=True),
    Run("rest: payment", "payment", {"CLAIMS": 9, "LOSSES": 2, "PATIENT": 1}),
    Run("rest: refund", "payment", {"CLAIMS": 9, "LOSSES": 2, "PATIENT": 1, "REFUND": 1}, large=True),
    Run("no cycle: payment", "payment", {"CLAIMS": 9, "LOSSES": 2, "PATIENT": 1}, kind="cycles"),
    Run("board", "board", {}), Run("board, large", "board", {"CHANGES": 4, "REWINDS": 2}, large=True), Run("no cycle: board", "board", {}, kind="cycles"),
]
ALL += [Run(f"payment: no {guard[3:].lower()}", "payment", PAYMENT | changed | {"NO": guard}, must_fail=True)
        for guard, changed in [
            ("NO_CLAIM", {}), ("NO_KEY", {}), ("NO_VOID_AGAIN", {}), ("NO_DATABASE_AGE", {}), ("NO_ASKED_MARK", {}),
            ("NO_CANCEL_WAIT", {}), ("NO_VOID_FOR_EVER", {}), ("NO_UNKNOWN_KEY", {}), ("NO_SETTLER", {"PATIENT": 1})]]
ALL += [Run(f"payment: reach {what[6:].lower()}", "payment", REFUND | {"REACH": what}, must_fail=True)
        for what in ["REACH_VOID", "REACH_REFUND", "REACH_OVERTAKEN"]]
ALL += [Run(f"board: no {guard[3:].lower()}", "board", {"NO": guard, "REWINDS": 2}, must_fail=True) for guard in [
    "NO_VERSION", "NO_COPY_AGAIN", "NO_FULL_COPY", "NO_SAME_COMMIT", "NO_PUT_FIRST", "NO_OWN_ROW",
    "NO_ONE_BY_ONE", "NO_READ_AFTER", "NO_COMPLETE_MARK", "NO_COPIER_MARK"]]
ALL += [Run(f"board: reach {what[6:].lower()}", "board", {"REACH": what}, must_fail=True)
        for what in ["REACH_COPY", "REACH_OLDER"]]
