"""A campaign of runs: every method on every problem, several seeds each, into run folders that `curvature compare` reads."""

import argparse
import pathlib
import queue
import subprocess
import threading

CURVATURE = pathlib.Path(__file__).resolve().parent.parent / ".build/release/curvature"


def seeds(text):
    """The seeds of “1...5” or “1,3”."""
    if "..." in text:
        low, high = text.split("...")
        return list(range(int(low), int(high) + 1))
    return [int(seed) for seed in text.split(",")]


def options(description, problems, methods):
    """What every campaign can be asked for on its command line; the caller adds its own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seeds", type=seeds, default="1...5")
    parser.add_argument("--only", nargs="*", default=list(problems), choices=list(problems))
    parser.add_argument("--methods", nargs="*", default=list(methods), choices=list(methods))
    parser.add_argument("--at-once", type=int, default=2, help="runs at once")
    return parser


def configuration(problem, stages, callbacks, every):
    """A run file's text. `stages` are pairs of an optimizer and the seconds that it has; the error is measured every so many steps."""
    lines = [f"problem: {{{problem}}}", "stages:"]
    for optimizer, seconds in stages:
        lines += [f"  - optimizer: {{{optimizer}}}", f"    until: {{any: [{{seconds: {seconds}}}]}}"]
    lines += ["callbacks:", f"  - {{name: reference-error, every: {every}}}"]
    lines += [f"  - {{{callback}}}" for callback in callbacks]
    lines.append(f"output: {{checkpoints: {{every: 1000000, keep: 1}}, trajectory: {{every: {every}}}}}")
    return "\n".join(lines) + "\n"


def work_through(chosen, text):
    """Runs what was chosen, the methods in turn within a seed, so that all meet the same machine; one thread a run, `at_once` of them.

    `text(problem, method)` is a run's configuration, `None` where the two do not go together. FOLDER/PROBLEM/METHOD/seed-N are the runs; one that is there
    already is left as it is.
    """
    jobs = queue.Queue()
    for seed in chosen.seeds:
        for problem in chosen.only:
            for method in chosen.methods:
                jobs.put((problem, method, seed))

    def worker():
        while True:
            try:
                problem, method, seed = jobs.get_nowait()
            except queue.Empty:
                return
            configured = text(problem, method)
            folder = chosen.folder / problem / method / f"seed-{seed}"
            if configured is None or (folder / "run.h5").exists():
                continue
            file = chosen.folder / problem / f"{method}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(configured)
            done = subprocess.run(
                [CURVATURE, "run", file, "--seed", str(seed), "--threads", "1", "--quiet", "--overwrite", "-o", folder],
                capture_output=True, text=True)
            last = (done.stdout + done.stderr).strip().splitlines()
            print(problem, method, seed, done.returncode, last[-1] if last else "", flush=True)

    workers = [threading.Thread(target=worker) for _ in range(chosen.at_once)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
