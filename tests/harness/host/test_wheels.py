"""The lock file of the page: exactly these wheels, what each needs in a browser, and its hash."""

import zipfile
from pathlib import Path

import pytest

from scripts.build_web import pack, packs
from scripts.wheels import lock, read_pins, sha256

INFO = {"info": {"python": "3.14.2"}, "packages": {"something": "else"}}


def a_wheel(folder: Path, name: str, *needs: str) -> Path:
    wheel = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    lines = [f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {need}" for need in needs)]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}/__init__.py", "")
        archive.writestr(f"{wheel.stem.partition('-py3')[0]}.dist-info/METADATA", "\n".join(lines))
    return wheel


def test_a_lock_names_each_wheel_with_its_hash_and_needs(tmp_path: Path) -> None:
    one, two = a_wheel(tmp_path, "one-thing", "two>=1"), a_wheel(tmp_path, "two")
    made = lock(INFO, [one, two], "3.14")
    assert made["info"] == INFO["info"]
    assert set(made["packages"]) == {"one-thing", "two"}
    entry = made["packages"]["one-thing"]
    assert (entry["depends"], entry["imports"]) == (["two"], ["one_thing"])
    assert (entry["file_name"], entry["sha256"]) == (one.name, sha256(one))


def test_what_only_the_host_or_an_extra_needs_is_not_in_the_lock(tmp_path: Path) -> None:
    wheel = a_wheel(
        tmp_path,
        "one",
        "sockets; sys_platform != 'emscripten'",
        "colours; extra == 'cli'",
        "two; sys_platform == 'emscripten'",
    )
    made = lock(INFO, [wheel, a_wheel(tmp_path, "two")], "3.14")
    assert made["packages"]["one"]["depends"] == ["two"]


def test_a_wheel_that_needs_what_is_not_pinned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"one needs \['two'\]"):
        lock(INFO, [a_wheel(tmp_path, "one", "two")], "3.14")


def test_every_pin_is_exact() -> None:
    pins = read_pins()
    pinned = {**pins.page, **pins.http, **pins.tests}
    assert len(pinned) == len(pins.page) + len(pins.http) + len(pins.tests)
    assert [name for name, pin in pinned.items() if len(pin.sha256) != 64] == []


def test_a_team_packs_to_the_same_bytes_each_time(tmp_path: Path) -> None:
    team = tmp_path / "teams" / "two-of-us"
    (team / "skills").mkdir(parents=True)
    (team / "definition.json").write_text("{}")
    (team / "skills" / "talk.md").write_text("Talk.")
    (tmp_path / "teams" / "not-a-team").mkdir()

    (found,) = packs(tmp_path / "teams")
    first = pack(found, tmp_path / "a").read_bytes()
    (team / "definition.json").touch()
    second = pack(found, tmp_path / "b")
    assert second.read_bytes() == first
    with zipfile.ZipFile(second) as archive:
        assert archive.namelist() == ["definition.json", "skills/talk.md"]
