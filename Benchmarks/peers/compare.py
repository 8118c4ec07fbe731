"""Curvature beside the peers' fastest programs, measured in turn on the same points and parameters.

    python compare.py --peers DIR --curvature .build/release/curvature t1 [--problem burgers] [--size 20,8,10000]

For each setting one process of ours and one of each peer are started and warmed up; then round after round each is told to do as
many evaluations as take about --batch seconds. A ratio is a peer's time over ours in the same round, above one where we are
faster; given are its median over the rounds and the 95 % interval of that median (bootstrap over the rounds). The losses must agree
(theirs is 2L). Rounds during which other programs used more than --noise cores do not count, if there are enough without them in --budget
seconds; how many counted is recorded. Results go to --out as JSON lines, and as a table to the screen.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = [(20, 8, 10000), (32, 2, 1000), (50, 4, 10000), (64, 4, 2000), (128, 4, 10000)]
STEP_SIZES = [(32, 2, 1000), (50, 3, 2000), (64, 4, 2000), (20, 4, 5000)]
PROBLEMS = ("burgers", "poisson2d", "poisson5d", "helmholtz2d", "allencahn")


class Process:
    """A program that does its work k times for a line "k" and answers with the seconds."""

    def __init__(self, command, **environment):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=HERE,
            env={**os.environ, **environment})

    def ready(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.greeting = json.loads(line)
                return self
        self.errors.seek(0)
        raise SystemExit(f"{' '.join(self.process.args)}\n{self.errors.read()[-2000:]}")

    def run(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline()) / count

    def finish(self):
        """What the program reports at its end."""
        self.process.stdin.close()
        lines = [line for line in self.process.stdout if line.startswith("{")]
        self.process.wait()
        return json.loads(lines[-1]) if lines else self.greeting

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds():
    with open("/proc/stat") as f:
        fields = [int(v) for v in f.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def interval(ratios):
    """The median of the ratios and the 95 % interval of it by the bootstrap."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (10000, len(ratios))), axis=1)
    return float(np.median(ratios)), float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


def rounds(args, everyone):
    """Rounds of one batch each, as seconds by name, the quiet ones where there are enough; how many were quiet, and the cores that other
    programs used."""
    batch = {name: max(1, round(args.batch / p.run(1))) for name, p in everyone.items()}
    done, begin = [], time.perf_counter()
    while sum(others <= args.noise for others, _ in done) < args.pairs:
        if len(done) >= args.pairs and time.perf_counter() - begin > args.budget:
            break
        busy, own, start = busy_seconds(), sum(p.cpu_seconds() for p in everyone.values()), time.perf_counter()
        times = {name: p.run(batch[name]) for name, p in everyone.items()}
        used = busy_seconds() - busy - (sum(p.cpu_seconds() for p in everyone.values()) - own)
        done.append((max(0.0, used / (time.perf_counter() - start)), times))
    quiet = [r for r in done if r[0] <= args.noise]
    kept = quiet if len(quiet) >= min(args.pairs, 5) else done
    return [times for _, times in kept], len(quiet), statistics.mean(others for others, _ in kept)


def compare(args, ours, peers, loss="loss", at_start=False):
    """One setting: a record of both sides' times, their ratios and losses. `ours` and `peers` (by name) are warmed up. Losses are compared
    at the end, or as they were after the warm-up."""
    everyone = {"ours": ours, **peers}
    times, quiet, others = rounds(args, everyone)
    mine = ours.finish()
    record = {"pairs": len(times), "quiet": quiet, "load1": round(os.getloadavg()[0], 2), "otherCores": round(others, 2),
              "ours": {"seconds": statistics.median(t["ours"] for t in times), "loss": mine[loss]}, "peers": {}}
    for key in ("gradientNorm", "stepNorm", "iterations", "evaluations", "reachedTarget"):
        if key in mine:
            record["ours"][key] = mine[key]
    for name, p in peers.items():
        report = {"loss": p.greeting["result"]} if at_start else p.finish()
        if at_start:
            p.finish()
        ratio, low, high = interval([t[name] / t["ours"] for t in times])
        record["peers"][name] = {"seconds": statistics.median(t[name] for t in times), "ratio": ratio, "low": low, "high": high,
                                 "loss": report["loss"], "lossDifference": abs(report["loss"] / 2 / mine[loss] - 1)}
        for theirs, key, factor in (("grad_norm", "gradientNorm", 2), ("step_norm", "stepNorm", 1)):
            if theirs in report:
                record["peers"][name][key + "Difference"] = abs(report[theirs] / factor / mine[key] - 1)
    record["fastest"] = min(record["peers"], key=lambda name: record["peers"][name]["seconds"])
    return record


