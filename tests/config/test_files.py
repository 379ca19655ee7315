"""Discovery and parsing of the configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncllm.config import load_config, load_profiles
from asyncllm.errors import ConfigError

from .conftest import Project

MODEL = '[llm]\nmodel = "openai/gpt-5-mini"\n'


@pytest.fixture
def below(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory two levels below the project's root, as the working directory."""
    directory = project.root / "src" / "deep"
    directory.mkdir(parents=True)
    monkeypatch.chdir(directory)
    return directory


def test_the_argument_comes_first(project: Project) -> None:
    """A path given as an argument wins over the variable and the search."""
    project.write(MODEL)
    named, other = project.write(MODEL, "named.toml"), project.write(MODEL, "other.toml")
    assert load_config(path=named, env={"ASYNCLLM_CONFIG": str(other)}).source == named
    assert load_config(path="named.toml", env={}).source == named


def test_the_variable_comes_before_the_search(project: Project) -> None:
    """`ASYNCLLM_CONFIG` names the file, relative to the working directory when it is relative."""
    project.write(MODEL)
    other = project.write(MODEL, "other.toml")
    assert project.load(env={"ASYNCLLM_CONFIG": "other.toml"}).source == other


def test_parents_are_searched_up_to_the_root(project: Project, below: Path) -> None:
    """From below, the file at the project's root is found."""
    path = project.write(MODEL)
    assert project.load().source == path


def test_the_nearest_file_wins(project: Project, below: Path) -> None:
    """The file closest to the working directory wins."""
    project.write(MODEL)
    nearer = project.write(MODEL, "src/config.toml")
    assert project.load().source == nearer


@pytest.mark.parametrize("mark", [".git", "pyproject.toml"])
def test_the_search_ends_at_the_root(project: Project, below: Path, mark: str) -> None:
    """A file above the project's root is not found."""
    project.write(MODEL)
    (below.parent / mark).touch()
    assert project.profiles().source is None


def test_outside_of_a_project_only_the_working_directory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a root, parents are not searched."""
    (tmp_path / "config.toml").write_text(MODEL, encoding="utf-8")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert load_profiles(env={}).source is None
    monkeypatch.chdir(tmp_path)
    assert load_profiles(env={}).source == tmp_path / "config.toml"


def test_a_named_file_must_exist(project: Project) -> None:
    """A path or variable that names no file is an error that names the file and the variable."""
    message = project.error(path="none.toml")
    assert message == f"The configuration file {project.root / 'none.toml'} does not exist. Name an existing TOML file."
    message = project.error(env={"ASYNCLLM_CONFIG": "."})
    assert message == (
        f"The configuration file {project.root} (from ASYNCLLM_CONFIG) is a directory. Name an existing TOML file."
    )


def test_other_tables_are_ignored(project: Project) -> None:
    """Tables beside `[llm]` are not validated."""
    project.write('[tool.other]\nmodle = 1\n[server]\nport = "x"\n' + MODEL)
    assert project.load().model == "openai/gpt-5-mini"


def test_a_byte_order_mark_is_accepted(project: Project) -> None:
    """A byte order mark before the text is skipped."""
    (project.root / "config.toml").write_text("\ufeff" + MODEL, encoding="utf-8")
    assert project.load().model == "openai/gpt-5-mini"


def test_a_syntax_error_names_its_line(project: Project, secret_key: str) -> None:
    """A file that is not TOML is an error with line and column, without the text of the file."""
    project.write(f'[llm]\napi_key = "{secret_key}"\nmodel = openai\n')
    assert project.error().startswith("config.toml is not valid TOML: invalid value (at line 3, column 9). A string")


def test_a_file_that_is_not_text_is_refused(project: Project) -> None:
    """A file in another encoding is an error."""
    (project.root / "config.toml").write_bytes(b'[llm]\nmodel = "\xff"\n')
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert str(caught.value) == "config.toml cannot be read: it is not UTF-8 text (byte 15)."
    assert caught.value.hint is None


def test_a_file_that_cannot_be_read_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the reason that the system gives."""
    project.write(MODEL)

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert project.error() == "config.toml cannot be read: Permission denied."


def test_profiles_and_fields_that_are_tables(project: Project) -> None:
    """A table named like a field is the field, any other is a profile."""
    project.write(MODEL + '[llm.extra_body]\nuser = "me"\n[llm.fast]\n[llm."with space"]\n')
    profiles = project.profiles()
    assert profiles.names == ("default", "fast", "with space")
    assert profiles.config("fast").extra_body == {"user": "me"}


def test_a_base_without_a_model_is_no_profile_beside_others(project: Project) -> None:
    """When only `[llm.NAME]` name models, `default` is not among the profiles."""
    project.write('[llm]\nseed = 1\n[llm.fast]\nmodel = "openai/a"\n')
    assert project.profiles().names == ("fast",)
    assert project.load("fast").seed == 1


def test_profiles_list_mistakes_without_raising(project: Project) -> None:
    """An invalid configuration can be loaded for inspection, but not used."""
    project.write(MODEL + "seed = 1.5\n")
    profiles = project.profiles()
    assert [(mistake.where, mistake.key) for mistake in profiles.mistakes] == [("config.toml: [llm] seed", "seed")]
    with pytest.raises(ConfigError):
        profiles.config()
