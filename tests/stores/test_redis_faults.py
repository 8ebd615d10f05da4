"""The Redis store when its server restarts, refuses, loses scripts or answers, or is full."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from celery_pyncette.core.errors import StoreRefused, StoreUnavailable
from celery_pyncette.core.instants import Instant
from celery_pyncette.core.records import Key, Lane
from celery_pyncette.stores.guarded import Guarded
from celery_pyncette.stores.protocol import ClaimRequest, Founding, Query, Store, Verdict
from celery_pyncette.stores.redis.store import RedisStore
from celery_pyncette.testing.contract.samples import create, replace_with, sample
from celery_pyncette.testing.contract.setting import claim, keys, put, stored, verdicts
from tests.support.own_redis import OwnRedis
from tests.support.process import Process
from tests.support.proxy import TcpProxy
from tests.support.wait import wait_until

made: list[RedisStore] = []


def bare(url: str, *, timeout: float = 2) -> RedisStore:
    """A store that the end of the test closes."""
    made.append(RedisStore(url, "faults", timeout=timeout))
    return made[-1]


def opened(url: str, *, timeout: float = 2) -> RedisStore:
    store = bare(url, timeout=timeout)
    store.prepare(Founding())
    return store


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while made:
        made.pop().close()


def guarded(store: Store, budget: float = 5) -> Guarded:
    return Guarded(store, name="redis", budget=budget)


@pytest.fixture
def admin(own_redis: OwnRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis.url, decode_responses=True) as client:
        yield client


# --- scripts --------------------------------------------------------------------------------------------------------


def test_scripts_come_back_after_a_flush(own_redis: OwnRedis, admin: redis.Redis) -> None:
    store = opened(own_redis.url)
    admin.script_flush()
    put(store, sample("d:a"), sample("d:b", 1))
    admin.script_flush()
    assert keys(claim(store, 0).records) == ["d:a", "d:b"]
    calls = admin.info("commandstats")
    claim(store, 0)
    after = admin.info("commandstats")
    assert after["cmdstat_eval"]["calls"] == calls["cmdstat_eval"]["calls"]  # from then on by hash again
    assert after["cmdstat_evalsha"]["calls"] == calls["cmdstat_evalsha"]["calls"] + 1


def test_a_big_batch_is_cut_into_bounded_calls(own_redis: OwnRedis, admin: redis.Redis) -> None:
    store = opened(own_redis.url, timeout=10)
    before = admin.info("commandstats")["cmdstat_evalsha"]["calls"]
    many = [create(sample(f"d:{n:04}", n)) for n in range(1201)]
    assert verdicts(store.apply(many)) == [Verdict.APPLIED] * 1201
    assert admin.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 3
    assert keys(claim(store, 0, limit=1101).records) == [f"d:{n:04}" for n in range(1101)]
    assert admin.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 6
    heavy = [create(sample(f"e:{n}", 0, lane=Lane.DELAYED, body=b"x" * 1_500_000)) for n in range(5)]
    assert verdicts(store.apply(heavy)) == [Verdict.APPLIED] * 5
    assert admin.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 9


def test_what_was_evicted_leaves_the_indexes(own_redis: OwnRedis, admin: redis.Redis) -> None:
    store = opened(own_redis.url)
    put(store, sample("d:gone"), sample("d:kept", 1))
    admin.delete("pyncette:{faults:0}:d:gone")
    assert keys(store.scan(Query(prefix="d:")).records) == ["d:kept"]
    assert keys(claim(store, 0, limit=1).records) == []
    assert keys(claim(store, 0, limit=1).records) == ["d:kept"]
    assert admin.zrange("pyncette:{faults:0}/ready/0", 0, -1) == ["d:kept"]
    assert admin.zrange("pyncette:{faults:0}/keys", 0, -1) == ["d:kept", "m:meta"]


def test_a_key_of_another_type_costs_one_record(own_redis: OwnRedis, admin: redis.Redis) -> None:
    store = opened(own_redis.url)
    put(store, sample("d:bad"), sample("d:good", 1))
    admin.delete("pyncette:{faults:0}:d:bad")
    admin.set("pyncette:{faults:0}:d:bad", "a string")
    assert keys(claim(store, 0).records) == ["d:good"]


@pytest.mark.parametrize("field", ["l", "g", "v", "t", "w", "d"])
def test_a_record_without_a_field_is_corrupt_and_leased(own_redis: OwnRedis, admin: redis.Redis, field: str) -> None:
    store = opened(own_redis.url)
    put(store, sample("d:bad"), sample("d:good", 1))
    admin.hdel("pyncette:{faults:0}:d:bad", field)
    batch = claim(store, 0)
    assert keys(batch.records) == (["d:good"] if field in "lgwd" else ["d:bad", "d:good"])
    assert [error.key for error in batch.corrupt] == (["d:bad"] if field in "lgwd" else [])
    assert keys(claim(store, 0).records) == []


# --- restarts, time-outs --------------------------------------------------------------------------------------------


@pytest.mark.faults
def test_a_restart_under_load_loses_and_doubles_nothing(own_persistent_redis: OwnRedis) -> None:
    server = own_persistent_redis
    store = guarded(opened(server.url), budget=20)
    raised: list[BaseException] = []
    done: list[str] = []
    stop = threading.Event()

    def load(number: int) -> None:
        try:
            for turn in range(100_000):
                if stop.is_set():
                    return
                record = sample(f"d:{number}-{turn:06}", 10)
                if store.apply([create(record)]).written[0].verdict is Verdict.APPLIED:
                    done.append(record.key)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=load, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(done) > 50, 10, "some writes went through")
    server.restart()
    before = len(done)
    wait_until(lambda: len(done) > before + 50 or raised, 15, "writes go through again")
    stop.set()
    for thread in threads:
        thread.join(15)
    assert raised == []
    assert len(done) == len(set(done))
    found, cursor = set(), None
    while True:
        page = store.scan(Query(prefix="d:", limit=500), cursor)
        found |= {record.key for record in page.records}
        cursor = page.cursor
        if cursor is None:
            break
    assert found == set(done)


def test_a_server_without_persistence_comes_back_empty_and_says_so(own_redis: OwnRedis) -> None:
    store = opened(own_redis.url)
    put(store, sample("d:a"))
    own_redis.restart(crash=True)
    batch = guarded(store).claim(ClaimRequest(owner="b", lane=Lane.ENTRIES, limit=9, lease_ms=1))
    assert (batch.records, batch.meta) == ((), False)


def test_a_server_that_says_nothing_is_unavailable_after_the_time_out(own_redis: OwnRedis) -> None:
    store = opened(own_redis.url, timeout=0.3)
    own_redis.pause()
    try:
        with pytest.raises(StoreUnavailable, match="[Tt]ime"):
            store.now()
    finally:
        own_redis.resume()
    assert guarded(store).now() > 0


def test_nobody_listens_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match=r"redis://127.0.0.1:1/0: "):
        bare("redis://127.0.0.1:1/0", timeout=1).now()


# --- an answer lost once, at each verb ------------------------------------------------------------------------------

CLAIM = ClaimRequest(owner="b", lane=Lane.ENTRIES, limit=9, lease_ms=60_000)


def _replace(store: Store) -> Any:
    [before] = stored(store, Key("d:a"))
    return replace_with(before, before)


@pytest.fixture
def behind(redis_url: str, proxy_to: Callable[[str], TcpProxy]) -> tuple[TcpProxy, RedisStore]:
    proxy = proxy_to(redis_url)
    store = opened(proxy.through(redis_url))
    # The server knows the script from here on: one that is told to lose an answer to it loses the right one.
    claim(store, 0)
    put(store, sample("d:a", 1))
    return proxy, store


@pytest.mark.faults
@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.prepare(Founding()),
        lambda s: s.fetch([Key("d:a")]),
        lambda s: s.scan(Query()),
        lambda s: s.now(),
    ],
    ids=["prepare", "fetch", "scan", "now"],
)
def test_a_read_whose_answer_is_lost_is_asked_again(
    behind: tuple[TcpProxy, RedisStore], call: Callable[[Store], Any]
) -> None:
    proxy, store = behind
    expected = call(store)
    proxy.lose_answer()
    answer = call(guarded(store))
    assert proxy.lost == 1
    assert _timeless(answer) == _timeless(expected)


def _timeless(answer: Any) -> Any:
    return getattr(answer, "records", None) if hasattr(answer, "now") else type(answer)


@pytest.mark.faults
@pytest.mark.parametrize("lease", [None, 5_000])
def test_a_write_whose_answer_is_lost_is_written_once(behind: tuple[TcpProxy, RedisStore], lease: int | None) -> None:
    proxy, store = behind
    owner = {} if lease is None else {"lease": _lease()}
    changes = [create(sample("d:b", 5, **owner), lease_for=lease), _replace(store)]
    proxy.lose_answer(matching=b"EVALSHA")
    applied = guarded(store).apply(changes)
    assert proxy.lost == 1
    assert [(w.verdict, w.version) for w in applied.written] == [(Verdict.APPLIED, 1), (Verdict.APPLIED, 2)]
    assert [(r.version, r.write_id) for r in stored(store, Key("d:b"), Key("d:a"))] == [
        (1, changes[0].write_id),
        (2, changes[1].write_id),
    ]


def _lease() -> Any:
    from celery_pyncette.core.records import Lease

    return Lease(owner="w", until=Instant(0))


@pytest.mark.faults
def test_a_deletion_whose_answer_is_lost_answers_missing(behind: tuple[TcpProxy, RedisStore]) -> None:
    proxy, store = behind
    [before] = stored(store, Key("d:a"))
    proxy.lose_answer(matching=b"EVALSHA")
    assert verdicts(guarded(store).apply([replace_with(before, None)])) == [Verdict.MISSING]
    assert store.fetch([Key("d:a")]).records == (None,)


@pytest.mark.faults
def test_a_claim_whose_answer_is_lost_heals_with_its_lease(behind: tuple[TcpProxy, RedisStore]) -> None:
    proxy, store = behind
    proxy.lose_answer(matching=b"EVALSHA")
    batch = guarded(store).claim(CLAIM)
    assert (proxy.lost, batch.records) == (1, ())
    [leased] = stored(store, Key("d:a"))
    assert leased.lease is not None
    assert (leased.version, leased.lease.owner, batch.next_ready_at) == (2, "b", leased.lease.until)
    assert keys(claim(store, leased.lease.until).records) == ["d:a"]


@pytest.mark.faults
def test_the_driver_repeats_nothing_by_itself(behind: tuple[TcpProxy, RedisStore]) -> None:
    proxy, store = behind
    proxy.lose_answer()
    before = proxy.requests
    with pytest.raises(StoreUnavailable):
        store.now()
    assert proxy.requests == before + 1


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.needs("own-redis")
@pytest.mark.parametrize(("who", "said"), [("", "uthentication"), (":geheim@", "invalid"), ("me:geheim@", "invalid")])
def test_without_the_password_it_refuses(who: str, said: str) -> None:
    with _Locked() as server:
        with pytest.raises(StoreRefused, match=f"(?i){said}") as caught:
            opened(f"redis://{who}127.0.0.1:{server.port}/0")
        assert "geheim" not in str(caught.value)
        assert opened(f"redis://:richtig@127.0.0.1:{server.port}/0").now() > 0


class _Locked(OwnRedis):
    """A server with a password, which the test support's probe has to know."""

    def __init__(self) -> None:
        super().__init__(args=("--requirepass", "richtig"))

    def ready(self) -> None:
        with redis.Redis(port=self.port, password="richtig", socket_timeout=3) as client:
            client.ping()


