"""Each thing that Pulumi needs is missed when it is not there, and only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.preflight import CredentialsMissing, Machine, Missing, Ran, ThisMachine, main, missing
from tests.harness.absent import absent

GIVEN = "".join(f"  tidegate:{name}Image: registry.example.com/{name}:1\n" for name in ("api", "autoscaler", "worker"))
BUILDER = "Name: default\nPlatforms: linux/amd64, linux/386\n"


@dataclass
class Pretended:
    """A machine on which everything is there, but for what a test takes away."""

    programs: frozenset[str] = frozenset({"pulumi", "docker"})
    answers: Mapping[str, Ran] = field(default_factory=dict)
    """By how the command begins."""
    environment: Mapping[str, str] = field(default_factory=dict)
    processor: str = "amd64"
    refusal: str = ""
    asked: list[str] = field(default_factory=list)

    def has(self, program: str) -> bool:
        return program in self.programs

    def run(self, *command: str) -> Ran:
        line = " ".join(command)
        self.asked.append(line)
        assert command[0] in self.programs, f"{line} was run, and {command[0]} is not there"
        return next((answer for start, answer in self.answers.items() if line.startswith(start)), Ran(0, BUILDER))

    def identity(self, region: str, profile: str | None) -> str:
        self.asked.append(f"sts {region} {profile}")
        if self.refusal:
            raise CredentialsMissing(self.refusal)
        return "arn:aws:iam::123456789012:user/me"


def _root(tmp_path: Path, more: str = "", config: str = "  aws:region: eu-west-1\n") -> Path:
    (tmp_path / "Pulumi.dev.yaml").write_text(f"{more}config:\n{config}", encoding="utf-8")
    return tmp_path


def _found(root: Path, machine: Machine, stack: str = "dev") -> list[Missing]:
    return list(missing(stack, machine, root))


def test_nothing_is_missed_where_everything_is_there(tmp_path: Path) -> None:
    machine = Pretended()
    assert _found(_root(tmp_path), machine) == []
    assert machine.asked == [
        "pulumi whoami --non-interactive",
        "pulumi stack --stack dev --show-name --non-interactive",
        "docker version --format {{.Server.Version}}",
        "docker buildx inspect",
        "sts eu-west-1 None",
    ]


@pytest.mark.parametrize(
    ("machine", "what", "cure"),
    [
        (Pretended(frozenset({"docker"})), "the pulumi command", "install Pulumi's CLI"),
        (
            Pretended(answers={"pulumi whoami": Ran(3, "error: PULUMI_ACCESS_TOKEN must be set\n\n")}),
            "a login to the state backend: PULUMI_ACCESS_TOKEN must be set",
            "pulumi login s3://BUCKET",
        ),
        (
            Pretended(answers={"pulumi stack": Ran(6, "error: no stack named 'dev' found\n")}),
            "the stack dev in the state backend: no stack named 'dev' found",
            "pulumi stack init dev",
        ),
        (Pretended(frozenset({"pulumi"})), "the docker command", "install Docker"),
        (
            Pretended(answers={"docker version": Ran(1, "Cannot connect to the Docker daemon\n")}),
            "a Docker engine: Cannot connect to the Docker daemon",
            "start it",
        ),
        (Pretended(answers={"docker version": Ran(1, "\n")}), "a Docker engine: it said nothing", "start it"),
        (
            Pretended(processor="arm64", answers={"docker buildx": Ran(0, "Platforms: linux/arm64")}),
            "emulation of amd64: tidegate:platform is linux/amd64, and this is arm64",
            "binfmt --install amd64",
        ),
        (Pretended(refusal="ExpiredToken"), "AWS credentials that work: ExpiredToken", "aws sso login"),
    ],
)
def test_each_thing_is_missed_by_itself(tmp_path: Path, machine: Pretended, what: str, cure: str) -> None:
    (found,) = _found(_root(tmp_path), machine)
    assert found.what.startswith(what)
    assert cure in found.cure


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    found = _found(_root(tmp_path), Pretended(frozenset(), refusal="nobody"))
    assert [each.what.split()[1] for each in found] == ["pulumi", "docker", "credentials"]


def test_nothing_is_built_when_images_are_given(tmp_path: Path) -> None:
    root = _root(tmp_path, config=f"  aws:region: eu-west-1\n{GIVEN}")
    assert _found(root, Pretended(frozenset({"pulumi"}))) == []


def test_what_is_emulated_or_cannot_be_told_is_let_through(tmp_path: Path) -> None:
    root = _root(tmp_path, config="  aws:region: eu-west-1\n  tidegate:platform: linux/arm64\n")
    assert _found(root, Pretended(answers={"docker buildx": Ran(0, "Platforms: linux/amd64, linux/arm64")})) == []
    assert _found(root, Pretended(answers={"docker buildx": Ran(1, "no such plugin")})) == []
    assert len(_found(root, Pretended())) == 1


def test_a_region_and_a_profile_come_from_the_stacks_file(tmp_path: Path) -> None:
    (found,) = _found(_root(tmp_path, config="  tidegate:tier: development\n"), Pretended())
    assert found.cure == "pulumi config set aws:region us-east-1 --stack dev"
    machine = Pretended()
    assert _found(_root(tmp_path, config="  aws:region: eu-west-1\n  aws:profile: ops\n"), machine) == []
    assert machine.asked[-1] == "sts eu-west-1 ops"


@pytest.mark.parametrize("variable", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_a_passphrase_is_wanted_for_a_stack_that_has_one(tmp_path: Path, variable: str) -> None:
    root = _root(tmp_path, "encryptionsalt: v1:abc=\n")
    (found,) = _found(root, Pretended())
    assert variable in found.cure
    assert _found(root, Pretended(environment={variable: "x"})) == []


def test_wrong_settings_are_said_before_anything_is_asked(tmp_path: Path) -> None:
    machine = Pretended()
    (found,) = _found(_root(tmp_path, config="  tidegate:workerMax: 3\n"), machine)
    assert "did you mean tidegate:workersMax?" in found.what
    (found,) = _found(tmp_path, machine, "test")
    assert "there is no Pulumi.test.yaml" in found.what
    assert machine.asked == []


def test_the_exit_status_tells_whether_anything_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dev"], Pretended()) == 0
    assert main(["dev"], Pretended(refusal="nobody")) == 1
    assert main([], Pretended()) == 2
    said = capsys.readouterr().err
    assert "missing for dev: AWS credentials that work: nobody\n  get it: aws configure sso" in said
    assert "usage: python -m infra.preflight STACK" in said


def test_programs_of_this_machine_are_run_with_all_that_they_say() -> None:
    machine = ThisMachine()
    assert machine.has("sh")
    assert not machine.has("no-such-program")
    assert machine.run("sh", "-c", "echo out; echo err >&2; exit 3") == Ran(3, "out\nerr\n")
    assert machine.run("sh", "-c", "cat; exit 0") == Ran(0, "")


class WithPulumi(ThisMachine):
    """This machine, of which only Pulumi's CLI is asked in earnest."""

    def run(self, *command: str) -> Ran:
        return super().run(*command) if command[0] == "pulumi" else Ran(0, BUILDER)

    def has(self, program: str) -> bool:
        return program == "docker" or super().has(program)

    def identity(self, region: str, profile: str | None) -> str:
        return "arn:aws:iam::123456789012:user/me"


