"""Reigns that end without an election: leadership handed over by command, and epochs whose counter
ends. Members of ours only, and what becomes of it beside one of Apache's."""

import subprocess
import time

import wire
from ensemble.members import SILENCE, until
from ensemble.session import Session, set_body

# Epochs end so soon that a few pass under load.
SHORT_EPOCH = 1500


def hand_over(member, to=None):
    """The operator's command on `member`; whether it worked, and what was said."""
    command = [member.implementation.command[0], "handover"]
    command += ["--to", str(to)] if to is not None else []
    done = subprocess.run(command + [member.data], capture_output=True, text=True, timeout=90)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def connections(load):
    """How often each session of the load has connected so far."""
    return {s: s.moves for worker in load.workers for s in worker.sessions()}


def same_connections(load, before):
    """No session that still lives has connected again."""
    for session, moves in before.items():
        if not session.closed and session.moves != moves:
            raise AssertionError("%s had to connect again" % session.name)


class Stopwatch:
    """Writes one after the other through one member, and notes the longest time without an
    answer."""

    def __init__(self, member):
        self.session = Session([member.port])
        self.path = "/watch%d" % member.sid
        self.session.ensure(self.path)
        self.times = []

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.session.result(self.session.send(wire.SET_DATA, set_body(self.path, b"x")))
            self.times.append(time.monotonic())

    def longest(self):
        """ms, and when it began."""
        pairs = zip(self.times, self.times[1:])
        gap, began = max((b - a, a) for a, b in pairs)
        return gap * 1000, began


