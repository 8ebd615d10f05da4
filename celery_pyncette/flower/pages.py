"""The pages. Templates escape what they show; all that they are given comes from ``listing`` and ``rows``."""

from __future__ import annotations

from typing import Any

from tornado import web

import celery_pyncette
from celery_pyncette.core.errors import PyncetteError
from celery_pyncette.core.instants import instant_of
from celery_pyncette.flower import listing
from celery_pyncette.flower.asking import ask, refusal
from celery_pyncette.flower.flower_internals import BaseHandler, knows
from celery_pyncette.flower.listing import Living
from celery_pyncette.flower.rows import OUTCOME_TONES, full, lag_ms, ran_ms, row_of
from celery_pyncette.flower.views import TITLES, View, Wish, wish_of
from celery_pyncette.states import facts
from celery_pyncette.task_state import TaskState
from celery_pyncette.words import brief

#: Said already at the head of an entry's page.
_AT_THE_HEAD = {"name", "task", "state"}


class Page(BaseHandler):  # type: ignore[misc]
    """What pages of ours share."""

    def wish(self) -> Wish:
        """What the address asks for."""
        names = ("view", "search", "task", "cursor", "size")
        given = {name: self.get_argument(name, "", strip=False, escape=False) for name in names}
        return wish_of(given)

    @property
    def may_act(self) -> bool:
        """Whether Flower's API would let the buttons do anything."""
        options = self.application.options
        return not options.read_only and bool(options.basic_auth or options.auth or self.unauthenticated_api)

    def show(self, template: str, **values: Any) -> None:
        """Render a template of ours."""
        here = {"version": celery_pyncette.__version__, "may_act": self.may_act, "brief": brief, "knows": self.knows}
        self.render(template, **here, **values)

    def knows(self, task_id: str | None) -> bool:
        """Whether Flower has a page about a task."""
        return knows(self.application, task_id)

    async def listing(self, wish: Wish) -> tuple[listing.Listing, str]:
        """A page of rows, or none and what is wrong."""
        try:
            return await ask(listing.listed, self.capp, wish, self.shown), ""
        except PyncetteError as error:
            return listing.Listing(), str(error)

    async def living(self) -> Living | None:
        """Who lives; None if the store does not say."""
        try:
            return await ask(listing.living, self.capp)
        except PyncetteError:
            return None

    def shown(self, task: Any) -> Any:
        """A task as Flower's ``format_task`` lets it be seen."""
        return self.format_task(task)


class Schedules(Page):
    """The list, as a whole page."""

    @web.authenticated
    async def get(self) -> None:
        wish = self.wish()
        rows, problem = await self.listing(wish)
        living = None if problem else await self.living()
        refresh = bool(self.application.options.auto_refresh)
        self.show(
            "pyncette_schedules.html",
            wish=wish,
            rows=rows,
            problem=problem,
            living=living,
            titles=TITLES,
            refresh=refresh,
        )


class Rows(Page):
    """The rows of the list alone: what the page fetches while it is open."""

    @web.authenticated
    async def get(self) -> None:
        wish = self.wish()
        rows, problem = await self.listing(wish)
        self.set_header("Cache-Control", "no-store")
        self.show("pyncette_rows.html", wish=wish, rows=rows, problem=problem)


class Entry(Page):
    """One entry; or both, if a static and a dynamic one have the name."""

    @web.authenticated
    async def get(self) -> None:
        name = self.get_argument("name", "", strip=False, escape=False)
        origin = self.get_argument("origin", "", escape=False) or None
        try:
            found = await ask(listing.entries_of, self.capp, name, origin)
        except PyncetteError as error:
            raise refusal(error) from error
        zone = self.capp.timezone
        self.show(
            "pyncette_entry.html",
            found=[(state, row_of(state, zone), self._facts(state)) for state in found],
            tones=OUTCOME_TONES,
            lag=lag_ms,
            ran=ran_ms,
            when=lambda at: "" if at is None else full(at, zone),
            instant=instant_of,
            View=View,
        )

    def _facts(self, state: TaskState) -> list[tuple[str, str]]:
        return [(name, text) for name, text in facts(state) if name not in _AT_THE_HEAD]