def start(args, script, ours, engines, options, case, flag="--engine", **environment):
    """The peers' processes, one after the other, then ours on the case that the first of them wrote."""
    peers = {}
    for engine in engines:
        name, *loss = engine.split(":")
        loss = ["--engine", *loss] if loss else []
        command = [sys.executable, os.path.join(HERE, "peer.py"), args.peers, script, flag, name, *loss, *options]
        extra = environment if peers else {**environment, "CASE": case}
        peers[engine] = Process(command, **extra).ready()
    return lambda *more: Process([args.curvature, "bench", *ours, "--case", case, "--serve", *more]).ready(), peers


def settings(args, sizes):
    chosen = [tuple(int(v) for v in size.split(",")) for size in args.size] or sizes
    return [(problem, size) for problem in (args.problem or PROBLEMS) for size in chosen]


def shape(problem, size):
    return {"problem": problem, "width": size[0], "depth": size[1], "points": size[2]}


def options(size):
    return ["--width", str(size[0]), "--depth", str(size[1]), "--points", str(size[2])]


def t1(args, case):
    """Loss and gradient."""
    engines = args.engine or ["taylor", "taylor+chunk+shard", "taylor_t+chunk+shard"]
    for problem, size in settings(args, SIZES):
        ours, peers = start(args, "pinn_value_and_grad.py", ["gradient"], engines, ["--problem", problem, *options(size)], case)
        yield {**shape(problem, size), **compare(args, ours(), peers)}


def t2(args, case):
    """One damped Gauss-Newton step. After its turn OpenBLAS's workers of the peer go on spinning for some tens of milliseconds: turns are
    long beside that."""
    args = argparse.Namespace(**{**vars(args), "batch": max(args.batch, 1.0)})
    engines = args.engine or ["jax+scipy", "jax"]
    for problem, size in settings(args, STEP_SIZES):
        ours, peers = start(args, "gauss_newton_step.py", ["gauss-newton"], engines, ["--problem", problem, *options(size)], case)
        yield {**shape(problem, size), **compare(args, ours(), peers)}


def t3(args, case):
    """100 iterations of L-BFGS; ours until the lowest loss that a peer reaches in them. An engine here is an optimizer, or an optimizer and
    the form of its loss (`torch:torch_nested`)."""
    args.problem = args.problem or ["burgers"]
    for problem, size in settings(args, [(20, 8, 10000), (50, 4, 10000)]):
        ours, peers = start(args, "lbfgs_run.py", ["lbfgs", "--iterations", "5000"], args.engine or ["scipy", "optax", "jaxopt"],
                            ["--problem", problem, "--repeats", "1", *options(size)], case, "--optimizer", OPENBLAS_NUM_THREADS="1")
        target = min(p.greeting["result"][0] for p in peers.values()) / 2
        yield {**shape(problem, size), "target": target, **compare(args, ours("--target", repr(target)), peers)}


def t4(args, case):
    """DeepONet: loss and gradient."""
    for width in [int(size.split(",")[0]) for size in args.size] or [40, 128]:
        engines = args.engine or ["jax", "jax+shard", "torch", "torch_compile"]
        ours, peers = start(args, "deeponet_step.py", ["deeponet", "--width", str(width)], engines, ["--width", str(width)], case)
        yield {"problem": "antiderivative", "width": width, "depth": 2, "points": 100, **compare(args, ours(), peers)}


