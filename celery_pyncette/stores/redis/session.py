"""One exchange with the server: errors become ours, scripts that it lost are sent again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from celery_pyncette.stores.redis.commands import Command
from celery_pyncette.stores.redis.link import Link
from celery_pyncette.stores.redis.refusals import roles_changed, translate
from celery_pyncette.stores.redis.scripts import spelled_out


class Session:
    """What store and scan talk through; ``store`` is the masked URL for messages."""

    def __init__(self, link: Link, store: str) -> None:
        self._link = link
        self._store = store

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers in order, one round trip.

        :raises StoreError: if one of them failed; others may have been carried out.
        """
        try:
            answers = self._link.send(commands)
            lost = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if lost:
                again = self._link.send([spelled_out(commands[i]) for i in lost])
                for i, answer in zip(lost, again, strict=True):
                    answers[i] = answer
        except (RedisError, OSError) as error:
            raise translate(error, self._store) from error
        return self._checked(answers)

    def each_server(self, *command: Any) -> list[Any]:
        """The answers of every master. :raises StoreError: if one failed."""
        try:
            answers = self._link.each_server(*command)
        except (RedisError, OSError) as error:
            raise translate(error, self._store) from error
        return self._checked(answers)

    def _checked(self, answers: list[Any]) -> list[Any]:
        for answer in answers:
            if isinstance(answer, Exception):
                if roles_changed(answer):
                    self._link.close()  # the next call looks for the master anew
                raise translate(answer, self._store) from answer
        return answers

    def close(self) -> None:
        self._link.close()
