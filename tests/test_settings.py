"""Settings: which layer wins, and what a wrong value is answered with."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dataset_mirror.errors import UsageError
from dataset_mirror.origins.identity import parse_url
from dataset_mirror.settings import CONFIG_VARIABLE, ENV_PREFIX, Configuration, Settings, load

FIELDS = sorted(Settings.model_fields)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder, where mirror.toml is; nothing of the outer environment comes in."""
    for name in os.environ:
        if name.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATASET_MIRROR_DATA", str(tmp_path))
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "mirror.toml").write_text(text, encoding="utf-8")


def refusal(config: Path | None = None, /, **flags: object) -> UsageError:
    """The error of loading; it is one line, and says what to do."""
    with pytest.raises(UsageError) as caught:
        load(config, flags)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value


# Layers


def test_defaults(folder: Path) -> None:
    """Without a file, variables and flags there are sane settings: this machine only, and the preset of Keras."""
    settings = load().settings
    assert (settings.data, settings.host, settings.port, settings.offline) == (folder, "127.0.0.1", 8080, False)
    assert (settings.presets, settings.upstreams, settings.token, settings.min_free) == (("keras", "huggingface"), {}, None, 10**9)


@pytest.mark.parametrize(
    ("file", "variable", "flag", "port"),
    [
        pytest.param(None, None, None, 8080, id="default"),
        pytest.param(1, None, None, 1, id="file"),
        pytest.param(None, 2, None, 2, id="environment"),
        pytest.param(None, None, 3, 3, id="flag"),
        pytest.param(1, 2, None, 2, id="environment over file"),
        pytest.param(1, None, 3, 3, id="flag over file"),
        pytest.param(None, 2, 3, 3, id="flag over environment"),
        pytest.param(1, 2, 3, 3, id="all of them"),
        pytest.param(1, 2, 0, 0, id="a flag that is zero is given"),
    ],
)
def test_the_last_layer_wins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: int | None, variable: int | None, flag: int | None, port: int
) -> None:
    """mirror.toml, then the environment, then flags: the last one that says something wins."""
    if file is not None:
        write(folder, f"port = {file}")
    if variable is not None:
        monkeypatch.setenv("DATASET_MIRROR_PORT", str(variable))
    assert load(flags={"port": flag}).settings.port == port


def test_layers_do_not_mix_inside_a_setting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list or a table of a later layer replaces an earlier one's, and the other settings of that layer stay."""
    write(folder, 'presets = ["keras-legacy"]\nport = 5\n[upstreams]\n"a.org" = "http://file"')
    monkeypatch.setenv("DATASET_MIRROR_UPSTREAMS", '{"b.org": ["http://environment"]}')
    settings = load().settings
    assert (settings.presets, settings.port, settings.upstreams) == (("keras-legacy",), 5, {"b.org": ("http://environment",)})


def test_the_data_folder_of_a_flag_has_the_file(folder: Path) -> None:
    """mirror.toml is looked for in the data folder, wherever flag or variable say that it is."""
    other = folder / "other"
    other.mkdir()
    write(folder, "port = 1")
    write(other, "port = 2")
    assert load().file == folder / "mirror.toml"
    assert load().settings.port == 1
    assert load(flags={"data": str(other)}).settings.port == 2