class Reigns:
    """Cases for `drills.Drills`, which brings `loaded`, `ensemble` and `long`."""

    def handed_over(self):
        """Round by command under load: no client loses its connection, nothing is lost."""
        gaps = []
        with self.loaded(observer=True) as (ensemble, load):
            for turn in range(20 if self.long else 3):
                leader = ensemble.settle()
                heir = ensemble.followers()[turn % 2]
                load.goes_on()
                before = connections(load)
                load.clear_gap()
                worked, said = hand_over(leader, heir.sid if turn else None)
                assert worked, said
                load.goes_on()
                gaps.append(round(load.clear_gap() * 1000))
                now = ensemble.settle()
                assert now is not leader and (now is heir or not turn), now.sid
                same_connections(load, before)
        return "without a write for %s ms; %s" % (gaps, self.note)

    def handover_refused(self):
        """Each with its reason, and nothing changes."""
        with self.loaded() as (ensemble, load):
            leader = ensemble.settle()
            follower = ensemble.followers()[0]
            before = connections(load)
            for member, to, why in (
                (leader, leader.sid, "leads already"),
                (leader, 9, "not connected"),
                (follower, None, "server %d leads" % leader.sid),
            ):
                worked, said = hand_over(member, to)
                assert not worked and why in said, said
            load.goes_on()
            same_connections(load, before)
            assert ensemble.settle() is leader
        return self.note

    def heir_dies(self):
        """The server that is to lead is killed around the handover."""
        with self.loaded() as (ensemble, load):
            for turn in range(10 if self.long else 2):
                leader = ensemble.settle()
                heir = ensemble.followers()[0]
                load.goes_on()
                asked = subprocess.Popen(
                    [leader.implementation.command[0], "handover", "--to", str(heir.sid), leader.data],
                    stdout=subprocess.DEVNULL,
                )
                time.sleep(0.002 * turn)
                heir.kill()
                asked.wait(90)
                load.goes_on()
                heir.start()
                ensemble.settle()
        return self.note

    def epochs_pass(self):
        """The counter of the zxid ends again and again: the same leader goes on in the next epoch,
        and no client connects again."""
        options = {"properties": ["zookeeper.testingonly.initialZxid=%d" % (0xFFFFFFFF - SHORT_EPOCH)]}
        with self.loaded(options=options, observer=True) as (ensemble, load):
            leader = ensemble.settle()
            before, first = connections(load), leader.zxid >> 32
            load.clear_gap()
            rolls = 10 if self.long else 2

            def rolled():
                return leader.zxid >> 32 >= first + rolls or load.wrong

            until("%d more epochs" % rolls, rolled, 180, 0.1)
            load.fail_early()
            gap = load.clear_gap()
            same_connections(load, before)
            assert ensemble.settle() is leader, "another leader"
        for path, (_, stat, _) in load.nodes.items():
            for name in ("czxid", "mzxid", "pzxid"):
                low = stat[name] & 0xFFFFFFFF
                assert stat[name] <= 0 or low not in (0, 0xFFFFFFFF), (path, stat)
        return "without a write for %d ms; %s" % (gap * 1000, self.note)

    def linear_syncs(self):
        """With `linearizableSync` also a leader that is cut off answers no sync that misses
        something: nobody is suspected here."""
        with self.loaded(options={"config": {"linearizableSync": "true"}}) as (ensemble, load):
            for _ in range(5 if self.long else 1):
                leader = ensemble.settle()
                others = [m.sid for m in ensemble if m is not leader]
                ensemble.net.hold(ensemble.both([leader.sid], others))
                ensemble.settle(others)
                load.goes_on(100)
                until("the old leader has stepped down", lambda: leader.mode is None, SILENCE * 4)
                ensemble.net.heal()
                ensemble.settle()
                load.goes_on()
        return self.note

    def epoch_ends_beside_apache(self):
        """With one member of Apache's an election must begin the next epoch, as among theirs."""
        names = self.names
        self.names = [names[0], "apache", names[2]]
        options = {"properties": ["zookeeper.testingonly.initialZxid=%d" % (0xFFFFFFFF - SHORT_EPOCH)]}
        try:
            with self.loaded(options=options) as (ensemble, load):
                leader = ensemble.settle()
                first = leader.zxid >> 32

                def next_epoch():
                    epochs = [m.zxid for m in ensemble if m.mode == "leader"]
                    return (epochs and epochs[0] is not None and epochs[0] >> 32 > first) or load.wrong

                until("another epoch", next_epoch, 120, 0.2)
                load.fail_early()
                ours = not leader.implementation.apache
                assert not ours or b"not all servers are Zabra" in open(leader.log, "rb").read()
        finally:
            self.names = names
        return self.note

    def handover_beside_apache(self):
        """A follower of Apache's finds the next leader by itself; it cannot be told to lead."""
        names = self.names
        self.names = [names[0], "apache", names[2]]
        try:
            with self.ensemble() as ensemble:
                ensemble.start(3)
                worked, said = hand_over(ensemble[3], 2)
                assert not worked and "not Zabra" in said, said
                watch = Stopwatch(ensemble[1])
                before = watch.session.moves
                worked, said = hand_over(ensemble[3])
                assert worked, said
                watch.run(1.0)
                assert watch.session.moves == before, "a client of ours had to connect again"
                watch.session.close()
                assert ensemble.settle() is ensemble[1], "1 does not lead"
                ensemble.same_trees()
        finally:
            self.names = names

    def handover_gap(self):
        """How long nobody's write is answered, without relays and with the default tick."""
        import threading

        rows = []
        with self.ensemble(relayed=False, config={"tickTime": "2000"}) as ensemble:
            ensemble.start()
            for turn in range(20 if self.long else 5):
                leader = ensemble.settle()
                watches = [Stopwatch(m) for m in ensemble]
                threads = [threading.Thread(target=w.run, args=(0.6,)) for w in watches]
                for t in threads:
                    t.start()
                time.sleep(0.2)
                worked, said = hand_over(leader)
                assert worked, said
                for t in threads:
                    t.join()
                rows.append([round(w.longest()[0], 1) for w in watches])
                for w in watches:
                    assert w.session.moves == 1, "a client had to connect again"
                    w.session.close()
        worst = max(max(row) for row in rows)
        assert worst < 2000, "without an answer for %d ms" % worst
        return "longest gaps in ms, through each member: %s" % rows
