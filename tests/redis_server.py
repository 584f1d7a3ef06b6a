"""A Redis server of the tests' own: Debian's `redis-server`, on a free port, in memory only."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import redis
from kept_port import KeptPort
from typing_extensions import Self

PROGRAM = next((found for name in ("redis-server", "valkey-server") if (found := shutil.which(name))), None)
HOW_TO_GET_IT = "sudo apt-get install redis-server"
PASSWORD = "tests-own-password"  # so that every test would notice one that shows
PATIENCE = 120.0  # seconds


class RedisServer:
    """A server that a test may stop and start; stopped, it forgets everything, and keeps its port."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="gigachat-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = KeptPort()
        self.port: int = self._port.number
        self.address: str = f"127.0.0.1:{self.port}"
        self.url: str = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        # With patience: a machine may stand still, and redis-py gives up after some seconds by itself.
        self.client: redis.Redis = redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=PATIENCE)

    def start(self) -> None:
        """Start it; returns when it answers."""
        assert PROGRAM is not None
        arguments = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": self._folder.name,
            "logfile": str(Path(self._folder.name) / "log"),
            "requirepass": PASSWORD,
            "save": "",
            "appendonly": "no",
        }
        words = [word for name, value in arguments.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([PROGRAM, *words, *self._options])
        self.wait_until(self._answers)

    def settle(self) -> None:
        """Wait until it is no longer one that may have been restarted without its data: see `_redis_tick.SETTLING`."""
        self.wait_until(lambda: self.client.info("server")["uptime_in_seconds"] >= 3)

    def skip_settling(self) -> None:
        """Let the limit of the usual namespace be an old one, so that a test need not wait."""
        self.client.hset("{gigachat}:limit:*:state", mapping={"epoch": 1, "quiet_until": 0})

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        gives_up = time.monotonic() + PATIENCE
        while not is_so():
            has_ended = self._process is not None and self._process.poll() is not None
            if has_ended or time.monotonic() > gives_up:
                raise RuntimeError(f"{PROGRAM} does not answer: {(Path(self._folder.name) / 'log').read_text()}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def stop(self) -> None:
        """Stop it at once, with all that it knows."""
        self.client.connection_pool.disconnect()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self.client.close()
        self._port.close()
        self._folder.cleanup()
