"""The examples of the documentation run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def blocks(name, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


def test_the_space_metric_and_strategy_of_the_docs_work_together(tmp_path):
    code = (
        "\n".join(blocks("docs/extending.md", "python"))
        + """
from nas.config import resolve
from nas.executors import make_executor
from nas.rundir import RunDirectory
from nas.study import Study

config = resolve({"space": "mlp", "image_size": 8, "in_channels": 1, "num_classes": 10, "strategy": "hill",
                  "maximize": ["density"], "minimize": ["length"], "constraint": ["params<=50e3"], "trials": 9})
run = RunDirectory.create("run", config)
with make_executor("inline", 1) as executor:
    outcome = Study(run, executor).run()
assert len(outcome.front) >= 1, outcome
assert outcome.winner.value("params") <= 50e3
"""
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_the_script_of_the_docs_is_valid():
    for name in ("docs/search.md", "README.md"):
        for block in blocks(name, "python"):
            compile(block, name, "exec")


def test_every_command_and_flag_of_the_readme_exists():
    helps = {}
    for line in "\n".join(blocks("README.md", "bash")).splitlines():
        for command in re.findall(r"\bnas ([a-z]+)((?:\s+[^&#|\n]+)?)", line):
            name, rest = command
            if name not in helps:
                run = subprocess.run(
                    [sys.executable, "-m", "nas", name, "--help"], capture_output=True, text=True, check=True
                )
                helps[name] = run.stdout
            for flag in re.findall(r"--[a-z-]+", rest):
                assert flag in helps[name], f"nas {name} {flag}"
    assert {"search", "train"} <= set(helps)
