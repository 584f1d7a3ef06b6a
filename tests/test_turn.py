"""Whose turn it is to read."""

from __future__ import annotations

from gigachat_sdk._turn import Turn


def test_one_reads_at_a_time() -> None:
    turn, first, second = Turn("stream"), object(), object()
    assert turn.taken.setdefault("by", first) is first
    assert turn.taken.setdefault("by", second) is not second
    assert "this stream is being read at this moment by another task or thread" in str(turn.refusal())
    del turn.taken["by"]
    assert turn.taken.setdefault("by", second) is second


def test_a_child_never_gets_its_turn_be_it_free_or_taken_at_the_fork() -> None:
    for is_taken in (False, True):
        turn, me = Turn("download"), object()
        if is_taken:
            turn.taken["by"] = object()
        turn.leave_to_parent()
        assert turn.taken.setdefault("by", me) is not me
        assert "this download was opened before the process forked" in str(turn.refusal())