def test_config_names_another_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--config` goes before DATASET_MIRROR_CONFIG, which goes before the data folder's file."""
    write(folder, "port = 1")
    (folder / "b.toml").write_text("port = 2", encoding="utf-8")
    (folder / "c.toml").write_text("port = 3", encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(folder / "b.toml"))
    assert load().settings.port == 2
    assert load(folder / "c.toml").settings.port == 3


def test_a_relative_config_is_known_by_its_full_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the configuration came from can be told after a change of folder too."""
    (folder / "b.toml").write_text("port = 2", encoding="utf-8")
    monkeypatch.chdir(folder)
    assert load(Path("b.toml")).file == folder / "b.toml"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param("OFFLINE", "true", True, id="yes or no"),
        pytest.param("MIN_FREE", "10GB", 10**10, id="a size with its unit"),
        pytest.param("IDLE_TIMEOUT", "2.5", 2.5, id="a number"),
        pytest.param("PRESETS", '["keras", "keras-legacy"]', ("keras", "keras-legacy"), id="a list as JSON"),
        pytest.param("PRESETS", "[]", (), id="an empty list"),
        pytest.param("UPSTREAMS", '{"a.org": "http://b/"}', {"a.org": ("http://b",)}, id="a table as JSON"),
        pytest.param("UPSTREAMS", '{"A.org.:443": "http://b/"}', {"a.org": ("http://b",)}, id="a host in another form"),
        pytest.param("NO_PROXY", '["a.lab", "b.lab"]', ("a.lab", "b.lab"), id="hosts"),
        pytest.param("NO_PROXY", '["*", "10.0.0.0/8, .c.lab"]', ("*", "10.0.0.0/8", ".c.lab"), id="as curl has them"),
        pytest.param("TUNNEL", "public", "public", id="a word"),
        pytest.param("TUNNEL", "[]", (), id="no host"),
        pytest.param("TUNNEL", "PyPI.org", ("pypi.org",), id="one host"),
        pytest.param("TUNNEL", '["pypi.org", "*.pythonhosted.org"]', ("pypi.org", "*.pythonhosted.org"), id="hosts and what is below one"),
        pytest.param("PUBLIC_URL", "http://mirror.lab/", "http://mirror.lab", id="a URL"),
        pytest.param("TOKEN", "12345678", "12345678", id="digits are a text here"),
    ],
)
def test_variables(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: object) -> None:
    """A variable has its setting's value as text, lists and tables as JSON."""
    monkeypatch.setenv(ENV_PREFIX + name, value)
    assert getattr(load().settings, name.lower()) == expected


def test_tables_of_the_file_are_origins_and_archives(folder: Path) -> None:
    """[[origins]] extend the presets, [[archives]] override their digests."""
    url = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
    write(
        folder,
        f"""
        [[origins]]
        url = "https://data.example.org"
        paths = ["/sets/"]
        [[archives]]
        url = "{url}"
        sha256 = "{"A" * 64}"
        """,
    )
    origins = load().origins
    assert origins.get("storage.googleapis.com") is not None
    assert origins.of(parse_url("https://data.example.org/sets/a")).authority == "data.example.org"
    expected = origins.expected(parse_url(url))
    assert expected is not None
    assert (expected.name, expected.sha256) == ("keras/mnist", ("a" * 64,))


def test_presets_are_found_beside_the_file(folder: Path) -> None:
    """A preset's path is relative to the file that names it."""
    (folder / "lab.toml").write_text('[[origins]]\nurl = "https://lab.example.org"\npaths = ["/"]', encoding="utf-8")
    (folder / "etc").mkdir()
    (folder / "etc" / "b.toml").write_text('presets = ["../lab.toml"]', encoding="utf-8")
    assert [origin.authority for origin in load(folder / "etc" / "b.toml").origins] == ["lab.example.org"]


def test_settings_do_not_change() -> None:
    """Settings are frozen: a reload makes new ones."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(load().settings, FIELDS[0], None)


def test_the_token_is_not_shown() -> None:
    """Settings can be logged: the token is not in their text."""
    assert "secret-token" not in repr(load(flags={"token": "secret-token"}).settings)


# Wrong values

WRONG: dict[str, tuple[str, object, str]] = {
    "a text for a number": ("port", "eighty", "valid integer"),
    "a port that is none": ("port", 65536, "less than or equal to 65535"),
    "a negative port": ("port", -1, "greater than or equal to 0"),
    "a list for a number": ("port", [80], "valid integer"),
    "an empty host": ("host", "", "at least 1 character"),
    "neither yes nor no": ("offline", "maybe", "valid boolean"),
    "no URL": ("public_url", "mirror.lab", "begins with http:// or https://"),
    "half an address": ("public_url", "http://[::1", "Invalid IPv6 URL"),
    "a proxy of another scheme": ("upstream_proxy", "socks5://proxy", "begins with http:// or https://"),
    "no time at all": ("idle_timeout", 0, "greater than 0"),
    "negative time": ("grace", -1, "greater than or equal to 0"),
    "no size": ("min_free", "much", "could not parse value and unit"),
    "no downloads": ("max_fills", 0, "greater than or equal to 1"),
    "a short token": ("token", "short", "at least 8 characters"),
    "another database": ("database", "postgresql://db", "sqlite:///"),
    "one preset as a text": ("presets", "keras", "valid tuple"),
    "a URL as an exception": ("no_proxy", ["http://a.lab"], "no effect"),
    "a network that is none": ("no_proxy", ["10.0.0.0/33"], "no effect"),
    "upstreams without hosts": ("upstreams", ["http://a"], "valid dictionary"),
    "a port of a URL that is none": ("public_url", "http://mirror.lab:99999", "a port that does not exist"),
    "a host of a URL that is none": ("advertise_url", "http://mirror lab", "is not a host name"),
    "a base URL with a query": ("public_url", "http://mirror.lab?x=1", "no query and no fragment"),
    "an empty path": ("ca_file", "", "an empty path names nothing"),
}
INSIDE: dict[str, tuple[str, str, str]] = {
    "an upstream of another scheme": ('[upstreams]\n"a.org" = ["ftp://b"]', "upstreams.a.org.0 = 'ftp://b'", "begins with http"),
    "a host that is none": ('[upstreams]\n"a b" = "http://c"', "upstreams = {'a b'", "is not a host name"),
    "one host twice": ('[upstreams]\n"a.org" = "http://c"\n"A.org." = "http://d"', "upstreams = {'a.org'", "two keys are the same host"),
    "no upstream": ('[upstreams]\n"a.org" = []', "upstreams.a.org = []", "at least 1 item"),
    "an origin with a path": ('[[origins]]\nurl = "https://a.org/b"', "origins.0 = {'url'", "scheme and host only"),
    "an origin with a fragment": ('[[origins]]\nurl = "https://a.org#b"', "origins.0 = {'url'", "scheme and host only"),
    "an unknown key of an origin": ('[[origins]]\nurl = "https://a.org"\npath = "/"', "origins.0.path: ", "there is no such key"),
    "an origin without url": ("[[origins]]\npaths = []", "origins.0.url", "Field required"),
    "a short digest": ('[[archives]]\nurl = "https://a.org/b"\nsha256 = "ab"', "archives.0.sha256 = 'ab'", "64 hexadecimal digits"),
    "an origin without a scheme": ('[[origins]]\nurl = "a.org:8080"', "origins.0.url = 'a.org:8080'", "begins with https:// or http://"),
    "a host of links that is none": (
        '[[origins]]\nurl = "https://a.org"\npaths = ["/"]\n[[origins.rules]]\nmatch = "/**"\nlinks_to = ["a b"]',
        "origins.0.rules.0.links_to.0 = 'a b'",
        "is not a host name",
    ),
    "a port of an upstream that is none": ('[upstreams]\n"a.org" = "http://b:x"', "upstreams.a.org.0 = 'http://b:x'", "is not a host name"),
    "true for a number": ("port = true", "port = True", "a number is meant"),
    "true for a size": ("max_size = true", "max_size = True", "a number is meant"),
    "true for a time": ('[[origins]]\nurl = "https://a.org"\nfreshness = true', "origins.0.freshness = True", "a number with a unit"),
    "the second of two": ('[[archives]]\nurl = "https://a.org/b"\n[[archives]]\nurl = 5', "archives.1.url = 5", "valid string"),
}


def as_toml(key: str, value: object) -> str:
    return f"{key} = {json.dumps(value)}"


@pytest.mark.parametrize(("key", "value", "right"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("layer", ["file", "environment", "flags"])
def test_a_wrong_value_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, layer: str, key: str, value: object, right: str
) -> None:
    """Wherever a wrong value stands, the error names that place, the key, the value, and what would be right."""
    flags: dict[str, object] = {}
    if layer == "file":
        write(folder, as_toml(key, value))
        place = f"In {folder}/mirror.toml: {key} = "
    elif layer == "environment":
        text = value if isinstance(value, str) and key != "presets" else json.dumps(value)
        monkeypatch.setenv(ENV_PREFIX + key.upper(), text)
        place = f"In the environment: {ENV_PREFIX}{key.upper()} = "
    else:
        flags = {key: value}
        place = f"In the command line: --{key.replace('_', '-')} = "
    error = refusal(**flags)
    assert error.detail.startswith(place)
    assert ("(hidden)" if key == "token" else str(value)) in error.detail
    assert right in error.detail
    assert error.hint.startswith(f"For example: {key} = ")


@pytest.mark.parametrize(("text", "place", "right"), INSIDE.values(), ids=INSIDE)
def test_a_wrong_value_inside_a_table_is_one_sentence(folder: Path, text: str, place: str, right: str) -> None:
    """Inside lists and tables the error has the whole way to the value."""
    write(folder, text)
    error = refusal()
    assert error.detail.startswith(f"In {folder}/mirror.toml: {place}")
    assert right in error.detail


def test_the_layer_that_won_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the file is right and a variable is wrong, the variable is to blame."""
    write(folder, "port = 1")
    monkeypatch.setenv("DATASET_MIRROR_PORT", "x")
    assert refusal().detail.startswith("In the environment: DATASET_MIRROR_PORT = 'x'")


def test_a_wrong_value_that_is_overridden_does_not_matter(folder: Path) -> None:
    """A flag helps where the file is wrong."""
    write(folder, 'port = "x"')
    assert load(flags={"port": 5}).settings.port == 5


def test_a_token_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a wrong token is printed."""
    monkeypatch.setenv("DATASET_MIRROR_TOKEN", "hushhus")
    assert "hushhus" not in str(refusal())


def test_a_password_in_a_variable_that_is_not_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is no JSON is shown without the passwords in it."""
    monkeypatch.setenv("DATASET_MIRROR_UPSTREAMS", '{"a.org": ["http://user:hunter22@b"]')
    assert "hunter22" not in str(refusal())


PASSWORDS = {
    "a proxy without a scheme": 'upstream_proxy = "user:hunter22@proxy.lab:3128"',
    "a proxy of another scheme": 'upstream_proxy = "socks5://user:hunter22@proxy.lab"',
    "an upstream": '[upstreams]\n"a.org" = ["ftp://user:hunter22@b"]',
    "an upstream without a scheme": '[upstreams]\n"a.org" = ["user:hunter22@b"]',
    "an origin": '[[origins]]\nurl = "https://user:hunter22@a.org"',
    "an archive": '[[archives]]\nurl = "ftp://a.org/b?token=hunter22"',
    "characters that no URL has": 'shared = "postgresql://user:hunter22\u2100@db/mirrors"',
}


@pytest.mark.parametrize("text", PASSWORDS.values(), ids=PASSWORDS)
def test_a_password_in_a_wrong_url_is_never_shown(folder: Path, text: str) -> None:
    """The error of a wrong URL has its host but no password: the log and the status page repeat it."""
    write(folder, text)
    assert "hunter22" not in str(refusal())


@pytest.mark.parametrize("name", ["~nobody-knows-me/x.toml", "x\\u0000/y.toml"])
def test_a_preset_at_a_path_that_cannot_be(folder: Path, name: str) -> None:
    """A preset whose path no file can have is refused in a sentence, also at a reload."""
    write(folder, "presets = []")
    configuration = load()
    write(folder, f'presets = ["{name}"]')
    assert "The preset" in refusal().detail
    with pytest.raises(UsageError):
        configuration.reload()
    assert configuration.refused is not None


def test_a_file_with_braces_in_its_path_can_be_named(folder: Path) -> None:
    """A path is printed as it is, whatever characters it has."""
    config = folder / "{lab} {key}.toml"
    config.write_text('port = "x"', encoding="utf-8")
    assert "{lab}" in refusal(config).detail


@pytest.mark.parametrize("variable", ["PRESETS", "UPSTREAMS", "ORIGINS", "ARCHIVES", "NO_PROXY"])
def test_a_variable_that_is_not_json(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """A list or table that is no JSON is answered with the variable, its value, and a line that works."""
    monkeypatch.setenv(ENV_PREFIX + variable, "a,b")
    error = refusal()
    assert error.detail == f"In the environment: {ENV_PREFIX}{variable}='a,b' is not valid JSON."
    name, _, value = error.hint.removeprefix("For example: ").removesuffix(".").partition("=")
    monkeypatch.setenv(name, value.strip("'"))
    assert getattr(load().settings, variable.lower())


# Unknown names


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        pytest.param("prot", "Did you mean port?", id="typing error"),
        pytest.param("ofline", "Did you mean offline?", id="a letter missing"),
        pytest.param("upstream", "Did you mean upstreams?", id="singular"),
        pytest.param("qqqq", "Settings are: data, host, port", id="nothing near"),
    ],
)
def test_an_unknown_key_gets_a_hint(folder: Path, monkeypatch: pytest.MonkeyPatch, key: str, hint: str) -> None:
    """A name that no setting has is refused in each layer, with the setting that was probably meant."""
    write(folder, f"{key} = 1")
    error = refusal()
    assert error.detail == f"In {folder}/mirror.toml: {key}: there is no such setting."
    assert error.hint.startswith(hint)
    write(folder, "")
    error = refusal(**{key: 1})
    assert error.detail == f"In the command line: --{key}: there is no such setting."
    assert error.hint.startswith(hint)
    monkeypatch.setenv(ENV_PREFIX + key.upper(), "1")
    error = refusal()
    assert error.detail == f"The environment has {ENV_PREFIX}{key.upper()}, but there is no such setting."
    assert error.hint.startswith(hint)


# Files that cannot be read


def test_a_config_that_is_not_there_is_refused(folder: Path) -> None:
    """A file that was named has to exist; the data folder's own need not."""
    assert refusal(folder / "no.toml").detail == f"The configuration file {folder / 'no.toml'} does not exist."
    assert isinstance(load(), Configuration)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(b"port =\n", "is not valid TOML: .*line 1", id="not TOML"),
        pytest.param(b"port = 1\nport = 2\n", "is not valid TOML: .*line 2", id="a key twice"),
        pytest.param(b"# \xff\n", "cannot be read: .*utf-8", id="not text"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(folder: Path, content: bytes, what: str) -> None:
    """The error names the file and the line."""
    (folder / "mirror.toml").write_bytes(content)
    with pytest.raises(UsageError, match=f"{folder}/mirror.toml {what}"):
        load()
    refusal()


def test_a_folder_in_the_files_place_is_refused(folder: Path) -> None:
    """What is no file is an error in one sentence."""
    (folder / "mirror.toml").mkdir()
    assert "cannot be read" in refusal().detail


# What every setting has


@pytest.mark.parametrize("key", FIELDS)
def test_every_setting_is_described(key: str) -> None:
    """A setting has a description of one line and an example."""
    field = Settings.model_fields[key]
    assert field.description
    assert "\n" not in field.description
    assert field.examples


def wrong_value(key: str) -> Any:
    """A value of a type that no setting can have: even a path or a text is no list of lists."""
    return [[["x"]]] if key not in ("presets", "origins", "archives", "no_proxy") else {"x": 1}


@pytest.mark.parametrize("key", FIELDS)
def test_the_example_in_an_error_is_right(folder: Path, key: str) -> None:
    """What an error proposes is a line that can be put into mirror.toml as it is, and is the setting's example."""
    error = refusal(**{key: wrong_value(key)}) if key != "data" else refusal_of_data(folder)
    line = error.hint.removeprefix("For example: ").removesuffix(".")
    proposed = tomllib.loads(line)
    assert proposed == {key: Settings.model_fields[key].examples[0]}  # type: ignore[index]
    config = folder / "proposed.toml"
    config.write_text(line, encoding="utf-8")
    assert key in load(config).settings.model_fields_set


def refusal_of_data(folder: Path) -> UsageError:
    """`data` says where the file is looked for, so it can only be wrong in a file that is named."""
    os.environ.pop("DATASET_MIRROR_DATA")
    config = folder / "wrong.toml"
    config.write_text("data = 5", encoding="utf-8")
    return refusal(config)


@pytest.mark.parametrize("key", FIELDS)
def test_every_example_is_valid(key: str) -> None:
    """Each example of each setting is accepted."""
    for example in Settings.model_fields[key].examples or ():
        assert key in Settings.model_validate({key: example}).model_fields_set


def test_a_byte_order_mark(folder: Path) -> None:
    """Editors that begin a file with one mean nothing by it."""
    (folder / "mirror.toml").write_bytes(b"\xef\xbb\xbfport = 1234\n")
    assert load().settings.port == 1234


def test_the_home_folder_in_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is the home folder in every path, and a home that nobody knows is refused in a sentence."""
    monkeypatch.setenv("HOME", str(folder))
    write(folder, 'ca_file = "~/ca.pem"\ndatabase = "sqlite:///~/index.db"')
    found = load(flags={"data": Path("~/")}).settings
    assert (found.data, found.ca_file, found.database) == (folder, folder / "ca.pem", f"sqlite:///{folder}/index.db")
    assert "home folder" in str(refusal(data=Path("~nobody-knows-me/x")))


def test_an_empty_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing is no data folder: neither the user's nor the folder that the program was started in."""
    monkeypatch.setenv("DATASET_MIRROR_DATA", "")
    assert "DATASET_MIRROR_DATA" in refusal().detail


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no home folder is asked for the data folder in a sentence."""
    monkeypatch.delenv("DATASET_MIRROR_DATA")
    monkeypatch.setattr("dataset_mirror.settings.user_data_path", lambda _: Path("~/.local/share/dataset-mirror"))
    assert "--data DIR" in refusal().hint


RULES = {
    "a wrong key": ('paths = ["/"]\n[[origins.rules]]\nmatch = "/a/*"\nfreshness = "soon"', "a duration is a number with a unit", 6),
    "no match": ('paths = ["/"]\n[[origins.rules]]\nstore = false', "Field required", 4),
    "it can match nothing": ('paths = ["/b/"]\n[[origins.rules]]\nmatch = "/a/*"', "can match nothing", 5),
    "hosts of others": ('paths = ["/"]\nredirects_to = ["a.org", "*.com"]', "hosts of other organisations", 4),
}


@pytest.mark.parametrize(("text", "right", "line"), RULES.values(), ids=RULES)
def test_a_wrong_rule_is_named_with_its_line(folder: Path, text: str, right: str, line: int) -> None:
    """A rule that is wrong, or that can never match, is refused with its line of the file."""
    write(folder, f'[[origins]]\nurl = "https://a.org"\n{text}')
    error = refusal()
    assert right in error.detail
    assert f"line {line}" in error.detail
    assert f"{folder}/mirror.toml" in error.detail


def test_rules_come_by_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules may stand in a variable, as JSON; an idle one is refused with the variable's name."""
    origin = {"url": "https://a.org", "paths": ["/a/"], "rules": [{"match": "/a/*", "freshness": "never", "query": ["id"]}]}
    monkeypatch.setenv("DATASET_MIRROR_ORIGINS", json.dumps([origin]))
    found = load().origins.of(parse_url("https://a.org/a/b")).rule("/a/b")
    assert found is not None
    assert found.rule.is_immutable
    monkeypatch.setenv("DATASET_MIRROR_ORIGINS", json.dumps([origin | {"paths": ["/b/"]}]))
    assert "DATASET_MIRROR_ORIGINS" in refusal().detail
