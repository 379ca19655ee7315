"""The names in `fallbacks` are checked before any call needs them."""

from __future__ import annotations

import pytest

from asyncllm.config import fields

from .conftest import Project


@pytest.fixture(autouse=True)
def available(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `fallbacks` be set, whether this version follows them or not."""
    monkeypatch.delitem(fields.NOT_YET, "fallbacks", raising=False)


def test_targets_are_kept_in_order(project: Project) -> None:
    """Known profiles are taken as they are named, `default` among them."""
    project.write('[llm]\nmodel = "openai/a"\n[llm.one]\nfallbacks = ["two", "default"]\n[llm.two]\n')
    assert project.load("one").fallbacks == ("two", "default")


def test_an_unknown_target(project: Project) -> None:
    """A target that is no profile is a mistake with the nearest name."""
    project.write('[llm]\nmodel = "openai/a"\n[llm.one]\nfallbacks = ["bakup"]\n[llm.backup]\n')
    assert project.error() == (
        'config.toml: [llm.one] fallbacks names "bakup", which is not a profile; did you mean backup?'
    )


def test_an_unknown_target_in_an_argument(project: Project) -> None:
    """Arguments are checked alike."""
    project.write('[llm]\nmodel = "openai/a"\n')
    assert project.error(fallbacks=["two"]) == 'argument: fallbacks names "two", which is not a profile.'


def test_a_profile_that_names_itself(project: Project) -> None:
    """A profile cannot be its own fallback."""
    project.write('[llm]\nmodel = "openai/a"\nfallbacks = ["default"]\n')
    assert project.error() == "config.toml: [llm] fallbacks names the profile itself (default)."


def test_an_inherited_list_leaves_out_the_profile_itself(project: Project) -> None:
    """The base's fallbacks serve every profile, those in the list too."""
    project.write('[llm]\nmodel = "openai/a"\nfallbacks = ["one", "two"]\n[llm.one]\n[llm.two]\nfallbacks = []\n')
    assert [project.load(name).fallbacks for name in ("default", "one", "two")] == [("one", "two"), ("two",), ()]


def test_a_circle(project: Project) -> None:
    """Profiles that fall back on each other are reported once."""
    project.write("""
        [llm]
        model = "openai/a"
        [llm.one]
        fallbacks = ["two"]
        [llm.two]
        fallbacks = ["three"]
        [llm.three]
        fallbacks = ["one"]
    """)
    assert project.error() == "config.toml: [llm.one] fallbacks leads in a circle: one, two, three, one."
