"""`_logging.py`: the token stays out of the records that HTTP/2's header compression writes at DEBUG."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import hpack
import pytest

from gigachat_sdk._logging import _guard, guard_http2_logging, logger

SECRET = "s3cr3t-value"
NAMES = ("hpack", "hpack.hpack", "hpack.table")


@pytest.fixture
def _guarded() -> Iterator[None]:
    """Set the guard up, and leave the loggers as they were."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [list(logger.filters) for logger in loggers]
    guard_http2_logging()
    yield
    for one, filters in zip(loggers, before, strict=True):
        one.filters[:] = filters


def encode_token() -> None:
    encoder, decoder = hpack.Encoder(), hpack.Decoder()
    for value in (SECRET, SECRET + "2"):
        decoder.decode(
            encoder.encode([(b"authorization", f"Bearer {value}".encode()), (b"accept", b"text/event-stream")])
        )


def test_the_loggers_of_hpack_are_those_that_are_guarded() -> None:
    written = {name for name in logging.root.manager.loggerDict if name.split(".")[0] == "hpack"}
    assert written <= set(NAMES)


def test_without_the_guard_hpack_would_write_the_token(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:  # another test of this process may have set it up
        monkeypatch.setattr(logging.getLogger(name), "filters", [])
    caplog.set_level(logging.DEBUG)
    encode_token()
    assert SECRET in caplog.text


@pytest.mark.usefixtures("_guarded")
def test_the_token_is_in_no_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    encode_token()
    assert SECRET not in caplog.text
    assert SECRET not in repr([record.args for record in caplog.records])


@pytest.mark.usefixtures("_guarded")
@pytest.mark.parametrize(
    ("level", "is_written"), [(logging.DEBUG, False), (logging.INFO, False), (logging.WARNING, True)]
)
def test_only_what_matters_is_written(caplog: pytest.LogCaptureFixture, level: int, is_written: bool) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("hpack.hpack").log(level, "Encoded header block to %s", b"compressed, and easily undone")
    assert bool(caplog.records) is is_written


@pytest.mark.usefixtures("_guarded")
def test_setting_the_guard_up_twice_has_no_effect() -> None:
    guard_http2_logging()
    for name in NAMES:
        assert logging.getLogger(name).filters.count(_guard) == 1


def test_the_sdk_has_a_logger_of_its_own_that_prints_nothing_by_itself() -> None:
    assert logger.name == "gigachat_sdk"
    assert logger.level == logging.NOTSET
    assert not logger.isEnabledFor(logging.DEBUG)
