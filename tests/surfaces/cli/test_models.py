"""`meerkat-mob models` and `doctor`: what is known, who is there, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from meerkat_mob import open_realm, parse_definition
from meerkat_mob.core.requests import CreateSessionRequest, SessionBuildOptions
from meerkat_mob.llm import parse_catalogue
from meerkat_mob.surfaces.cli.doctor import Health, examined
from meerkat_mob.surfaces.cli.models import VARIABLE
from meerkat_mob.surfaces.cli.options import DoctorOptions
from meerkat_mob.testing.builders import a_turn
from tests.llm.loopback_server import delta, event, saying, serving, whole
from tests.surfaces.cli.kit import PAIR, a_team, called
from tests.surfaces.kit import Plain

FILE = """
[servers.desk]
base_url = "http://127.0.0.1:9"

[models.small]
server = "desk"
name = "qwen3:8b"
context_window = 40_960
vision = false
"""
PRICED = """
[models."gpt-5*"]
price = { input = 1.25, output = 10, source = "https://prices.example", date = "2026-11-01" }
"""
LISTING = '{"data": [{"id": "gpt-5-mini"}, {"id": "qwen3:8b"}]}'


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("OPENAI", "ANTHROPIC", "GEMINI", "GOOGLE"):
        for form in ("{}_API_KEY", "RKAT_{}_API_KEY", "{}_BASE_URL"):
            monkeypatch.delenv(form.format(name), raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def a_file(folder: Path, text: str = FILE) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


# -- models ------------------------------------------------------------------------------------


def test_what_is_known_is_listed_with_who_is_asked_and_whether_the_key_is_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    ended = called(capsys, "models")
    assert ended.code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in ended.out.splitlines()}
    assert rows["gpt-5*"] == "400,000 128,000 yes yes yes openai not set"
    assert rows["claude-opus-5*"] == "1,000,000 ? yes yes yes anthropic set"
    assert rows["model"].endswith("key")
    assert "--models FILE" in ended.err


def test_a_file_s_models_are_listed_with_prices(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = called(capsys, "models", "--models", a_file(tmp_path, FILE + PRICED))
    row = next(line for line in ended.out.splitlines() if line.startswith("small"))
    assert row.split() == ["small", "40,960", "?", "no", "?", "?", "desk"]
    assert "1.25 in, 10 out USD (2026-11-01)" in ended.out


def test_the_file_is_found_by_its_variable_and_in_its_usual_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def usual(name: str) -> str:
        return str(tmp_path / "usual")

    monkeypatch.setattr("click.get_app_dir", usual)
    assert "\nsmall" not in called(capsys, "models").out
    (tmp_path / "usual").mkdir()
    (tmp_path / "usual" / "models.toml").write_text(FILE)
    assert "\nsmall" in called(capsys, "models").out
    monkeypatch.setenv(VARIABLE, str(a_file(tmp_path, PRICED)))
    assert "\nsmall" not in called(capsys, "models").out


def test_models_as_json_has_what_is_known_and_leaves_out_the_rest(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    document = called(capsys, "models", "--json", "--models", a_file(tmp_path)).document
    found = {one["model"]: one for one in document["models"]}
    assert found["small"] == {
        "model": "small",
        "provider": "desk",
        "key": None,
        "facts": {"server": "desk", "name": "qwen3:8b", "context_window": 40960, "vision": False},
    }
    assert found["gpt-5*"]["key"] is False


def test_a_bad_file_or_none_is_an_error_without_a_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = a_file(tmp_path, "[models.x]\nwindow = 1\n")
    for argv in (("models",), ("doctor",), ("run", a_team(tmp_path, PAIR), "do it")):
        ended = called(capsys, *argv, "--models", bad)
        assert (ended.code, "models.x.window" in ended.err) == (2, True)
        ended = called(capsys, *argv, "--models", tmp_path / "none.toml")
        assert (ended.code, "DEFINITION_UNREADABLE" in ended.err) == (2, True)


def test_a_scripted_run_takes_no_models_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    team = a_team(tmp_path, PAIR)
    ended = called(capsys, "run", team, "x", "--model", "scripted", "--models", a_file(tmp_path))
    assert (ended.code, "--models" in ended.err) == (2, True)


@pytest.mark.loopback
async def test_a_team_s_model_is_asked_at_the_server_and_by_the_name_of_the_file() -> None:
    hello = saying(delta(content="hello"), delta("stop"), event("[DONE]"))
    team = PAIR.replace("gpt-5-mini", "small", 1)
    async with serving(hello) as server:
        models = parse_catalogue(FILE.replace("http://127.0.0.1:9", server.address))
        async with open_realm(models=models, env={}) as realm:
            mob = await realm.create_mob(parse_definition(team))
            lead = await mob.spawn("lead", "lead")
            assert await lead.ask("hi") == "hello"
    body: Plain = msgspec.json.decode(server.asked[0].body)
    assert (server.asked[0].path, body["model"]) == ("/v1/chat/completions", "qwen3:8b")


@pytest.mark.loopback
async def test_a_profile_s_own_url_is_asked_without_a_key() -> None:
    hello = saying(delta(content="hello"), delta("stop"), event("[DONE]"))
    async with serving(hello) as server:
        team = PAIR.replace("[profiles.lead]", f'[profiles.lead]\nbase_url = "{server.address}"')
        async with open_realm(env={"OPENAI_API_KEY": "secret"}) as realm:
            mob = await realm.create_mob(parse_definition(team))
            lead = await mob.spawn("lead", "lead")
            assert await lead.ask("hi") == "hello"
    assert [one.headers.get("authorization") for one in server.asked] == [None]


@pytest.mark.loopback
async def test_a_session_is_asked_at_its_own_server_after_a_restart(tmp_path: Path) -> None:
    hello = saying(delta(content="hello"), delta("stop"), event("[DONE]"))
    async with serving(hello) as server:
        build = SessionBuildOptions(session_id="mine", self_hosted_server_id=server.address)
        async with open_realm(tmp_path / "realm", env={}) as realm:
            request = CreateSessionRequest(model="m", prompt="hi", build=build)
            await realm.sessions.create_session(request)
        async with open_realm(tmp_path / "realm", env={}) as realm:
            await realm.sessions.start_turn("mine", a_turn("hi again"))
    assert len(server.asked) == 2


# -- doctor ------------------------------------------------------------------------------------


def test_without_any_key_it_says_what_to_set_and_finds_no_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = called(capsys, "doctor")
    assert ended.code == 0
    assert ended.out.count("no key is set") == 3
    assert "set RKAT_OPENAI_API_KEY or OPENAI_API_KEY to use it" in ended.out


def test_a_team_without_its_key_is_a_fault_told_once_for_all_profiles(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = called(capsys, "doctor", a_team(tmp_path, PAIR))
    assert ended.code == 1
    assert ended.out.startswith("error   gpt-5-mini (for lead, worker): model 'gpt-5-mini' needs")
    document = called(capsys, "doctor", a_team(tmp_path, PAIR), "--json").document
    assert (document["ok"], document["checks"][0]["status"]) == (False, "error")


@pytest.mark.loopback
def test_a_server_that_is_not_there_is_a_fault(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = called(capsys, "doctor", "--models", a_file(tmp_path))
    assert ended.code == 1
    assert "error   servers.desk: nothing answers there" in ended.out
    assert "error   models.small: nothing answers there" in ended.out


@pytest.mark.loopback
def test_what_a_server_does_not_say_ends_the_listing(capsys: pytest.CaptureFixture[str]) -> None:
    ended = called(capsys, "models", "--base-url", "http://127.0.0.1:9")
    assert (ended.code, ended.out) == (20, "")
    assert "nothing answers there" in ended.err


async def looked(options: DoctorOptions, env: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    health: Health = await examined(options, env)
    assert health.ok is all(one.status != "error" for one in health.checks)
    return {one.subject: (one.status, f"{one.told}; {one.hint}") for one in health.checks}


@pytest.mark.loopback
async def test_models_are_looked_for_at_the_servers_that_would_be_asked(tmp_path: Path) -> None:
    async with serving(whole(200, "application/json", LISTING)) as server:
        url = server.address
        file = a_file(tmp_path, FILE.replace("http://127.0.0.1:9", url))
        options = DoctorOptions(models=file)
        found = await looked(options, {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": url})
        assert found["openai"] == ("ok", f"{url} answers, and has 2 models; ")
        assert found["anthropic"] == found["openai"]  # without its own key that server has it
        assert found["servers.desk"][0] == "ok"
        assert found["models.small"] == ("ok", f"qwen3:8b is at {url}; ")

        team = a_team(tmp_path, PAIR.replace('"gpt-5-mini"', '"gpt-5"', 1))
        found = await looked(DoctorOptions(definition=team, base_url=url), {})
        assert found["gpt-5-mini (for worker)"][0] == "ok"
        status, told = found["gpt-5 (for lead)"]
        assert status == "warning"
        assert told == f"gpt-5 is not among the models that {url} tells of; there is gpt-5-mini"
        assert list(await looked(DoctorOptions(base_url=url), {})) == [url]
    assert {one.method for one in server.asked} == {"GET"}


@pytest.mark.loopback
async def test_a_key_that_is_refused_is_a_fault() -> None:
    refused = whole(401, "application/json", '{"error": {"message": "bad key"}}')
    async with serving(refused) as server:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.address}
        status, told = (await looked(DoctorOptions(), env))["openai"]
    assert status == "error"
    assert "bad key; it does not know the key: check RKAT_OPENAI_API_KEY or OPENAI_API_KEY" in told


async def test_a_scripted_team_needs_nobody(tmp_path: Path) -> None:
    team = a_team(tmp_path, PAIR.replace("gpt-5-mini", "scripted"))
    found = await looked(DoctorOptions(definition=team), {})
    assert found == {"scripted (for lead, worker)": ("ok", "plays offline; ")}


def test_the_document_of_a_health_is_what_its_struct_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = called(capsys, "doctor", "--json").out
    assert msgspec.json.decode(out, type=Health).ok
