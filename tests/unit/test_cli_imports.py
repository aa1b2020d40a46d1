"""What commands import: one that needs no node shouldn't wait for what a node needs."""

import subprocess
import sys

NODE_ONLY = {"starlette", "uvicorn", "h11", "reportlab", "sluice.node", "sluice.http.app"}
ISSUER_ONLY = {"jwt", "cryptography"}


def imported(statement: str) -> set[str]:
    """The modules that a new interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


def test_the_command_line_starts_without_the_http_stack() -> None:
    everything = imported("from sluice.cli import application; application()")
    assert everything & (NODE_ONLY | ISSUER_ONLY) == set()


def test_a_command_waits_for_no_other() -> None:
    modules = imported("from sluice.cli import application; application(['tokens'])")
    assert {name for name in modules if name.startswith("sluice.commands.")} == {
        "sluice.commands.tokens"
    }


def test_the_version_waits_for_no_command() -> None:
    code = "import sys; sys.argv[1:] = ['--version']; from sluice.cli import _run; _run()"
    assert not {"aiokafka", "typer.rich_utils"} & imported(code)


def test_a_node_imports_all_of_it_but_what_an_issuer_needs() -> None:
    modules = imported("import sluice.node")
    assert modules >= NODE_ONLY
    assert not modules & ISSUER_ONLY
