"""``python -m tests.client.gevent_script URL``: schedules in one greenlet, while another one counts.

Says "ready" before the call, "turning" once the other greenlet has had many turns during it, "done" after it.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import gevent  # noqa: E402

from celery_pyncette import get_task, schedule_task  # noqa: E402
from tests.client.setting import app_of  # noqa: E402

app = app_of(pyncette_store_url=sys.argv[1], pyncette_namespace="shop", pyncette_store_timeout=30)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


get_task("connects", app=app)
say("ready")
sys.stdin.readline()
call = gevent.spawn(schedule_task, "t", "n", interval=60, app=app)
turns = 0
while turns < 50 and not call.ready():
    gevent.sleep(0.01)
    turns += 1
say("turning" if turns == 50 else "over already")
call.get(timeout=30)
many = [gevent.spawn(schedule_task, "t", f"n-{number}", interval=60, app=app) for number in range(20)]
gevent.joinall(many, timeout=30, raise_error=True)
say("done")
