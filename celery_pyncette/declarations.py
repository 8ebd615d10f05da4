"""Queues and exchanges that a message needs, as plain data and back: what is left at its default is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kombu.entity as kombu

#: kombu has no annotations.
Exchange: Any = kombu.Exchange
Queue: Any = kombu.Queue
binding: Any = kombu.binding

_QUEUE = tuple(name for name, _ in Queue.attrs if name not in ("exchange", "bindings", "alias", "consumer_arguments"))
#: Apps have few queues and send many messages: the data of those seen last, by identity.
_known: dict[int, tuple[Any, dict[str, Any]]] = {}
_MOST = 256
_EXCHANGE = tuple(name for name, _ in Exchange.attrs)


def data_of(entity: Any) -> dict[str, Any] | None:
    """The data of a queue or exchange; None for anything else.

    A queue whose exchange and routing key have its own name, as Celery makes them, is its name alone. Nobody changes
    the data, nor the entity later.
    """
    known = _known.get(id(entity))
    if known is not None:
        return known[1]
    data = _data_of(entity)
    if data is not None:
        if len(_known) >= _MOST:
            _known.clear()
        _known[id(entity)] = (entity, data)
    return data


def _data_of(entity: Any) -> dict[str, Any] | None:
    if isinstance(entity, Exchange):
        return {"kind": "exchange", **_exchange(entity)}
    if not isinstance(entity, Queue):
        return None
    data = _given(entity, Queue(entity.name, Exchange(entity.name), entity.name), _QUEUE)
    exchange = _exchange(entity.exchange) if entity.exchange is not None else {}
    if exchange != {"name": entity.name}:
        data["exchange"] = exchange
    if entity.bindings:
        data["bindings"] = [_binding(one) for one in entity.bindings]
    return {"name": entity.name, **data}


def entity_of(data: Mapping[str, Any]) -> Any:
    """The queue or exchange of such data. :raises TypeError, LookupError: if it is none."""
    given = dict(data)
    if given.pop("kind", None) == "exchange":
        return Exchange(**given)
    name = given.pop("name")
    exchange = Exchange(**given.pop("exchange", {"name": name}))
    bindings = [
        binding(Exchange(**one["exchange"]), routing_key=one["routing_key"], arguments=one.get("arguments"))
        for one in given.pop("bindings", ())
    ]
    return Queue(name, exchange, given.pop("routing_key", name), bindings=bindings or None, **given)


def _exchange(exchange: Any) -> dict[str, Any]:
    if not isinstance(exchange, Exchange):
        return {"name": str(exchange or "")}
    return {"name": exchange.name, **_given(exchange, Exchange(exchange.name), _EXCHANGE)}


def _binding(one: Any) -> dict[str, Any]:
    data = {"exchange": _exchange(one.exchange), "routing_key": one.routing_key}
    return {**data, "arguments": one.arguments} if one.arguments else data


def _given(entity: Any, default: Any, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: getattr(entity, name) for name in names if name != "name"}
    return {name: value for name, value in found.items() if (value or None) != (getattr(default, name) or None)}