def test_a_user_without_permission_is_refused(own_redis: OwnRedis, admin: redis.Redis) -> None:
    opened(own_redis.url)
    admin.acl_setuser("reader", enabled=True, passwords=["+pw"], keys=["*"], categories=["+@read", "+@fast"])
    url = own_redis.url.replace("//", "//reader:pw@")
    with pytest.raises(StoreRefused, match="reader:.*permission"):
        claim(bare(url), 0)


def test_a_full_memory_is_unavailable_and_heals(own_redis: OwnRedis, admin: redis.Redis) -> None:
    store = opened(own_redis.url)
    [before] = put(store, sample("d:a"))
    admin.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="memory"):
        put(store, sample("d:b"), sample("d:c"))
    with pytest.raises(StoreUnavailable, match="memory"):
        claim(store, 0)
    assert stored(store, before.key) == [before]  # reads go on, and nothing was half done
    admin.config_set("maxmemory", "0")
    put(store, sample("d:b"))


def test_a_master_that_became_a_replica_is_unavailable_and_heals(own_redis: OwnRedis, admin: redis.Redis) -> None:
    store = opened(own_redis.url)
    admin.replicaof("127.0.0.1", 1)
    with pytest.raises(StoreUnavailable, match="(?i)read.?only"):
        put(store, sample("d:a"))
    admin.replicaof("no", "one")
    put(store, sample("d:a"))


