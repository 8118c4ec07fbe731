#!/usr/bin/python3
"""Executes what the documents show besides Swift: run files in YAML, readers in Python, and lines of the command line.

usage: documents.py CURVATURE DOCUMENT...

Run files and commands are taken from blocks that are indented by four or fenced; a run file is a block with “problem:” and “stages:”.
Everything happens in a folder that is removed at the end, in which `runs/first` is the first guide's own run and `runs/burgers` and
`runs/one` are short runs of Examples/burgers.yaml.
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile

# What needs a package or another machine's figures, or runs for minutes: `run` is replaced by the short runs.
NOT_RUN = ("run", "new", "bench")


def blocks(text, language):
    """Fenced blocks of a language, and, for none, blocks that are indented by four."""
    found = re.findall(rf"^```{language} *\n(.*?)^```", text, re.S | re.M)
    if language == "yaml":
        plain = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
        for block in re.findall(r"(?:^(?: {4}.*)?\n)+", plain, re.M):
            found.append("".join(line[4:] + "\n" for line in block.split("\n")))
    return found


def call(arguments, folder, **options):
    result = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=600, **options)
    if result.returncode != 0:
        sys.exit(f"{' '.join(arguments)[:300]} ends with status {result.returncode}:\n{result.stdout}{result.stderr}")
    return result.stdout


def main(tool, documents):
    root = os.getcwd()
    tool = os.path.abspath(tool)
    texts = {path: open(path, encoding="utf-8").read() for path in documents}
    counts = {"run files": 0, "readers": 0, "commands": 0}
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.join(root, "Examples"), os.path.join(folder, "Examples"))
        short = ["--set", "stages.0.until={iterations: 300}", "--set", "stages.1.until={iterations: 300}", "--quiet"]
        for name in ("runs/burgers", "runs/one"):
            call([tool, "run", "Examples/burgers.yaml", "-o", name] + short, folder)
        for path, text in texts.items():
            for block in blocks(text, "yaml"):
                if not (re.search(r"^problem:", block, re.M) and re.search(r"^stages:", block, re.M)):
                    continue
                with open(os.path.join(folder, "block.yaml"), "w", encoding="utf-8") as file:
                    file.write(block)
                call([tool, "run", "block.yaml", "--quiet", "--overwrite"], folder)
                counts["run files"] += 1
        for path, text in texts.items():
            for block in blocks(text, "python"):
                if not call([sys.executable, "-c", block], folder):
                    sys.exit(f"a reader of {path} prints nothing")
                counts["readers"] += 1
            for line in re.findall(r"^    (curvature .*)$", text, re.M):
                words = shlex.split(line, comments=True)
                if words[1] in NOT_RUN or any("FILE" in word or word.isupper() for word in words):
                    continue
                if "--points" in words:
                    with open(os.path.join(folder, words[words.index("--points") + 1]), "w", encoding="utf-8") as file:
                        file.write("x,y\n0.5,0.1\n" if "runs/first" in words else "t,x\n0.5,0.1\n")
                call([tool] + words[1:], folder)
                counts["commands"] += 1
    print("documents: " + ", ".join(f"{count} {name}" for name, count in counts.items()) + " work")
    if not all(counts.values()):
        sys.exit("the documents have no example of one kind: the search for blocks is broken")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
