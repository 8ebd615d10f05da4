"""What a Django project does with ``django://default``; a process of its own, because Django is configured once.

``python -m tests.django_store.script ENGINE NAME USER HOST PORT DIRECTORY``
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import django
import pytest
from celery import Celery
from celery.bin.base import CLIContext
from click.testing import CliRunner
from django.conf import settings

ENGINE, NAME, USER, HOST, PORT, DIRECTORY = sys.argv[1:7]
settings.configure(
    DATABASES={
        "default": {"ENGINE": ENGINE, "NAME": NAME, "USER": USER, "HOST": HOST, "PORT": PORT},
        "other": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{DIRECTORY}/other.sqlite3"},
        "absent": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{DIRECTORY}/absent.sqlite3"},
    },
    USE_TZ=True,
)
django.setup()

from django.db import connection, connections, transaction  # noqa: E402

from celery_pyncette import (  # noqa: E402
    InvalidEntry,
    PyncetteError,
    WrongDatabase,
    after_commit,
    get_task,
    list_tasks,
    pause_task,
    resume_task,
    run_task_now,
    schedule_task,
    unschedule_task,
)
from celery_pyncette.cli import pyncette  # noqa: E402
from celery_pyncette.runtime import Runtime  # noqa: E402
from celery_pyncette.stores.protocol import Founding, wake_ups_of  # noqa: E402
from celery_pyncette.stores.sql.store import SqlStore  # noqa: E402

app = Celery("shop", broker="memory://", set_as_current=False)
app.conf.update(pyncette_store_url="django://default")


class Undo(Exception):
    """Rolls back."""


def schedule(name: str, **more: object):
    return schedule_task("t", name, args=["ü😀%s%"], interval=60, app=app, **more)


def rolled_back() -> contextlib.AbstractContextManager[object]:
    stack = contextlib.ExitStack()
    stack.enter_context(contextlib.suppress(Undo))
    stack.enter_context(transaction.atomic())
    return stack


def a_rollback_leaves_nothing() -> None:
    with rolled_back():
        schedule("gone")
        assert get_task("gone", app=app) is not None, "within the transaction it is there"
        raise Undo
    assert get_task("gone", app=app) is None


def a_commit_makes_it_so_and_what_follows_in_the_transaction_sees_it() -> None:
    with transaction.atomic():
        first = schedule("kept")
        assert schedule("kept").version == first.version
        pause_task("kept", "not yet", app=app)
        resume_task("kept", app=app)
        run_task_now("kept", app=app)
        assert [task.name for task in list_tasks(app=app).tasks] == ["kept"]
    state = get_task("kept", app=app)
    assert state.generation == first.generation
    assert list(state.spec.args) == ["ü😀%s%"]
    with rolled_back():
        schedule_task("u", "kept", interval=60, app=app)
        assert unschedule_task("kept", app=app)
        raise Undo
    assert get_task("kept", app=app).task == "t"
    with transaction.atomic():
        schedule_task("u", "kept", interval=60, app=app)
    assert get_task("kept", app=app).task == "u"
    assert unschedule_task("kept", app=app)


def reading_locks_nothing_and_a_change_by_somebody_else_is_seen() -> None:
    ours = schedule("shared")
    beat = Runtime(app).open_store()
    assert isinstance(beat.store, SqlStore), "beats and workers stay out of the caller's transaction"
    with transaction.atomic():
        assert schedule("shared").version == ours.version
        assert get_task("shared", app=app).version == ours.version
        if ENGINE.endswith("postgresql"):
            other = threading.Thread(target=partial(pause_task, "shared", "by another one", app=app))
            other.start()
            other.join(5)
            assert not other.is_alive(), "it waits for a lock"
        schedule_task("u", "shared", interval=60, app=app)
    assert get_task("shared", app=app).task == "u"
    assert unschedule_task("shared", app=app)


def a_savepoint_takes_its_own_part_back() -> None:
    with transaction.atomic():
        schedule("outer")
        with rolled_back():
            schedule("inner")
            raise Undo
    assert get_task("outer", app=app) is not None
    assert get_task("inner", app=app) is None


def a_connection_may_be_given_and_another_database_is_told() -> None:
    with transaction.atomic():
        schedule("given", connection=connection)
    assert get_task("given", app=app) is not None
    refused(InvalidEntry, "has no transaction", lambda: schedule("x", connection=connection))
    with transaction.atomic(using="other"):
        refused(WrongDatabase, "no table", lambda: schedule("x", connection=connections["other"]))


def a_wake_up_is_heard_after_the_commit() -> None:
    wake_ups = wake_ups_of(Runtime(app).open_store())
    if wake_ups is None:
        return
    with contextlib.closing(wake_ups.listen()) as ear:
        with transaction.atomic():
            schedule_task("t", "soon", execute_at=datetime.now(timezone.utc), app=app)
            assert not ear.wait(0.2)
        assert ear.wait(5)


def a_call_waits_for_the_commit() -> None:
    done = []
    with rolled_back():
        after_commit("default", partial(done.append, "lost"))
        raise Undo
    with transaction.atomic():
        after_commit(connection, partial(done.append, "kept"))
        assert done == []
    assert done == ["kept"]


def each_call_is_made_and_the_first_error_is_raised_after_all() -> None:
    done = []

    def fail(error: type[Exception]) -> None:
        raise error

    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        after_commit("default", partial(fail, ZeroDivisionError))
        after_commit("default", partial(done.append, "second"))
        after_commit("default", partial(fail, KeyError))
        with rolled_back():
            after_commit("default", partial(done.append, "lost"))
            raise Undo
        after_commit("default", partial(done.append, "last"))
        done.append("committing")
    assert done == ["committing", "second", "last"]
    refused(ZeroDivisionError, "", lambda: after_commit("default", partial(fail, ZeroDivisionError)))
    with transaction.atomic():
        after_commit("default", partial(fail, KeyError))
        with rolled_back():
            after_commit("default", partial(done.append, "lost"))
            raise Undo
        transaction.set_rollback(True)
    with transaction.atomic():
        after_commit("default", partial(done.append, "next"))
    assert done[3:] == ["next"]

    def the_last_one_is_lost() -> None:
        with transaction.atomic():
            after_commit("default", partial(fail, KeyError))
            with rolled_back():
                after_commit("default", partial(done.append, "lost"))
                raise Undo

    refused(KeyError, "", the_last_one_is_lost)


def doctor_knows_a_file_when_it_sees_one() -> None:
    answer = CliRunner().invoke(pyncette, ["doctor", "--json"], obj=CLIContext(app=app, no_color=True, workdir=None))
    checks = {each["check"]: each["text"] for each in json.loads(answer.stdout)["checks"]}
    assert ("sharing" in checks) == ("sqlite" in ENGINE), checks
    assert ("goes by this host's clock" in checks["clock"]) == ("sqlite" in ENGINE), checks
    lost = Celery("lost", broker="memory://", set_as_current=False)
    lost.conf.update(pyncette_store_url="django://absent")
    refused(PyncetteError, "there is no such file", lambda: get_task("x", app=lost))
    assert not Path(DIRECTORY, "absent.sqlite3").exists()


def refused(kind: type[Exception], words: str, call) -> None:
    with pytest.raises(kind, match=words):
        call()


Runtime(app).open_store().prepare(Founding())
for check in (
    a_rollback_leaves_nothing,
    a_commit_makes_it_so_and_what_follows_in_the_transaction_sees_it,
    reading_locks_nothing_and_a_change_by_somebody_else_is_seen,
    a_savepoint_takes_its_own_part_back,
    a_connection_may_be_given_and_another_database_is_told,
    a_wake_up_is_heard_after_the_commit,
    a_call_waits_for_the_commit,
    each_call_is_made_and_the_first_error_is_raised_after_all,
    doctor_knows_a_file_when_it_sees_one,
):
    check()
    sys.stdout.write(f"{check.__name__}\n")
