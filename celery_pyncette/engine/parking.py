"""A finished message that waits for its time: packed into a one-shot record, and back.

Headers, properties and what is to be declared are JSON, deflated against the words that every Celery message has and
against the body, which most headers repeat in part. The body itself is deflated where it is large and shrinks by it.
A frame is: format byte, length of the deflated headers in four bytes, the deflated headers, and

- in format 1 the body as it is;
- in format 2 the length of the body in four bytes, and the body, deflated.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from celery_pyncette.core.errors import CorruptRecord
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.policies import Policy, Rules
from celery_pyncette.core.records import EntrySpec, Key, Lane, Origin, Record
from celery_pyncette.core.taking import OneTime
from celery_pyncette.engine.definitions import Meaning
from celery_pyncette.engine.plain import SIGN_IN_JSON, of_plain, to_plain
from celery_pyncette.events import Event

PREFIX = "e:"
#: The longest key that a store can keep, in bytes.
LONGEST_KEY = 600
#: A message that is due earlier than this may be gone before its parking is asked for a second time, because an answer
#: was lost: it leaves a tombstone. All others leave nothing.
QUICK = 10_000
_RAW, _DEFLATED = 1, 2
_HEAD, _LENGTH = 5, 4
#: Smaller bodies stay as they are: it would take time and save little.
_LARGE = 1024
#: Larger ones, too, and no frame may claim more: what is read must not fill the memory of whoever reads it.
MOST = 64 * 1024 * 1024
#: So much of the body helps to deflate the rest; a window of zlib is 32 KiB.
_NEAR = 24_000
#: Part of the format: another text needs another format byte.
_WORDS = (
    b'"mandatory":"immediate":"expiration":"compression":"application/x-zlib","x-queue-type":"quorum",'
    b'"queue_arguments":{"exchange":{"name":"type":"topic","routing_key":"x-max-priority":10,'
    b'"periodic_task_name":"pyncette":{"ns":"celery_beat_task":true,"application/x-python-serialize","binary",'
    b'[{"lang":"py","task":"","id":"","shadow":null,"eta":null,"expires":null,"expires":"20","group":null,"group":"'
    b'","group_index":null,"retries":0,"timelimit":[null,null],"root_id":"","parent_id":null,"parent_id":"'
    b'","argsrepr":"()","kwargsrepr":"{}","origin":"gen1@","ignore_result":true,"ignore_result":false,'
    b'"replaced_task_nesting":0,"stamped_headers":null,"stamps":{}},{"routing_key":"celery","exchange":"",'
    b'"delivery_mode":2,"correlation_id":"","reply_to":"","priority":0,"content_type":"application/json",'
    b'"content_encoding":"utf-8"},[{"name":"celery"}],"celery"]'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a producer publishes.

    ``sending`` holds every other argument of the publish: exchange, routing key, content type and encoding, priority,
    delivery mode, correlation id, ...; ``declare`` the entities, as ``declarations`` has them; ``queue`` is for people.
    """

    body: bytes
    headers: Mapping[str, Any]
    sending: Mapping[str, Any]
    declare: tuple[Mapping[str, Any], ...] = ()
    queue: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked(Event):
    """A message waits in the store; ``again``: another one of the same task id and retry was replaced by it."""

    key: str
    task: str
    task_id: str
    due_at: Instant
    size: int
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NotParked(Event):
    """A message that should wait in the store went to the broker with its ETA; ``reason`` says why."""

    task: str
    task_id: str
    due_at: Instant
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """When a message is to be sent, and until when it may be; ``policy``: what its caller asked for, if anything."""

    due_at: Instant
    expires_at: Instant | None = None
    policy: Policy | None = None


def key_of(task_id: str, retries: int) -> Key:
    """The key of a parked message: each retry of a task is another one."""
    return Key(f"{PREFIX}{task_id}:{retries}")


def retries_of(headers: Mapping[str, Any]) -> int:
    """Which retry a message is; what a task of a followed run is replaced by counts as the next, and begins at 0."""
    ticket = headers.get("pyncette")
    replaced = ticket.get("replaced") if isinstance(ticket, Mapping) else None
    return int(headers.get("retries") or 0) + int(replaced or 0)


