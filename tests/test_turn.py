"""Whose turn it is to read."""

from __future__ import annotations

from gigachat_sdk._turn import Turn


def test_one_reads_at_a_time() -> None:
    turn = Turn("stream")
    assert turn.lock.acquire(blocking=False)
    assert not turn.lock.acquire(blocking=False)
    assert "this stream is being read at this moment by another task or thread" in str(turn.refusal())
    turn.lock.release()
    assert turn.lock.acquire(blocking=False)


def test_a_child_never_gets_its_turn_be_it_free_or_taken_at_the_fork() -> None:
    for is_taken in (False, True):
        turn = Turn("download")
        if is_taken:
            turn.lock.acquire()
        turn.leave_to_parent()
        assert not turn.lock.acquire(blocking=False)
        assert "this download was opened before the process forked" in str(turn.refusal())