def test_a_database_that_is_not_there_is_refused(own_redis: OwnRedis) -> None:
    with pytest.raises(StoreRefused, match="(?i)index"):
        opened(own_redis.url.removesuffix("0") + "99")


# --- doctor ---------------------------------------------------------------------------------------------------------


def test_a_persistent_server_needs_no_warning(own_persistent_redis: OwnRedis) -> None:
    assert opened(own_persistent_redis.url).check_server() == []


def test_doctor_is_told_of_eviction_and_of_persistence(own_redis: OwnRedis, admin: redis.Redis) -> None:
    store = opened(own_redis.url)
    [persistence] = store.check_server()
    assert "persistence is off" in persistence
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.config_set("save", "60 1")
    eviction, snapshots = store.check_server()
    assert "maxmemory-policy is allkeys-lru" in eviction
    assert "since the last snapshot" in snapshots


def test_doctor_is_told_of_replicas(own_persistent_redis: OwnRedis) -> None:
    server = own_persistent_redis
    store = opened(server.url)
    with OwnRedis(args=("--replicaof", "127.0.0.1", str(server.port))):
        wait_until(lambda: store.check_server() != [], 15, "the replica is seen")
        assert "replication is asynchronous" in store.check_server()[0]


# --- other ways to a server -----------------------------------------------------------------------------------------


