"""One table says how each kind of input is treated."""

import pytest

from meerkat_mob.core.inputs import Input
from meerkat_mob.core.messages import HandlingMode
from meerkat_mob.runtime import Policy, decide
from meerkat_mob.testing.builders import a_notice, a_peer_message, a_prompt

NEWS = "mob.peer_added"


def decided(item: Input, *, keep_alive: bool = True) -> Policy:
    return decide(item, silent_intents={NEWS}, keep_alive=keep_alive)


@pytest.mark.parametrize(
    ("mode", "boundary"), [("queue", "run_start"), ("steer", "run_checkpoint")]
)
@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_prompt_wakes_and_is_alone_in_the_lane_of_its_mode(
    mode: HandlingMode, boundary: str, keep_alive: bool
) -> None:
    policy = decided(a_prompt("hi", "i", mode=mode), keep_alive=keep_alive)
    assert (policy.lane, policy.boundary) == (mode, boundary)
    assert (policy.wakes, policy.alone) == (True, True)


@pytest.mark.parametrize("mode", ["queue", "steer"])
@pytest.mark.parametrize("keep_alive", [True, False])
def test_what_peers_send_wakes_who_is_kept_alive_and_goes_together(
    mode: HandlingMode, keep_alive: bool
) -> None:
    policy = decided(a_peer_message("hi", "i", mode=mode), keep_alive=keep_alive)
    assert (policy.lane, policy.wakes, policy.alone) == (mode, keep_alive, False)


def test_a_silent_intent_never_wakes_and_another_one_does() -> None:
    """POL-1."""
    assert not decided(a_notice("news", "i", intent=NEWS)).wakes
    assert decided(a_notice("review it", "i", intent="review")).wakes
    assert not decided(a_notice("review it", "i", intent="review"), keep_alive=False).wakes
