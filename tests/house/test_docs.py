"""The pages tell the truth: links lead somewhere, commands exist, configurations load, walk-throughs work."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Final

import click
import pytest

from authserver.cli.commands import authserver
from authserver.settings import load
from tests import leaks
from tests.house.pages import PAGES, Block, blocks, name, prose
from tests.house.tree import ROOT
from tests.served import free_port

LINKS: Final = [(page, link) for page in PAGES for link in re.findall(r"\]\(([^)\s]+)\)", prose(page))]
TOML: Final = [block for page in PAGES for block in blocks(page, "toml")]
PYTHON: Final = [block for page in PAGES for block in blocks(page, "python")]

PORTS: Final = ("8400", "8500")
"""The ports of the walk-throughs, each replaced by one that is free."""

MARK: Final = "---- end of block ----"
PATIENCE: Final = 120
"""Seconds that a walk-through may take."""

SKELETON: Final = {
    "server": '[server]\nissuer = "https://auth.example.com"',
    "resources": """
[resources.images]
identifier = "https://images.example.com"
scopes = ["images:read", "images:write"]
""",
    "sources": """
[sources.prod-cluster]
type = "kubernetes"
issuer = "https://kubernetes.default.svc.cluster.local"
audience = "https://auth.example.com"
""",
}
"""What a snippet is loaded together with, where it does not say it itself."""


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for page, link in LINKS:
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        if "://" not in link and not (file.exists() and (not anchor or anchor in anchors(file))):
            broken.append(f"{name(page)}: {link}")
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    files = re.findall(r"`((?:authserver|config|docs|examples|tests)/[\w./-]+)`", prose(page))
    assert [file for file in files if not (ROOT / file).exists()] == []


def command_lines(page: Path) -> list[str]:
    """Whatever a page shows that starts with ``authserver``, from the word after it."""
    shell = "\n".join(block.text for block in blocks(page, "bash", "sh", "console", "yaml")).replace("\\\n", " ")
    indented = re.findall(r"^    (.+)$", prose(page), re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", prose(page))
    starts = (re.match(r"(?:.*[\s;/])?authserver +(.+)", line) for line in [*shell.splitlines(), *indented, *spans])
    return [re.split(r" [|>&#]| 2>|\\\|", start[1])[0] for start in starts if start]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_line_that_is_shown_exists(page: Path) -> None:
    for line in command_lines(page):
        parse(line)


def parse(line: str) -> None:
    """Parse a command line as the program would, but for the values of arguments."""
    command: click.Command = authserver
    words = [word for word in shlex.split(re.sub(r"[\[\]…]|\.\.\.", "", line)) if word]
    while isinstance(command, click.Group) and words and words[0][0].islower():
        below = command.get_command(click.Context(command), words.pop(0))
        assert below is not None, f"there is no command in: authserver {line}"
        command = below
    _, left_over, _ = command.make_parser(click.Context(command)).parse_args(words)
    assert isinstance(command, click.Group) or left_over == [], f"too many arguments in: authserver {line}"


@pytest.mark.parametrize("block", TOML, ids=lambda block: block.where)
def test_every_configuration_that_is_shown_loads(block: Block, tmp_path: Path) -> None:
    tables = tomllib.loads(block.text)
    missing = [] if "server" in tables else [text for table, text in SKELETON.items() if table not in tables]
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "none.toml").touch()
    file = tmp_path / "authserver.toml"
    file.write_text("\n".join([block.text, *missing]), encoding="utf-8")
    settings = load(file)
    policy = settings.policy()
    assert [verdict for each in settings.expectations if not (verdict := each.run(policy)).passed] == []


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.where)
def test_every_python_example_compiles(block: Block) -> None:
    compile(block.text, block.where, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/first-token.md"])
def test_following_the_page_literally_works(page: str, tmp_path: Path) -> None:
    """Each block prints what the page shows below it, where … stands for anything, and otherwise nothing."""
    steps = [block for block in blocks(ROOT / page, "bash") if not block.skipped]
    ports = {port: str(free_port()) for port in PORTS}
    clone = a_clone(tmp_path, ports)
    folder = clone if page == "README.md" else tmp_path / "first-token"
    folder.mkdir(exist_ok=True)
    script = "".join(f"{with_ports(block.text, ports)}\nprintf '\\n%s\\n' '{MARK}'\n" for block in steps)
    printed = run(script, folder, {"clone": str(clone), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})
    for block, output in zip(steps, printed.split(MARK), strict=False):
        shown = ".*?".join(map(re.escape, with_ports(block.shown, ports).strip().split("…")))
        found = re.sub(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", "eyJ", output).strip()
        assert re.fullmatch(shown, found, re.DOTALL), f"{block.where} printed:\n{found}"
    assert printed.count(MARK) == len(steps)


@pytest.mark.slow
def test_the_how_to_on_testing_is_a_test_that_passes(tmp_path: Path) -> None:
    for block in blocks(ROOT / "docs/how-to/test-against-a-fake-issuer.md", "python"):
        file, _, text = block.text.removeprefix("# ").partition("\n")
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    plugin = ["-p", "no:authserver", "-p", "authserver.testing.plugin"]  # also where this package is not installed
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "--rootdir", ".", "."]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, leaks.find(done.stdout) or done.stdout


def a_clone(folder: Path, ports: dict[str, str]) -> Path:
    """A stand-in for a clone with its .venv activated: the examples, and programs that run from this tree."""
    shutil.copytree(ROOT / "examples", folder / "clone" / "examples")
    for file in (folder / "clone" / "examples").glob("*.toml"):
        file.write_text(with_ports(file.read_text(encoding="utf-8"), ports), encoding="utf-8")
    (folder / "bin").mkdir()
    for program, arguments in (("python", ""), ("authserver", "-m authserver"), ("flask", "-m flask")):
        script = folder / "bin" / program
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    return folder / "clone"


def with_ports(text: str, ports: dict[str, str]) -> str:
    """The text with the ports of this run in the place of the usual ones."""
    return re.sub("|".join(PORTS), lambda port: ports[port[0]], text)


def run(script: str, folder: Path, environment: dict[str, str]) -> str:
    """What a shell prints on both channels that follows a page in ``folder``; nothing it started stays behind."""
    command = ["bash", "-c", script]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            printed, _ = shell.communicate(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    # A shell without a terminal says which of its children a signal has ended; one with a terminal says it otherwise.
    return re.sub(r"^.* Terminated .*\n", "", printed, flags=re.MULTILINE)
