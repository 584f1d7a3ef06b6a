"""What the workers of one account have in a Redis of the tests' own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis_server import RedisServer

import gigachat_sdk._redis_limiter as limiter_module
from gigachat_sdk import RedisLimiter
from gigachat_sdk._concurrency import Signal


class Account:
    """What the workers of one account have in Redis."""

    def __init__(self, server: RedisServer, namespace: str) -> None:
        self.server = server
        self.redis = server.client
        self.namespace = namespace

    def limiter(self, n: Any = 1, *args: Any, **options: Any) -> RedisLimiter:
        for name in n if isinstance(n, dict) else ["*"]:
            self.redis.hsetnx(self.key("state", name), "epoch", 1)  # not the first time, so that a test need not wait
        return RedisLimiter(self.server.url, n, *args, namespace=self.namespace, **options)

    def key(self, name: str, model: str = "*") -> str:
        return f"{{{self.namespace}}}:limit:{model}:{name}"

    def held(self) -> int:
        return self.redis.zcard(self.key("held"))

    def waiting(self) -> int:
        return self.redis.zcard(self.key("waiting"))

    def now(self) -> int:
        seconds, microseconds = self.redis.time()
        return seconds * 1_000_000 + microseconds


def leave_once_answered(patch: pytest.MonkeyPatch, limiter: RedisLimiter) -> None:
    """Let whoever waits for a slot of a limiter leave when Redis has answered, as if his time were up just then."""

    class Leaving(Signal):
        def wait(self, seconds: float | None) -> bool:
            assert seconds is not None
            until(lambda: limiter._keeper.buckets["*"].known.epoch)
            return False

    patch.setattr(limiter_module, "Signal", Leaving)


def until(is_so: Callable[[], Any]) -> None:
    gives_up = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < gives_up, "it did not come to pass"
        time.sleep(0.002)


def in_thread(function: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread
