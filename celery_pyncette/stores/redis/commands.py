"""Commands to one server, through a client of the driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import exceptions

LOST = (exceptions.ConnectionError, exceptions.TimeoutError)


@dataclass(frozen=True, slots=True)
class Command:
    """One command; ``route`` is a key of the slot that it belongs to."""

    route: str
    arguments: Sequence[Any]


def pipelined(client: Any, commands: Sequence[Command]) -> list[Any]:
    """The answers of one server in order; an error of one command is its answer.

    :raises redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: the connection is lost.
    """
    if len(commands) == 1:
        try:
            return [client.execute_command(*commands[0].arguments)]
        except LOST:
            raise
        except exceptions.RedisError as error:
            return [error]
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command.arguments)
    answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers


def let_go(client: Any) -> None:
    """Close the idle connections, past the pool's lock; one in use is closed when its user drops it."""
    for connection in list(getattr(client.connection_pool, "_available_connections", ())):
        connection.disconnect()
