"""One of the peers' scripts as a long-lived process that is told how often to do its work.

    python peer.py DIR SCRIPT [its options]

runs DIR/SCRIPT unchanged, but where it would time its step it prints {"ready": true, "result": what the step returned}
and then, for each line "k" of the input, does the step k times and prints the seconds that took. At the end of the input
the script goes on and prints its report (loss, gradient norm) as usual. With CASE in the environment it first writes its
points and parameters there, as a case of `curvature bench`.

Allen-Cahn's boundary: the peers tie u and u_x at x = -1 to those at x = 1. Here u_x = 0 is asked at both ends, which has
the same solution by symmetry and costs the same; the two functions that form those residuals are replaced.
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


def neumann():
    import jax
    import jax.numpy as jnp
    import jax_pinn
    paired = jax_pinn.boundary_residuals

    def boundary_residuals(engine, params, d, problem):
        if problem != "allencahn":
            return paired(engine, params, d, problem)
        slopes = [jax_pinn.value_and_ux(engine, params, d[side])[1] for side in ("left", "right")]
        return slopes + [jax_pinn.net(params, d["ic"]) - d["ic_u"]]
    jax_pinn.boundary_residuals = boundary_residuals

    if script == "gauss_newton_step.py":
        import jax_gn
        paired_rows = jax_gn.boundary_rows

        def boundary_rows(problem, params, d):
            if problem != "allencahn":
                return paired_rows(problem, params, d)

            def rows(fn, x):
                r, g = jax.vmap(jax.value_and_grad(fn), (None, 0))(params, x)
                return r, jnp.concatenate([t.reshape(len(x), -1) for t in jax.tree.leaves(g)], axis=1)
            slope = lambda p, y: jax.jvp(lambda z: jax_pinn.net(p, z), (y,), (jnp.array([0.0, 1.0]),))[1]
            ui, ji = rows(jax_pinn.net, d["ic"])
            return [rows(slope, d["left"]), rows(slope, d["right"]), (ui - d["ic_u"], ji)]
        jax_gn.boundary_rows = boundary_rows


if "allencahn" in sys.argv:
    # XLA reads its flags when JAX is imported, so what the script would set must be set here.
    if any("shard" in a for a in sys.argv):
        os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    import jax
    jax.config.update("jax_enable_x64", True)
    neumann()

runpy.run_path(sys.argv[0], run_name="__main__")