def t5(args, case):
    """Steps of Adam, a hundred at a time."""
    args.problem = args.problem or ["burgers"]
    for problem, size in settings(args, [(20, 8, 10000)]):
        ours, peers = start(args, "adam_run.py", ["step", "adam", "--steps", "100"], args.engine or ["optax_best"],
                            ["--problem", problem, "--steps", "100", *options(size)], case)
        record = compare(args, ours(), peers, loss="lossBefore", at_start=True)
        yield {**shape(problem, size), **record}


def t6(args, case):
    """One step of a natural gradient at a fixed rate, its loss and gradient at the new point included, beside the peers' damped Gauss-Newton step."""
    args = argparse.Namespace(**{**vars(args), "batch": max(args.batch, 1.0)})
    fixed = ["--from-start", "--with", "solver=exact", "--with", "damping.name=constant", "--with", "damping.value=1e-6",
             "--with", "stepLength={name: fixed, learningRate: 1, normBound: 1e300}"]
    for problem, size in settings(args, STEP_SIZES):
        for method, more in {"natural-gradient": [], "SPRING": ["--with", "momentum={name: spring, decay: 0.9}"]}.items():
            ours, peers = start(args, "gauss_newton_step.py", ["step", "natural-gradient", *fixed, *more], args.engine or ["jax+scipy", "jax"],
                                ["--problem", problem, *options(size)], case)
            yield {"method": method, **shape(problem, size), **compare(args, ours(), peers, loss="startLoss")}


def row(task, r):
    best = r["peers"][r["fastest"]]
    return (f"| {task} {r['problem']} | {r['width']}×{r['depth']}, {r['points']} | {1e3 * r['ours']['seconds']:.4g} | {r['fastest']} | "
            f"{1e3 * best['seconds']:.4g} | {best['ratio']:.2f} [{best['low']:.2f}, {best['high']:.2f}] | {best['lossDifference']:.0e} | "
            f"{r['otherCores']} ({r['quiet']}/{r['pairs']}) |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("tasks", nargs="+", choices=["t1", "t2", "t3", "t4", "t5", "t6"])
    p.add_argument("--peers", required=True, help="the folder of the peers' scripts")
    p.add_argument("--curvature", default=os.path.join(HERE, "../../.build/release/curvature"))
    p.add_argument("--problem", action="append", choices=PROBLEMS)
    p.add_argument("--size", action="append", default=[], help="width,depth,points")
    p.add_argument("--engine", action="append", help="the peers' engines, instead of their fastest")
    p.add_argument("--pairs", type=int, default=15)
    p.add_argument("--batch", type=float, default=0.15, help="seconds of one side's turn, about")
    p.add_argument("--noise", type=float, default=0.25, help="cores of other programs that disturb a round")
    p.add_argument("--budget", type=float, default=60, help="seconds after which disturbed rounds count as well")
    p.add_argument("--out", default="peers.jsonl")
    args = p.parse_args()
    args.curvature, args.peers = os.path.abspath(args.curvature), os.path.abspath(args.peers)
    args.out = os.path.abspath(args.out)
    print("| setting | W×D, N | ours, ms | fastest peer | ms | ratio | losses differ by | other cores (quiet rounds) |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder, open(args.out, "a") as out:
        best = []
        for task in args.tasks:
            for record in globals()[task](args, os.path.join(folder, "case.h5")):
                out.write(json.dumps({"task": task, **record}) + "\n")
                out.flush()
                print(row(task, record), flush=True)
                best.append(record["peers"][record["fastest"]]["ratio"])
        print(f"\nGeometric mean of the ratios to the fastest peer: {statistics.geometric_mean(best):.2f}")


if __name__ == "__main__":
    main()
