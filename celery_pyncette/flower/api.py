"""The JSON API, beside Flower's and under its rules: who may call it, XSRF, and ``read_only``.

Entries and messages are documents of ``states``, as the command line's verbs write them with ``--json``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kombu.exceptions import OperationalError
from tornado import web

from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.flower import actions, listing
from celery_pyncette.flower.asking import ask, refusal
from celery_pyncette.flower.flower_internals import BaseApiHandler
from celery_pyncette.flower.views import SIZE, View, Wish, wish_of
from celery_pyncette.states import delayed_document, document

_LONGEST_PAUSE = 10 * 366 * 86_400


class Api(BaseApiHandler):  # type: ignore[misc]
    """What handlers of ours share."""

    def given(self, name: str) -> str | None:
        """A parameter of the query or of a form, as it was sent; None for one that is empty or not there."""
        value: str | None = self.get_argument(name, None, strip=False, escape=False)
        return value or None

    def needed(self, name: str) -> str:
        """A parameter that must be there."""
        value = self.given(name)
        if value is None:
            raise web.HTTPError(400, f"Missing argument {name}")
        return value

    async def done(self, call: Callable[..., Any], *args: Any) -> Any:
        """What a call answers; its errors as HTTP says them."""
        try:
            return await ask(call, self.capp, *args)
        except PyncetteError as error:
            raise refusal(error) from error
        except OperationalError as error:
            raise web.HTTPError(503, f"the broker cannot be reached: {error}") from error

    def wish(self, view: View) -> Wish:
        """Which page of a listing is asked for."""
        names = ("search", "task", "cursor", "size")
        given = {name: self.get_argument(name, "", strip=False, escape=False) for name in names}
        return wish_of({**given, "view": view.value, "size": given["size"] or str(SIZE)})


class ListEntries(Api):
    """``GET /api/schedules``: entries, by ``view`` (all, running, paused, dead), ``origin``, ``task``, ``search``.

    ``size`` at a time, 200 at most. Go on with ``cursor`` until it is null; a page may be short, even empty, before.
    """

    @web.authenticated
    async def get(self) -> None:
        view = self.given("view") or View.ALL.value
        if view not in {each.value for each in View} - {View.PARKED.value}:
            raise web.HTTPError(400, f"view: {view!r} must be one of all, running, paused, dead")
        page = await self.done(listing.entries, self.wish(View(view)), self.given("origin"))
        entries = [document(state) for state in page.tasks]
        self.write({"entries": entries, "cursor": page.cursor, "unreadable": list(page.unreadable)})


class GetEntry(Api):
    """``GET /api/schedules/entry``: one entry, by ``name``, and by ``origin`` if there are two."""

    @web.authenticated
    async def get(self) -> None:
        self.write(document(await self.done(listing.entry, self.needed("name"), self.given("origin"))))


class Action(Api):
    """``POST``, by ``name`` and, if there are two of the name, ``origin``; answers the entry as it is then."""

    @web.authenticated
    async def post(self) -> None:
        if self.application.options.read_only:
            raise web.HTTPError(403, "Read only mode is enabled")
        await self.act()

    async def act(self) -> None:
        """Do it, and answer."""
        raise NotImplementedError

    async def on_entry(self, call: Callable[..., Any], *more: Any) -> None:
        """Do something about the entry that is named."""
        state = await self.done(call, self.needed("name"), self.given("origin"), *more)
        self.write(document(state))


class Pause(Action):
    """``POST /api/schedules/pause``; ``note``, ``seconds`` (else until resumed), ``missed`` skip, latest or all."""

    async def act(self) -> None:
        await self.on_entry(actions.pause, self.given("note") or "", self._seconds(), self.given("missed"))

    def _seconds(self) -> float | None:
        text = self.given("seconds")
        if text is None:
            return None
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= _LONGEST_PAUSE:
            raise web.HTTPError(400, f"seconds: {text!r} must be a number above 0")
        return seconds


class Resume(Action):
    """``POST /api/schedules/resume``; ``missed`` skip, latest or all."""

    async def act(self) -> None:
        await self.on_entry(actions.resume, self.given("missed"))


class Run(Action):
    """``POST /api/schedules/run``: one more run, at once."""

    async def act(self) -> None:
        await self.on_entry(actions.run)


class Remove(Action):
    """``POST /api/schedules/remove``: a dynamic entry goes; answers what it was."""

    async def act(self) -> None:
        await self.on_entry(actions.remove)


class ListDelayed(Api):
    """``GET /api/delayed``: parked messages; ``search`` a task id, or ``task:`` or ``queue:`` and a name."""

    @web.authenticated
    async def get(self) -> None:
        page = await self.done(listing.messages, self.wish(View.PARKED))
        messages = [self.document(state) for state in page.messages]
        self.write({"messages": messages, "cursor": page.cursor, "unreadable": list(page.unreadable)})

    def document(self, state: Any) -> dict[str, Any]:
        """A message, its arguments as Flower's ``format_task`` lets them be seen."""
        seen = self.format_task(listing.task_of(state))
        return {**delayed_document(state), "args": str(seen.args or ""), "kwargs": str(seen.kwargs or "")}


class Cancel(Action):
    """``POST /api/delayed/cancel``: a parked message, by ``task_id``; answers what it was, without its arguments.

    409: a beat or a worker had it already, and it may run. 503: also if it is out of the store, and the result backend
    or the workers could not be told.
    """

    async def act(self) -> None:
        state = await self.done(actions.cancel, self.needed("task_id"))
        said = delayed_document(state)
        self.write({name: value for name, value in said.items() if name not in ("args", "kwargs")})
