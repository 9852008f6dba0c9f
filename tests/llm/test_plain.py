"""The plain rule: any team can be seen at work, and never talks for ever."""

from __future__ import annotations

import pytest

from meerkat_mob.core.messages import Message, SystemNotice
from meerkat_mob.llm import PlainLlm, call, say
from meerkat_mob.llm.plain import Said, parts_of, plain_reply
from meerkat_mob.mob import open_realm, spawn_team
from meerkat_mob.mob.definition import parse_definition
from tests.llm.kit import answer_of, asking, results, said, text_in, use, user

BOTH = ("send_message", "peers")
PEERS = '{"peers":[{"name":"m/dev/a","role":"dev"},{"name":"m/ops/b","role":"ops"}]}'
MESSAGE = "[COMMS MESSAGE from m/lead/lead]\nPlease look"
ANSWER = "[COMMS MESSAGE from m/dev/a]\n[scripted] Answer: fine"
NOTICE = "[COMMS REQUEST from m/dev/a (id: 7)]\nintent: mob.peer_added\nparams: {}"


def test_a_member_given_a_task_first_asks_who_its_peers_are() -> None:
    assert plain_reply(asking("Ship it", tools=BOTH)) == call("peers")


def test_then_it_writes_to_each_of_them() -> None:
    request = asking("Ship it", said("", use("1", "peers")), results({"1": PEERS}), tools=BOTH)
    body = "[scripted] Please look at this: Ship it"
    assert plain_reply(request) == (
        call("send_message", to="m/dev/a", body=body)
        & call("send_message", to="m/ops/b", body=body)
    )


def sent(*outcomes: str) -> tuple[Message, ...]:
    uses = [use(f"s{i}", "send_message", to="x", body="y") for i in range(len(outcomes))]
    return said("", *uses), results({f"s{i}": told for i, told in enumerate(outcomes)})


def test_then_it_ends() -> None:
    request = asking(
        "Ship it",
        said("", use("1", "peers")),
        results({"1": PEERS}),
        *sent("{}", "{}"),
        tools=BOTH,
    )
    assert plain_reply(request) == say("[scripted] I have passed this on to 2.")


@pytest.mark.parametrize("answer", ['{"peers":[]}', "no json", "{}"])
def test_without_peers_it_says_so_and_ends(answer: str) -> None:
    request = asking("Ship it", said("", use("1", "peers")), results({"1": answer}), tools=BOTH)
    assert plain_reply(request).text == "[scripted] I have nobody to pass this on to: Ship it"


@pytest.mark.parametrize(
    ("tools", "told"), [((), "no tool to write"), (("send_message",), "who my peers are")]
)
def test_without_the_tools_it_says_so_and_ends(tools: tuple[str, ...], told: str) -> None:
    assert told in plain_reply(asking("Ship it", tools=tools)).text


def test_a_member_written_to_answers_each_message_once() -> None:
    both = f"{MESSAGE}\n\n[COMMS MESSAGE from m/ops/b]\nAnd\n\nthis"
    reply = plain_reply(asking(both, tools=BOTH))
    assert reply == (
        call(
            "send_message",
            to="m/lead/lead",
            body='[scripted] Answer: I have read "Please look"',
        )
        & call("send_message", to="m/ops/b", body='[scripted] Answer: I have read "And this"')
    )
    assert plain_reply(asking(both, *sent("{}", "{}"), tools=BOTH)) == say(
        "[scripted] I have answered 2."
    )


def test_each_message_of_a_batch_may_be_a_message_of_its_own() -> None:
    batch = (user(NOTICE), user(MESSAGE), user("[COMMS MESSAGE from m/ops/b]\nAnd this"))
    assert len(plain_reply(asking(*batch, tools=BOTH)).calls) == 2


def test_an_answer_is_read_and_never_answered() -> None:
    reply = plain_reply(asking("earlier", said("x"), ANSWER, tools=BOTH))
    assert reply == say("[scripted] I have heard from 1. a: fine")


@pytest.mark.parametrize("text", [NOTICE, "[SYSTEM NOTICE] tools changed", " "])
def test_notices_are_not_answered(text: str) -> None:
    assert plain_reply(asking(text, tools=BOTH)) == say("[scripted] Noted.")


def test_a_notice_beside_a_task_does_not_hide_it() -> None:
    notice = SystemNotice(kind="mcp_pending", body="wait")
    assert plain_reply(asking(NOTICE, "Ship it", notice, tools=BOTH)) == call("peers")


def test_a_refused_message_is_told() -> None:
    one = said("", use("s0", "send_message", to="x", body="y"))
    refused = results({"s0": "no such peer"}, is_error=True)
    assert plain_reply(asking(MESSAGE, one, refused, tools=BOTH)).text == (
        "[scripted] I have answered 0. Not delivered: no such peer"
    )


def test_a_task_that_quotes_a_message_is_a_task() -> None:
    text = f"What does this mean?\n\n{MESSAGE}"
    assert parts_of(text) == [Said(kind="TASK", sender="", body=text)]


def test_long_tasks_are_passed_on_in_short() -> None:
    request = asking("x " * 500, said("", use("1", "peers")), results({"1": PEERS}), tools=BOTH)
    assert all(len(bytes(one.args)) < 300 for one in plain_reply(request).calls)


TEAM = """
[mob]
id = "m"
orchestrator = "lead"
[profiles.lead]
model = "scripted"
tools = { comms = true }
[profiles.dev]
model = "scripted"
tools = { comms = true }
[profiles.ops]
model = "scripted"
tools = { comms = true }
[wiring]
auto_wire_orchestrator = true
role_wiring = [{ a = "dev", b = "ops" }]
"""


async def test_a_real_team_plays_and_comes_to_rest() -> None:
    async with open_realm() as realm:
        mob = await realm.create_mob(parse_definition(TEAM, syntax="toml"))
        lead, dev, _ = await spawn_team(mob)
        answer = await lead.ask("Ship it")
        assert answer.startswith("[scripted] I have heard from")
        assert 'ops: I have read "Please look at this: Ship it"' in answer
        assert (await dev.ask("Test it")).startswith("[scripted] I have heard from")


async def test_it_speaks_as_a_client_does() -> None:
    client = PlainLlm()
    assert text_in(await answer_of(client, asking(NOTICE))) == "[scripted] Noted."
    await client.aclose()
