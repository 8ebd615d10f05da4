"""The request of a message in the worker's main process: nonce, keeper, and the endings that a child cannot tell."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from billiard.exceptions import Terminated
from celery.worker.request import Request

from celery_pyncette.clock import new_id
from celery_pyncette.core.errors import ConfigurationError
from celery_pyncette.core.records import Ticket
from celery_pyncette.core.starts import Delivery
from celery_pyncette.engine.holding import Labels
from celery_pyncette.engine.keeper import Keeper
from celery_pyncette.engine.reporting import Ending
from celery_pyncette.middleware.skipping import Skip
from celery_pyncette.worker.celery_internals import REDEFINED, cause, stop_child
from celery_pyncette.worker.endings import ABANDONED, FAILED, REVOKED, REVOKED_UNSTARTED, ending_in_main
from celery_pyncette.worker.gate import Refused, StoreDown, delivery_of
from celery_pyncette.worker.office import office_of
from celery_pyncette.worker.tickets import NONCE, labels_of, ticket_of

logger = logging.getLogger(__name__)


class GateMixin:
    """Over a task's own ``Request``; a message without a ticket costs one look into its headers."""

    pyncette: tuple[Delivery, Labels] | None = None
    pyncette_pool: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in REDEFINED:
            own = cls.__dict__.get(name)
            if own is not None:
                setattr(cls, name, _WRAPPERS[name](own))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        this: Any = self
        ticket = ticket_of(this.request_dict, this.id)
        if isinstance(ticket, Ticket):
            nonce = this.delivery_info[NONCE] = new_id()
            self.pyncette = (
                delivery_of(ticket, this.request_dict, nonce),
                labels_of(this.request_dict, this.request_dict["task"]),
            )

    @property
    def _pyncette_keeper(self) -> Keeper | None:
        this: Any = self
        try:
            return office_of(this.app).keeper
        except ConfigurationError:
            return None  # the gate has said so

    def on_accepted(self, pid: int, time_accepted: float) -> Any:
        """The pool runs it: from its START on its lease is kept alive."""
        answer = super().on_accepted(pid, time_accepted)  # type: ignore[misc]
        if self.pyncette is not None and (keeper := self._pyncette_keeper) is not None:
            keeper.watch(*self.pyncette, stop=self._pyncette_stop)
        return answer

    def _pyncette_stop(self) -> None:
        """Stop the user code; called by the keeper's thread."""
        this: Any = self
        if not stop_child(self.pyncette_pool, this.worker_pid):
            logger.warning("not_terminated: %s: this pool can stop no task; it goes on without its lease", this)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """It raised, or was lost."""
        error = cause(exc_info)
        if isinstance(error, (Refused, StoreDown, Skip)):  # Celery is silent, and monitors would show it as started
            this: Any = self
            this.send_event("task-revoked", terminated=False, signum=None, expired=False)
        if self.pyncette is not None:
            ending = ending_in_main(error, self, return_ok=return_ok)
            # Of what was stopped, ``_announce_revoked`` is told next, and asks the keeper who has stopped it.
            if ending is not None or not isinstance(error, Terminated):
                self._pyncette_over(ending)
        return super().on_failure(exc_info, send_failed_event, return_ok)  # type: ignore[misc]

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        """It has passed a time limit; at the hard one it is over."""
        if not soft:
            self._pyncette_over(FAILED)
        return super().on_timeout(soft, timeout)  # type: ignore[misc]

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> Any:
        """It was revoked before or while it ran, or its message has expired, which a beat sees by itself."""
        if self.pyncette is not None and (keeper := self._pyncette_keeper) is not None:
            this: Any = self
            stopped = keeper.lost(self.pyncette[0].nonce)
            if stopped:
                self._pyncette_over(ABANDONED)
            elif not expired:
                self._pyncette_over(REVOKED if this.time_start else REVOKED_UNSTARTED)
        return super()._announce_revoked(reason, terminated, signum, expired)  # type: ignore[misc]

    def _pyncette_over(self, ending: Ending | None) -> None:
        if self.pyncette is None or (keeper := self._pyncette_keeper) is None:
            return
        delivery, labels = self.pyncette
        keeper.ended(delivery.nonce)
        if ending is not None:
            keeper.owe(delivery, labels, ending)


def _wrap_execute(own: Callable[..., Any]) -> Callable[..., Any]:
    def execute_using_pool(self: GateMixin, pool: Any, **kwargs: Any) -> Any:
        self.pyncette_pool = pool
        return own(self, pool, **kwargs)

    return execute_using_pool


def _wrap_success(own: Callable[..., Any]) -> Callable[..., Any]:
    def on_success(self: GateMixin, result: Any, **kwargs: Any) -> Any:
        # What has failed is told to on_failure by the original; a result with neither is a greenlet that was killed.
        failed = isinstance(result, tuple) and bool(result[0])
        if not failed:
            self._pyncette_over(None)
        return own(self, result, **kwargs)

    return on_success


_WRAPPERS = {"execute_using_pool": _wrap_execute, "on_success": _wrap_success}


class GatedRequest(GateMixin, Request):  # type: ignore[misc]
    """Celery's request with our mixin."""


def gated(base: type) -> type:
    """A task's own request class with our mixin."""
    return base if issubclass(base, GateMixin) else type(f"Gated{base.__name__}", (GateMixin, base), {})
