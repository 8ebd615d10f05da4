"""Digests that users subscribe to over HTTP: entries at run time, from an asyncio web framework.

    uvicorn fastapi_app:web         (in this directory)
    celery -A fastapi_app beat -S pyncette
    celery -A fastapi_app worker

    curl -X PUT localhost:8000/users/42/digest -H 'Content-Type: application/json' -d '{"schedule": "30 7 * * *"}'

The calls of the package block for one or two round trips to the store. So they are made in a thread, and the event loop
goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from celery import Celery
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from celery_pyncette import InvalidEntry, Pyncette, StoreUnavailable

Answer = TypeVar("Answer")

app = Celery("fastapi_app", broker=os.environ.get("BROKER_URL", "redis://localhost:6379/0"))
app.conf.update(
    pyncette_store_url=os.environ.get("STORE_URL", "redis://localhost:6379/1"),
    pyncette_allowed_tasks=["digests.*"],
)
pyncette = Pyncette(app)


@app.task(name="digests.send")
def send_digest(user: int) -> None:
    print(f"digest for user {user}", flush=True)


async def in_thread(call: Callable[..., Answer], *args: Any, **kwargs: Any) -> Answer:
    """Call what blocks, and let the loop go on."""
    return await asyncio.get_running_loop().run_in_executor(None, partial(call, *args, **kwargs))


class Subscription(BaseModel):
    schedule: str | None = None
    interval: float | None = None
    timezone: str = "UTC"


web = FastAPI()


@web.put("/users/{user}/digest")
async def subscribe(user: int, wanted: Subscription) -> dict[str, Any]:
    """Again with the same body it changes nothing; with another one it holds at once."""
    try:
        task = await in_thread(
            pyncette.schedule_task, send_digest, f"digest-{user}", args=[user], **wanted.model_dump()
        )
    except InvalidEntry as error:
        raise HTTPException(422, str(error)) from error
    except StoreUnavailable as error:
        raise HTTPException(503, "try again in a moment") from error
    return {"next_due": task.next_due, "schedule": task.schedule}


@web.get("/users/{user}/digest")
async def subscribed(user: int) -> dict[str, Any]:
    task = await in_thread(pyncette.get_task, f"digest-{user}")
    if task is None:
        raise HTTPException(404, "not subscribed")
    return {"next_due": task.next_due, "schedule": task.schedule, "state": task.state}


@web.delete("/users/{user}/digest", status_code=204)
async def unsubscribe(user: int) -> None:
    await in_thread(pyncette.unschedule_task, f"digest-{user}")
