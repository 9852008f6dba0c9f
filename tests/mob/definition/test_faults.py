"""Bad team files: every fault at once, where its author wrote it, with what to do."""

import pytest

from meerkat_mob.errors import DefinitionInvalid
from meerkat_mob.mob.definition import (
    MobDefinition,
    decode_definition,
    decode_source,
    parse_definition,
    restore_definition,
)


def faults(source: str) -> list[tuple[str, str | None]]:
    return [(d.code, d.location) for d in decode_source(source).diagnostics]


def test_all_faults_of_a_file_are_told_at_once() -> None:
    text = """
[mob]
id = 7
orchestrator = 3
profiles = {}

[profiles.lead]
modle = "x"
runtime_mode = "turn-driven"

[profiles.lead.tools]
comsm = true
shell = "yes"

[profiles.other]
realm_profile = "r"
model = "x"

[profile.third]

[wiring]
role_wiring = [{ a = "lead" }, 5]

[skills.calm]
source = "inlined"

[limits]
max_step_retries = -1

[flows.f.steps.s]
message = "x"
collection_policy = { type = "quorum", n = 300 }
condition = { op = "and", exprs = [{ op = "eq", path = "x", value = 2026-01-01 }] }

[flows.f.root.nodes.n]
kind = "repeat_until"
loop_id = "l"
max_iterations = 1
until = { op = "eq", path = "x", value = 1 }
body = { nodes = { m = { kind = "step", stepid = "s" } } }
"""
    assert sorted(faults(text), key=str) == sorted(
        [
            ("invalid_value", "mob.id"),
            ("invalid_value", "mob.orchestrator"),
            ("unknown_field", "mob.profiles"),
            ("unknown_field", "profiles.lead.modle"),
            ("missing_field", "profiles.lead.model"),
            ("invalid_value", "profiles.lead.runtime_mode"),
            ("unknown_field", "profiles.lead.tools.comsm"),
            ("invalid_value", "profiles.lead.tools.shell"),
            ("unknown_field", "profiles.other.model"),
            ("unknown_field", "profile"),
            ("missing_field", "wiring.role_wiring[0].b"),
            ("invalid_value", "wiring.role_wiring[1]"),
            ("invalid_value", "skills.calm.source"),
            ("invalid_value", "limits.max_step_retries"),
            ("missing_field", "flows.f.steps.s.role"),
            ("invalid_value", "flows.f.steps.s.collection_policy.n"),
            ("invalid_value", "flows.f.steps.s.condition.exprs[0].value"),
            ("unknown_field", "flows.f.root.nodes.n.body.nodes.m.stepid"),
            ("missing_field", "flows.f.root.nodes.n.body.nodes.m.step_id"),
        ],
        key=str,
    )


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ('[mob]\nid="m"\norchestrater="a"', "mob.orchestrater", "did you mean 'orchestrator'?"),
        ('[mob]\nid="m"\n[profile.a]', "profile", "did you mean 'profiles'?"),
        ('[mob]\nid="m"\nlimits={}', "mob.limits", "before the first table"),
        ('[mob]\nid="m"\n[mcp.x]\nurls="u"', "mcp.x.urls", "did you mean 'url'?"),
        (
            '[mob]\nid="m"\n[profiles.a]\nmodel="x"\nprompt="p"',
            "profiles.a.prompt",
            "[skills.NAME]",
        ),
        (
            '{"id":"m","skills":{"s":{"source":"path","file":"x"}}}',
            "skills.s.file",
            "known here: path",
        ),
        (
            '{"id":"m","skills":{"s":{"source":"path","path":"x","tried":"y"}}}',
            "skills.s.tried",
            "",
        ),
        ('{"id":"m","realm_profiles":{}}', "realm_profiles", "unknown key"),
    ],
)
def test_an_unknown_key_says_where_it_is_and_what_was_meant(
    text: str, place: str, said: str
) -> None:
    found = [d for d in decode_source(text).diagnostics if d.code == "unknown_field"]
    assert [d.location for d in found] == [place]
    assert said in found[0].message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "mob.id"),
        ("[mob]", "mob.id"),
        ("{}", "id"),
        ('{"id": null}', "id"),
        ('[profiles.a]\nmodel = "x"', "mob.id"),
    ],
)
def test_a_missing_id_is_told_where_it_belongs(text: str, place: str) -> None:
    assert faults(text) == [("missing_field", place)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[mob]\nid = 5", "mob.id"),
        ('{"id": ["m"]}', "id"),
        ("mob = 5", "mob"),
        ('id = "a"\n[mob]\nid = "b"', "mob.id"),
        ('{"id":"m","mcp":{},"mcp_servers":{}}', "mcp_servers"),
        ('{"id":"m","profiles":[]}', "profiles"),
        ('{"id":"m","profiles":{"a":"some-model"}}', "profiles.a"),
        ('{"id":"m","profiles":{"a":{"realm_profile":5}}}', "profiles.a.realm_profile"),
        ('{"id":"m","profiles":{"a":{"model":""}}}', "profiles.a.model"),
        ('{"id":"m","profiles":{"a":{"model":"x","host_mode":"on"}}}', "profiles.a.host_mode"),
        (
            '{"id":"m","profiles":{"a":{"model":"x","host_mode":true,"runtime_mode":"turn_driven"}}}',
            "profiles.a.host_mode",
        ),
    ],
)
def test_a_wrong_value_is_told_at_its_place(text: str, place: str) -> None:
    assert ("invalid_value", place) in faults(text)