def test_pulumis_own_cli_answers_as_it_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = WithPulumi()
    if not machine.has("pulumi"):
        absent("no pulumi on PATH: https://www.pulumi.com/docs/install/")
    root = _root(tmp_path)
    (root / "Pulumi.yaml").write_text("name: tidegate\nruntime: python\n", encoding="utf-8")
    monkeypatch.chdir(root)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_SKIP_UPDATE_CHECK", "true")
    for name in ("PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert [each.what.partition(":")[0] for each in _found(root, machine)] == ["a login to the state backend"]

    (tmp_path / "state").mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'state'}")
    assert [each.what for each in _found(root, machine)] == [
        "the stack dev in the state backend: no stack named 'dev' found"
    ]

    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "secret")
    assert machine.run("pulumi", "stack", "init", "dev", "--non-interactive").code == 0
    assert _found(root, machine) == []
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    assert [each.what for each in _found(root, machine)] == [
        "the passphrase that this stack's secrets are encrypted with"
    ]


NOBODY: Sequence[str] = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")


@pytest.mark.parametrize(("profile", "said"), [(None, "credentials"), ("nobody", "nobody")])
def test_who_has_no_credentials_is_told_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str | None, said: str
) -> None:
    for name in NOBODY:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CredentialsMissing, match=said):
        ThisMachine().identity("eu-west-1", profile)
