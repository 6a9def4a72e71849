import shutil
from pathlib import Path

import pytest

from probe.configs import load
from probe.toml_file import ConfigError

SHIPPED = Path(__file__).parent.parent / "configs"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small catalogue that is right."""
    (tmp_path / "services").mkdir()
    (tmp_path / "trust").mkdir()
    shutil.copy(SHIPPED / "trust" / "signal.pem", tmp_path / "trust" / "own.pem")
    (tmp_path / "probe.toml").write_text(
        'innocent_name = "www.example.com"\n[[resolvers]]\nname = "system"\nover = "system"\n'
    )
    (tmp_path / "controls.toml").write_text(
        'checked = 2026-11-01\n[[controls]]\nname = "c"\npurpose = "control"\nclass = "foreign-large"\n'
        'host = "c.example"\nport = 443\nevidence = { host = "known", reply = "known" }\nsteps = [{ step = "tcp" }]\n'
    )
    (tmp_path / "services" / "one.toml").write_text(SERVICE)
    return tmp_path


SERVICE = """service = "one"
title = "One"
source = "test"
checked = 2026-11-01

[[targets]]
name = "chat"
purpose = "messaging"
host = "chat.example"
port = 443
evidence = { host = "source", reply = "source" }
steps = [{ step = "tcp" }, { step = "tls", trust = "own" }, { step = "http" }]
"""


def test_a_right_catalogue_is_read_and_its_digest_depends_on_every_byte(folder: Path) -> None:
    first = load(folder)
    (folder / "services" / "one.toml").write_text(SERVICE + "# a comment\n")

    assert [service.service for service in first.services] == ["one"]
    assert load(folder).digest != first.digest


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("port = 443", "prot = 443", ("targets[0]", "unknown field `prot`")),
        ('step = "http"', 'step = "htpp"', ("targets[0].steps[2]", "htpp")),
        ("port = 443", "port = 70000", ("targets[0].port", "65535")),
        ("port = 443", 'port = "https"', ("targets[0].port", "`int`")),
        ("checked = 2026-11-01", 'checked = "yesterday"', ("checked", "date")),
        ("checked = 2026-11-01", "checked = 1999-01-01", ("checked", "1999-01-01")),
        ("checked = 2026-11-01", "checked = 2026-13-01", ("is not TOML",)),
        ('{ step = "tcp" }, ', "", ("steps[0]", "needs an open stream")),
        ('trust = "own"', 'trust = "nobody"', ("steps[1]", "trust/nobody.pem")),
        ('host = "chat.example"', 'host = "chat example"', ("host", "is not a host name")),
        ('host = "chat.example"', "", ("targets[0]", "neither host nor addresses")),
        ('host = "chat.example"', 'addresses = ["1.2.3"]', ("addresses", "'1.2.3' is not an IP address")),
        ("port = 443", "", ("port", "is needed")),
        ('purpose = "messaging"', 'purpose = "spam"', ("purpose", "spam")),
        ('purpose = "messaging"', 'purpose = "control"', ("purpose", "controls")),
        ('service = "one"', 'service = "two"', ("service", "one.toml")),
        ('name = "chat"', 'name = "Chat!"', ("targets[0].name",)),
        ('{ step = "http" }', '{ step = "tcp" }', ("steps[2]", "cannot follow")),
        ('trust = "own"', 'trust = "own", pins = ["zz"]', ("pins", "SHA-256")),
        ('host = "source"', 'host = "hearsay"', ("evidence.host", "hearsay")),
        ("[[targets]]", "[[targets", ("is not TOML",)),
    ],
)  # fmt: skip
def test_a_wrong_service_is_one_sentence_with_file_key_and_reason(
    folder: Path, old: str, new: str, says: tuple[str, ...]
) -> None:
    (folder / "services" / "one.toml").write_text(SERVICE.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load(folder)

    sentence = str(caught.value)
    assert sentence.startswith(str(folder / "services" / "one.toml"))
    assert "\n" not in sentence.strip()
    for part in says:
        assert part in sentence


def test_two_targets_of_one_name_are_refused(folder: Path) -> None:
    target = SERVICE[SERVICE.index("[[targets]]") :]
    (folder / "services" / "one.toml").write_text(SERVICE + target)
    with pytest.raises(ConfigError, match="'chat' is there twice"):
        load(folder)


def test_a_file_that_is_not_utf8_is_refused_with_the_byte(folder: Path) -> None:
    (folder / "services" / "one.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8 text \\(byte 9\\)"):
        load(folder)


def test_a_missing_folder_file_or_service_is_said(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no probe.toml"):
        load(folder / "nowhere")
    (folder / "services" / "one.toml").unlink()
    with pytest.raises(ConfigError, match="no service"):
        load(folder)
    (folder / "controls.toml").unlink()
    with pytest.raises(ConfigError, match="controls.toml: cannot be read"):
        load(folder)


@pytest.mark.parametrize(
    ("resolver", "says"),
    [
        ('name = "x"\nover = "udp"', "addresses"),
        ('name = "x"\nover = "https"\naddresses = ["1.1.1.1"]', "host"),
        ('name = "system"\nover = "system"', "twice"),
        ('name = "x"\nover = "smoke"', "smoke"),
    ],
)  # fmt: skip
def test_a_wrong_resolver_is_refused(folder: Path, resolver: str, says: str) -> None:
    with (folder / "probe.toml").open("a") as file:
        file.write(f"[[resolvers]]\n{resolver}\n")
    with pytest.raises(ConfigError, match=says):
        load(folder)


def test_a_service_that_does_not_exist_is_said_with_those_that_do(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no such service; there are one"):
        load(folder).select(("two",))


def test_a_database_that_is_not_there_is_refused(folder: Path) -> None:
    with (folder / "probe.toml").open("a") as file:
        file.write('[network]\nby = "mmdb"\nmmdb = "/nowhere.mmdb"\n')
    with pytest.raises(ConfigError, match="network.mmdb: there is no file"):
        load(folder)