@pytest.mark.needs("own-redis")
def test_through_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    with OwnRedis(args=("--unixsocket", str(path))):
        for url in (f"unix://{path}?db=3", f"redis+socket://{path}?virtual_host=3"):
            assert opened(url).now() > 0
        with redis.Redis(unix_socket_path=str(path), db=3) as client:
            assert client.exists("pyncette:{faults:0}:m:meta") == 1


def test_through_sentinel(own_redis: OwnRedis, tmp_path: Path) -> None:
    from tests.support.own_server import installed
    from tests.support.ports import free_port

    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor mine 127.0.0.1 {own_redis.port} 1\n")
    sentinel = Process([installed("redis-server"), config, "--sentinel"], log=tmp_path / "sentinel.log").start()
    try:
        store = bare(f"sentinel://127.0.0.1:1;127.0.0.1:{port}/2?master=mine")
        guarded(store, budget=15).prepare(Founding())
        put(store, sample("d:a"))
        with redis.Redis.from_url(own_redis.url.replace("/0", "/2")) as client:
            assert client.exists("pyncette:{faults:0}:d:a") == 1
        with pytest.raises(StoreUnavailable, match="No master found for 'other'"):
            bare(f"redis-sentinel://127.0.0.1:{port}/other/2").now()
    finally:
        sentinel.end()


# --- closing --------------------------------------------------------------------------------------------------------


def test_close_hangs_up_without_the_pools_lock(own_redis: OwnRedis, admin: redis.Redis) -> None:
    """A signal handler may close the store while the code that it interrupted holds that lock."""
    store = opened(own_redis.url)
    link: Any = store._session._link
    with link._client().connection_pool._lock:
        closing = threading.Thread(target=store.close)
        closing.start()
        closing.join(5)
        assert not closing.is_alive()
    wait_until(lambda: admin.info("clients")["connected_clients"] == 1, 5, "the server saw it go")
    assert store.now() > 0