@pytest.mark.parametrize("document", [None, 5, "text", [], [{"id": "m"}]])
def test_what_is_no_table_is_no_definition(document: object) -> None:
    decoded = decode_definition(document)
    assert decoded.definition is None
    assert [(d.code, d.location) for d in decoded.diagnostics] == [("invalid_value", None)]


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ('[mob]\nid = "m\n', "line 2, column 8"),
        ('[mob]\nid = "m"\n[mob]', "line 3, column 5"),
        ('[mob]\nid = "m"\nid = "n"', None),
        ("[mob]\nid =", "line 2, column 5"),
        ('{"id": "m",\n "x": }', "line 2, column 7"),
        ('{"id": "m"', "line 1, column 11"),
        ('{"id": "m", "id": "n"}', None),
        ('{"id": NaN}', None),
        ('{"id": ' + "[" * 100_000, None),
        (b"\xff[mob]", "byte 0"),
    ],
)
def test_what_cannot_be_read_says_line_and_column(source: str | bytes, place: str | None) -> None:
    decoded = decode_source(source)
    assert decoded.definition is None
    assert [d.code for d in decoded.diagnostics] == ["invalid_syntax"]
    if place is not None:
        assert decoded.diagnostics[0].location == place


def test_a_key_written_twice_in_json_is_named() -> None:
    message = decode_source('{"id": "m", "profiles": {"a": {}, "a": {}}}').diagnostics[0].message
    assert "'a' is written twice" in message


def test_parsing_raises_with_every_fault() -> None:
    with pytest.raises(DefinitionInvalid) as refused:
        parse_definition('{"idd": "m"}')
    assert [d.location for d in refused.value.diagnostics] == ["idd", "id"]
    assert "did you mean 'id'?" in str(refused.value)


def test_parsing_refuses_an_unknown_key_and_still_shows_what_the_rest_says() -> None:
    source = '{"id": "m", "colour": "red"}'
    assert decode_source(source).definition == MobDefinition(id="m")
    with pytest.raises(DefinitionInvalid):
        parse_definition(source)


def test_parsing_does_not_apply_the_rules_of_a_whole_definition() -> None:
    assert parse_definition('{"id": "m"}') == MobDefinition(id="m")


def test_a_stored_definition_that_is_none_is_refused() -> None:
    with pytest.raises(DefinitionInvalid):
        restore_definition(b'{"profiles": {}}')
