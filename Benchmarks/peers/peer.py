"""One of the peers' scripts as a long-lived process that is told how often to do its work.

    python peer.py DIR SCRIPT [its options]

runs DIR/SCRIPT unchanged, but where it would time its step it prints {"ready": true, "result": what the step returned}
and then, for each line "k" of the input, does the step k times and prints the seconds that took. At the end of the input
the script goes on and prints its report (loss, gradient norm) as usual. With CASE in the environment it first writes its
points and parameters there, as a case of `curvature bench`.
"""

import json
import os
import runpy
import sys
import time

folder, script = os.path.abspath(sys.argv[1]), sys.argv[2]
sys.dont_write_bytecode = True
sys.path.insert(0, folder)
sys.argv = [os.path.join(folder, script)] + sys.argv[3:]
import common


def write_case(script):
    """From the variables of the script that is about to be timed."""
    import cases
    import numpy as np
    flat = lambda layers: np.concatenate([np.asarray(v).ravel() for layer in layers for v in layer])
    args, path = script["args"], os.environ["CASE"]
    if "sensors" in script:
        params = np.concatenate([flat(script["branch"]), flat(script["trunk"]), [0.0]])
        cases.write_operator(path, script["grid"], script["locations"], script["sensors"], script["target"], params)
    else:
        data = {key: np.asarray(value) for key, value in script["data"].items()}
        cases.write_pde(path, args.problem, args.width, args.depth, data, flat(script["params"]))


def serve(step, variables):
    if "CASE" in os.environ:
        write_case(variables)
    for _ in range(2):
        result = step()
    if not (isinstance(result, float) or isinstance(result, tuple) and isinstance(result[0], float)):
        result = None  # arrays: the script reports what matters of them at its end
    print(json.dumps({"ready": True, "result": result}), flush=True)
    for line in sys.stdin:
        begin = time.perf_counter()
        for _ in range(int(line)):
            step()
        print(time.perf_counter() - begin, flush=True)


def measure(step, *args, **kwargs):
    serve(step, sys._getframe(1).f_globals)
    return {"median_s": 0.0, "min_s": 0.0, "max_s": 0.0, "repeats_done": 0, "load": {}}


def wait_for_quiet(*args, **kwargs):
    """Scripts with a loop of their own wait for a quiet machine right before it, and call their step `run`."""
    variables = sys._getframe(1).f_globals
    serve(variables["run"], variables)
    return {}


common.measure, common.wait_for_quiet = measure, wait_for_quiet


runpy.run_path(sys.argv[0], run_name="__main__")
