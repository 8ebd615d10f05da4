"""The ledger of result-aware runs: every write, every message, every piece of user code, held to the promises.

It stands outside like its elder: it counts due times by its own walk, knows of user code what the code itself says,
and of a lease what the store answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from celery_pyncette.core.instants import NEVER, Instant
from celery_pyncette.core.partitions import one_shot_key, parent_of
from celery_pyncette.core.policies import CatchUp, Overlap, Rules
from celery_pyncette.core.records import Counters, Key, Lane, Record, Run, Ticket
from celery_pyncette.engine.publisher import Outgoing
from celery_pyncette.stores.protocol import Change, ClaimBatch, ClaimRequest
from tests.simulation import beat_laws, edit_laws, worker_laws
from tests.simulation.backend import SimBackend
from tests.simulation.ledger import Ledger, Violation, difference
from tests.simulation.stories import Code, Fired, Held, Story

#: A run that has not moved for this long is stuck, when nothing goes wrong any more; milliseconds.
STUCK = 120_000


@dataclass(slots=True)
class RunLedger(Ledger):
    """See the module. ``slack``: what clocks and polls may add to a bound, in milliseconds."""

    backend: SimBackend = field(default_factory=SimBackend)
    stories: dict[Fired, Story] = field(default_factory=dict)
    inflight: dict[Key, Fired] = field(default_factory=dict)
    by_ticket: dict[tuple[Key, str, Instant], Fired] = field(default_factory=dict)
    holders: dict[Key, Held] = field(default_factory=dict)
    tokens: dict[Key, int] = field(default_factory=dict)
    codes: dict[Key, list[Code]] = field(default_factory=dict)
    generations: dict[Key, set[str]] = field(default_factory=dict)
    retired: dict[Key, set[str]] = field(default_factory=dict)
    made: set[tuple[Key, int, Instant]] = field(default_factory=set)
    moved_at: dict[Key, int] = field(default_factory=dict)
    slack: int = 15_000
    refused: int = 0

    # --- claims and messages ---

    def claimed(self, request: ClaimRequest, batch: ClaimBatch) -> None:
        for record in batch.records:
            stored, run = self.current[record.key], record.run
            paused = stored.paused is not None and stored.paused.until > batch.now and stored.lease is None
            held = run is not None and run.is_open and run.generation == record.generation and not record.removed
            if paused and held:
                raise Violation(f"{record.key} was given out while it is paused")
        Ledger.claimed(self, request, batch)

    def arrived(self, owner: str, message: Outgoing) -> None:
        ticket = message.ticket
        held = self.held[owner, ticket.key]
        if message.due_at > self.latest:
            raise Violation(f"{ticket.key} was sent before it was due")
        if held.record.generation != ticket.gen or held.record.removed:
            raise Violation(f"{ticket.key} was sent for a definition that was gone at the claim")
        if held.record.paused is not None and held.record.paused.until > held.at:
            raise Violation(f"{ticket.key} was sent while paused")
        story = self.stories[self.by_ticket[ticket.key, ticket.gen, ticket.due_at]]
        self._not_vetoed(story.fired)
        story.sent += 1
        self.copies += story.sent > 1
        if story.sent > 1 and message.rules.at_most_once and message.rules.start_attempts == 1:
            raise Violation(f"{ticket.key} was sent twice at most once")
        if story.sent > 1 and not self.world.anybody_troubled(0) and not story.codes:
            raise Violation(f"{ticket.key} was sent again, and nothing had gone wrong")

    def vetoed(self, owner: str, message: Outgoing) -> None:
        ticket = message.ticket
        fired = self.by_ticket[ticket.key, ticket.gen, ticket.due_at]
        self.vetoes[fired] = self.held[owner, ticket.key].at

    # --- user code ---

    def began(self, owner: str, ticket: Ticket, retries: int, token: int | None) -> Code:
        """User code begins now."""
        now = self.world.now()
        story = self.stories[self.by_ticket[ticket.key, ticket.gen, ticket.due_at]]
        rules = self._rules_by_key(ticket.key)
        code = Code(ticket.key, owner, token, retries, now)
        held = self.holders.get(ticket.key)
        if token is not None:
            self._may_begin(ticket, held, token, now)
        story.begun[retries, story.requeued] += 1
        # A worker without the gate runs what is delivered to it again.
        once = rules.at_most_once and (rules.gated or not self.world.anybody_troubled(story.recorded_at))
        if once and story.begun[retries, story.requeued] > 1:
            raise Violation(f"{ticket.key} at {ticket.due_at}: its code started twice at most once")
        if held is not None and held.token == token:
            held.code = code
        story.began_first = now if story.began_first is None else story.began_first
        story.codes.append(code)
        self.codes.setdefault(ticket.key, []).append(code)
        self.moved_at[ticket.key] = self.world.stage.now
        return code

    def _may_begin(self, ticket: Ticket, held: Held | None, token: int, now: int) -> None:
        key = ticket.key
        if held is None or held.token != token:
            raise Violation(f"{key}: user code began with token {token}, which is not the holder's")
        if held.generation != ticket.gen:
            raise Violation(f"{key}: the code of an old definition began")
        if held.until <= now:
            raise Violation(f"{key}: user code began after its lease had ended")
        if held.code is not None:
            raise Violation(f"{key}: user code began twice with one token")

    def thrown_away(self, ticket: Ticket) -> None:
        """A worker drops a message because it has expired; with a gate only one that could not start any more."""
        story = self.stories[self.by_ticket[ticket.key, ticket.gen, ticket.due_at]]
        early = ticket.deadline is None or self.latest < ticket.deadline or bool(story.codes)
        if self._rules_by_key(ticket.key).gated and story.used_up is None and early:
            raise Violation(f"{ticket.key} was thrown away, and might still have started")

    def ended(self, code: Code, how: str) -> None:
        """User code has ended; "died" with its process."""
        code.how, code.ended_at = how, self.world.stage.now
        self.moved_at[code.key] = self.world.stage.now

    # --- writes ---

    def wrote(self, owner: str, change: Change, version: int, now: Instant) -> None:
        self.latest = max(self.latest, now)
        before, after = self.current.get(change.key), change.record
        if before is not None and before.write_id == change.write_id:
            return  # asked again, because the first answer was lost
        self.writers[change.key] = owner
        until = None if change.lease_for is None else Instant(now + change.lease_for)
        lane = (before or after or change.creates[0]).lane
        if lane is not Lane.KEEPING:
            self._judge(owner, change, before, after, until, now)
        for child in change.creates:
            self._made(child)
            self.current[child.key] = replace(child, version=1, write_id=change.write_id)
        if after is None:
            self.current.pop(change.key, None)
            return
        if until is not None and after.lease is not None:
            after = replace(after, lease=replace(after.lease, until=until))
        self.current[change.key] = replace(after, version=version, write_id=change.write_id)

    def _judge(
        self,
        owner: str,
        change: Change,
        before: Record | None,
        after: Record | None,
        until: Instant | None,
        now: Instant,
    ) -> None:
        if owner.startswith("worker"):
            worker_laws.check(self, owner, before, after, until, now)
        elif before is None:
            assert after is not None
            self._made(after)
        elif owner.startswith("beat") and (after is None or after.generation == before.generation):
            self.children = [child.due_at for child in change.creates]
            beat_laws.check(self, owner, before, after, now)
        elif edit_laws.is_parked_again(before, after):
            assert after is not None
            edit_laws.parked_again(self, before, after)
            self._made(after)
        else:
            edit_laws.check(self, owner, before, after)
            again = before.removed or before.dead is not None
            if again and after is not None and not after.removed and after.dead is None:
                self._made(after)
        if after is not None:
            self._law(after)
            self.generations.setdefault(after.key, set()).add(after.generation)
        if (None if before is None else before.run) != (None if after is None else after.run):
            self.moved_at[change.key] = self.world.stage.now

    children: list[Instant] = field(default_factory=list)

    def children_made(self, before: Record, after: Record) -> int:
        """How many occurrences an overlapping entry has handed to records of their own with this write."""
        if self.rules_of(before).overlap is not Overlap.ALLOW or before.one_shot:
            return 0
        dues = self._taken(before, after, difference(after.counters, before.counters).expected)
        fire = dues[-1] if dues else before.due_at
        if not self.children:
            return int(one_shot_key(before.key, fire, before.generation) in self.lives)
        made = (before.key, self.lives[before.key], fire)
        if self.children != [fire] or made in self.made:
            raise Violation(f"{before.key}: records are made for {self.children}, and {fire} is due")
        self.made.add(made)
        return 1

    def took(self, owner: str, before: Record, after: Record, expected: int) -> Instant:
        """Occurrences were taken up; answers the last of them."""
        added = difference(after.counters, before.counters)
        dues = self._taken(before, after, expected)
        if len(dues) != expected:
            raise Violation(f"{after.key}: {len(dues)} were due, {expected} are accounted for")
        self.skipped += added.skipped
        self._may_skip_some(before, added, expected)
        return dues[-1]

    def _taken(self, before: Record, after: Record, expected: int) -> list[Instant]:
        """The due times between two records; of one that ``max_runs`` has ended, as many as are accounted for."""
        dues = self._dues(before, min(after.due_at, Instant(self.latest + 1)))
        return dues[:expected] if after.spec.max_runs is not None and after.due_at >= NEVER else dues

    def _may_skip_some(self, before: Record, added: Counters, expected: int) -> None:
        rules = self.rules_of(before)
        if before.paused is not None or not added.skipped or before.run is not None:
            return
        if before.spec.end is not None and before.spec.end <= self.latest:
            return  # a message that had expired before a beat could send it
        if rules.catch_up is CatchUp.ALL:
            raise Violation(f"{before.key} skipped {added.skipped} under ALL")
        if rules.catch_up is CatchUp.LATEST and added.skipped >= expected:
            raise Violation(f"{before.key} skipped the latest")

    def take_up(self, after: Record, run: Run) -> None:
        """A beat has recorded a run."""
        fired = self._fired(after, run.due_at)
        story = self.stories.get(fired)
        if story is not None and story.used_up is not None:
            raise Violation(f"{after.key} at {run.due_at} was taken up after it had ended: {story.used_up}")
        if story is None:
            story = self.stories[fired] = Story(fired, self.world.stage.now)
        story.failed = 0
        self.inflight[after.key] = fired
        self.by_ticket[after.key, run.generation, run.due_at] = fired

    # --- what others ask ---

    def story_of(self, record: Record) -> Story:
        """The story of a record's run."""
        return self.stories[self.inflight[record.key]]

    def rules_of(self, record: Record) -> Rules:
        """The rules of its entry."""
        return self._rules(record)

    def _rules_by_key(self, key: Key) -> Rules:
        return self.entries[self.names[key]].rules

    def retire(self, key: Key, but: str | None) -> None:
        """An edit has returned: from now on no definition but this one may start."""
        gone = self.generations.get(key, set()) - {but}
        self.retired.setdefault(key, set()).update(gone)

    def is_retired(self, record: Record) -> bool:
        """Whether a record's definition was replaced by an edit that has returned."""
        parent = Key(parent_of(record.key)) if record.key.startswith("o:") else record.key
        return record.generation in self.retired.get(parent, ())

    # --- at the end ---

    def pending(self, since: int) -> list[str]:
        """What was due before ``since`` and has not ended."""
        waiting = []
        for record in self.current.values():
            if record.lane is Lane.KEEPING or record.paused is not None or record.dead is not None:
                continue
            if record.run is not None or (record.due_at < since and not record.removed):
                due = record.due_at if record.run is None else record.run.due_at
                if due < since:
                    waiting.append(f"{record.key}, due at {due}, {record.run}")
        return waiting

    def stuck(self) -> str | None:
        """A run that has not moved for too long."""
        for record in self.current.values():
            still = self.world.stage.now - self.moved_at.get(record.key, self.world.stage.now)
            if record.run is not None and record.paused is None and still > STUCK:
                return f"{record.key} has not moved for {still} ms: {record.run}"
        return None
