"""The producer that a delayed message is given to: it parks it, or hands it on where it cannot be parked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from celery import Celery

from celery_pyncette.client.desk import Desk, desk_of
from celery_pyncette.clock import new_id
from celery_pyncette.core.errors import InvalidEntry, StoreError
from celery_pyncette.core.instants import Instant, instant_of
from celery_pyncette.core.policies import Policy
from celery_pyncette.core.records import Counters, Record, Token, Write
from celery_pyncette.declarations import data_of
from celery_pyncette.delay.celery_internals import moment_of, serialised
from celery_pyncette.engine.parking import (
    LONGEST_KEY,
    Message,
    NotParked,
    Parked,
    Waiting,
    key_of,
    pack,
    record_of,
    retries_of,
)
from celery_pyncette.options import OnStoreError
from celery_pyncette.rules import requested_rules
from celery_pyncette.stores.protocol import Store, Verdict
from celery_pyncette.stores.writes import change_of, write_as_editor
from celery_pyncette.time_limits import hard_limit_of

logger = logging.getLogger(__name__)

#: The option of a call that asks for a policy; it never reaches the message.
OPTION = "pyncette_policy"
#: Of a task id that a ticket can carry, in characters.
LONGEST_ID = 255

#: Arguments of a publish that mean something to the one who publishes now.
_OF_THE_MOMENT = ("retry", "retry_policy", "timeout", "confirm_timeout", "expiration", "declare", "headers")


class ParkingProducer:
    """Stands in the place of ``producer`` for one ``send_task_message``.

    :param queue: as the call named it, if it did.
    :param policy: what the call asked for; then nothing but the store will do.
    """

    def __init__(self, app: Celery, producer: Any, due_at: Instant, queue: Any, policy: Policy | None = None) -> None:
        self._app = app
        self._producer = producer
        self._due_at = due_at
        self._queue = queue
        self._policy = policy
        self._done = False

    def __getattr__(self, name: str) -> Any:
        """All else is the producer's own: Celery looks at its connection."""
        return getattr(self._producer, name)

    def publish(self, body: Any, **given: Any) -> Any:
        """Park the message; what is published after it is the event ``task-sent``.

        :raises StoreError: if the store fails, and ``pyncette_delay_on_store_error`` does not say otherwise.
        :raises InvalidEntry: for a policy that contradicts itself or the settings, or a message that cannot be parked
            under one.
        """
        if self._done:
            return self._tell(body, **given)
        self._done = True
        desk = desk_of(self._app)
        problem = self._park(desk, body, given)
        if problem is None:
            return None
        if self._policy is not None:
            raise InvalidEntry(OPTION, self._policy, f"cannot be kept: {problem}")
        headers = given["headers"]
        task, task_id = str(headers.get("task")), str(headers.get("id"))
        logger.warning(
            "not_parked: %s[%s] went to the broker with its ETA: %s",
            *(task, task_id, problem),
            extra={"task": task, "task_id": task_id, "reason": problem},
        )
        desk.runtime.observers.see(NotParked(task=task, task_id=task_id, due_at=self._due_at, reason=problem))
        return self._producer.publish(body, **given)

    def _park(self, desk: Desk, body: Any, given: dict[str, Any]) -> str | None:
        """Write the record; the reason if it is not for the store."""
        message = self._message(body, given)
        try:
            frame = pack(message)
        except (TypeError, ValueError) as error:
            return f"its headers cannot be kept: {error}"
        size, most = max(len(frame), len(message.body)), desk.settings.max_payload
        if size > most:
            return f"it has {size} bytes, more than pyncette_max_payload ({most})"
        task_id, retries = str(message.headers["id"]), retries_of(message.headers)
        key = key_of(task_id, retries)
        if len(key.encode()) > LONGEST_KEY or "\0" in key:
            return f"its task id is longer than {LONGEST_KEY} bytes"
        if self._policy is not None and (retries or len(task_id) > LONGEST_ID):
            return "a retry belongs to the run of its task" if retries else f"its id has over {LONGEST_ID} characters"
        expires = message.headers.get("expires")
        until = None if expires is None else instant_of(moment_of(self._app, expires))
        policy = None if self._policy is None else self._checked(self._policy, desk, message.headers)
        waiting = Waiting(due_at=self._due_at, expires_at=until, policy=policy)
        record = record_of(message, frame, waiting, desk.runtime.clock.now(), new_id()[:8])
        try:
            again = put(desk.store, record)
        except StoreError as error:
            if policy is not None or desk.settings.delay_on_store_error is OnStoreError.ERROR:
                raise
            return f"the store failed: {error}"
        desk.runtime.observers.see(
            Parked(
                key=record.key,
                task=record.spec.task,
                task_id=str(message.headers["id"]),
                due_at=record.due_at,
                size=len(frame),
                again=again,
            )
        )
        return None

    def _checked(self, policy: Policy, desk: Desk, headers: Mapping[str, Any]) -> Policy:
        """The policy, with the task's hard time limit, which beats do not look for."""
        name, conf = str(headers.get("task")), self._app.conf
        limit, _ = headers.get("timelimit") or (None, None)
        hard = hard_limit_of(limit, getattr(self._app.tasks.get(name), "time_limit", None), conf.task_time_limit)
        rules = requested_rules(name, desk.settings, policy, hard)
        if hard is None or not rules.aware:
            return policy
        return replace(policy, max_run=timedelta(milliseconds=rules.max_run))

    def _message(self, body: Any, given: dict[str, Any]) -> Message:
        """The finished message, without its ETA. What it is made of is left as it was."""
        sending = {name: value for name, value in given.items() if value is not None and name not in _OF_THE_MOMENT}
        headers = {**given["headers"], "eta": None}
        packed, content_type, content_encoding = serialised(self._producer, body, sending, headers)
        sending["exchange"] = getattr(sending.get("exchange"), "name", sending.get("exchange")) or ""
        sending["content_type"], sending["content_encoding"] = content_type, content_encoding
        reply_to = sending.get("reply_to")
        sending["reply_to"] = getattr(reply_to, "name", reply_to)
        declare = [data for entity in given.get("declare") or () if (data := data_of(entity)) is not None]
        return Message(
            body=packed,
            headers=headers,
            sending=sending,
            declare=tuple(declare),
            queue=self._queue_of(declare, sending),
        )

    def _queue_of(self, declare: list[dict[str, Any]], sending: dict[str, Any]) -> str:
        named = getattr(self._queue, "name", self._queue)
        declared = next((one["name"] for one in declare if one.get("kind") != "exchange"), None)
        return str(named or declared or sending.get("routing_key") or "")

    def _tell(self, body: Any, **given: Any) -> Any:
        """The message is safe already: that nobody hears of it is no reason to fail."""
        try:
            return self._producer.publish(body, **given)
        except Exception as error:  # noqa: BLE001 - transports raise what they like
            logger.warning("task_sent_untold: %s", error, extra={"error": str(error)})
            return None


def put(store: Store, record: Record) -> bool:
    """Write a parked message; whether it took the place of another one of the same task id and retry.

    The one that is parked last stays. One that was parked by this very call, whose answer was lost, is left alone.
    """
    (answer,) = store.apply([change_of(record.key, None, Write(record=record))]).written
    if answer.verdict is Verdict.APPLIED:
        return False
    replaced = False

    def decide(before: Record | None, now: Instant) -> Write | None:
        nonlocal replaced
        if before is None:
            return Write(record=record)
        if before.generation == record.generation:
            return None
        replaced = not before.removed and before.dead is None
        return Write(record=in_place_of(before, record))

    write_as_editor(store, record.key, decide)
    return replaced


def in_place_of(before: Record, record: Record) -> Record:
    """The message that is parked over another one of the same id."""
    # Tokens only grow: a beat that is sending the other one does not hold this, and cannot take it for sent.
    after = replace(record, token=Token(before.token + 1))
    if before.run is None or before.run.is_open:
        return after
    # A run that is going on ends under its own generation; then comes this one.
    return replace(after, run=before.run, lease=before.lease, counters=Counters(expected=1))
