"""SIGTERM and Ctrl-C while a run trains: real signals to this process."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from plainbert.errors import Stopped
from plainbert.train import loop
from plainbert.train.stopping import StopSignals
from tests.train.test_loop import train, weights


class Ended(BaseException):
    """What the signal did before the run."""


@pytest.fixture(autouse=True)
def handlers():
    """As in a process that Ctrl-C interrupts, and that SIGTERM would end."""

    def end(number, frame):
        raise Ended

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield end
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def told(monkeypatch):
    """Send signals in the middle of a step of the next run."""

    def arrange(step, *numbers):
        whole = loop.Stepper.step

        def told(self, number, *rest):
            if number == step:
                for each in numbers:
                    os.kill(os.getpid(), each)
            return whole(self, number, *rest)

        monkeypatch.setattr(loop.Stepper, "step", told)
        return lambda: monkeypatch.setattr(loop.Stepper, "step", whole)

    return arrange


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_checkpoint_is_saved_and_the_run_goes_on_as_if_nothing_had_been(
    number, tmp_path, told, handlers, capfd
):
    again = told(8, number)
    with pytest.raises(Stopped) as stop:
        train(tmp_path / "cut")
    assert stop.value.number == number
    assert os.readlink(tmp_path / "cut" / "last") == "step-0000009"
    assert "a checkpoint is saved after this step" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is handlers
    again()
    train(tmp_path / "cut", resume=True)
    train(tmp_path / "whole")
    assert weights(tmp_path / "cut" / "last") == weights(tmp_path / "whole" / "last")
    assert weights(tmp_path / "cut" / "best") == weights(tmp_path / "whole" / "best")


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, Ended), (signal.SIGINT, KeyboardInterrupt)]
)
def test_the_second_signal_ends_the_run_at_once(number, error, tmp_path, told):
    told(8, number, number)
    with pytest.raises(error) as ended:
        train(tmp_path)
    assert not isinstance(ended.value, Stopped)
    assert os.readlink(tmp_path / "last") == "step-0000007"  # of the epoch


def test_without_a_folder_there_is_nothing_to_save(told):
    told(2, signal.SIGTERM)
    with pytest.raises(Ended):
        train()


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals(enabled=True, speaks=False) as signals:
        os.kill(os.getpid(), signal.SIGINT)
    assert signals.number == 0


def test_other_threads_handle_no_signals(handlers):
    seen = []

    def work():
        with StopSignals(enabled=True, speaks=True):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [handlers]