def identity(key: str) -> tuple[str, int]:
    """Task id and retries of such a key. :raises ValueError: for any other."""
    task_id, _, retries = key[len(PREFIX) :].rpartition(":")
    return task_id, int(retries)


def pack(message: Message) -> bytes:
    """The message as bytes. :raises TypeError, ValueError: if a header or property is neither JSON nor a known type."""
    told = [dict(message.headers), dict(message.sending), [dict(one) for one in message.declare], message.queue]
    text = json.dumps(to_plain(told), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    told_short = _deflated(text, 9, _near(message.body))
    form, body = _packed(message.body)
    return bytes([form]) + len(told_short).to_bytes(4, "big") + told_short + body


def unpack(frame: bytes) -> Message:
    """The message of such bytes. :raises ValueError: if they are none."""
    if len(frame) < _HEAD or frame[0] not in (_RAW, _DEFLATED):
        raise ValueError("it is not a parked message of a format that this release knows")
    ends = _HEAD + int.from_bytes(frame[1:_HEAD], "big")
    body = frame[ends:] if frame[0] == _RAW else _unpacked(frame[ends:])
    inflate = zlib.decompressobj(-15, _near(body))
    try:
        text = inflate.decompress(frame[_HEAD:ends], MOST)
        told = json.loads(text)
        headers, sending, declare, queue = of_plain(told) if SIGN_IN_JSON in text else told
        well_formed = isinstance(declare, list) and all(isinstance(one, dict) for one in (headers, sending, *declare))
    except (zlib.error, ArithmeticError, AttributeError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"its headers cannot be read: {error}") from error
    if not well_formed or not isinstance(queue, str):
        raise ValueError("its headers cannot be read: they are not of the form that they had")
    return Message(body=body, headers=headers, sending=sending, declare=tuple(declare), queue=queue)


def _packed(body: bytes) -> tuple[int, bytes]:
    """The format of a frame with this body, and what stands in its place."""
    if _LARGE < len(body) <= MOST:
        short = len(body).to_bytes(_LENGTH, "big") + _deflated(body, 6)
        if len(short) < len(body):
            return _DEFLATED, short
    return _RAW, body


def _unpacked(short: bytes) -> bytes:
    length = int.from_bytes(short[:_LENGTH], "big")
    if length > MOST:
        raise ValueError(f"its body would have {length} bytes, more than {MOST}")
    inflate = zlib.decompressobj(-15)
    try:
        body = inflate.decompress(short[_LENGTH:], length + 1)
    except zlib.error as error:
        raise ValueError(f"its body cannot be read: {error}") from error
    if len(body) != length or not inflate.eof or inflate.unused_data:
        raise ValueError(f"its body has not the {length} bytes that it had")
    return body


def _deflated(text: bytes, level: int, near: bytes = b"") -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, near)
    return deflate.compress(text) + deflate.flush()


def _near(body: bytes) -> bytes:
    return body[:_NEAR] + _WORDS


def record_of(message: Message, frame: bytes, waiting: Waiting, now: Instant, generation: str) -> Record:
    """The record of a message. It has no name, no schedule and no history: there may be millions of them."""
    spec = EntrySpec(
        name="",
        task=str(message.headers["task"]),
        origin=Origin.DELAYED,
        end=waiting.expires_at,
        policy=waiting.policy,
    )
    return Record(
        key=key_of(str(message.headers["id"]), retries_of(message.headers)),
        lane=Lane.DELAYED,
        generation=generation,
        spec=spec,
        created_at=now if waiting.due_at - now < QUICK else Instant(0),
        due_at=waiting.due_at,
        body=frame,
    )


def meaning_of(record: Record, rules: Rules) -> Meaning:
    """What a beat does with a parked message: send it once, unless it has expired, or as its caller asked for.

    :raises CorruptRecord: if it holds no message, or one that only beats of a newer release can send.
    """
    if record.body is None and not record.removed:
        raise CorruptRecord(record.key, "it holds no message")
    over = record.removed or record.dead is not None
    if record.body and record.body[0] > _DEFLATED and not over:
        said = f"its message's format {record.body[0]} is newer than this release reads ({_DEFLATED}); upgrade it"
        raise CorruptRecord(record.key, said)
    if record.spec.end is not None:
        rules = replace(rules, expires_at=record.spec.end)
    return Meaning(spec=record.spec, times=OneTime(record.due_at), rules=rules, timing=record.timing)
