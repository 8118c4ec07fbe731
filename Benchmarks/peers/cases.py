"""Points and parameters of the peers' benchmarks as case files of `curvature bench`: see Sources/CurvatureCLI/Bench/BenchCase.swift."""

import h5py
import numpy as np

# The peers' name: ours, the equation's term, settings.
PROBLEMS = {
    "burgers": ("burgers", "burgers", {}),
    "poisson2d": ("poisson-2d", "poisson", {}),
    "poisson5d": ("poisson-cube", "poisson", {"dimension": "5"}),
    "helmholtz2d": ("helmholtz-2d", "helmholtz", {}),
    "allencahn": ("allen-cahn", "allen-cahn", {}),
}


def terms(problem, data):
    """Points and weight by term. The peers' loss is the sum of the sets' means of squares: each set has the weight one, and a set that
    is two terms here gives each its share of the points."""
    _, equation, _ = PROBLEMS[problem]
    out = {equation: (data["x"], 1.0)}
    if "ic" in data:
        out["initial"] = (data["ic"], 1.0)
    if problem == "burgers":
        for name, side in (("left", -1.0), ("right", 1.0)):
            points = data["bc"][data["bc"][:, 1] == side]
            out[name] = (points, len(points) / len(data["bc"]))
    elif problem == "allencahn":
        out["periodic(x)"] = (data["left"], 1.0)
    else:
        out["boundary"] = (data["bc"], 1.0)
    return out


def write_pde(path, problem, width, depth, data, params):
    """params: the flat vector, layer by layer W [in, out] row-major, then b."""
    name, _, settings = PROBLEMS[problem]
    with h5py.File(path, "w") as f:
        f.attrs.update(format="curvature-case", problem=name)
        group = f.create_group("settings")
        group.attrs.update({"network.width": str(width), "network.depth": str(depth), **settings})
        for term, (points, weight) in terms(problem, data).items():
            d = f.create_dataset("terms/" + term, data=np.asarray(points, dtype=np.float64))
            d.attrs["weight"] = np.float64(weight)
        f["parameters"] = np.asarray(params, dtype=np.float64)


def write_operator(path, sensors, locations, inputs, outputs, params):
    with h5py.File(path, "w") as f:
        f.attrs["format"] = "curvature-operator-data"
        f["sensors"], f["points"], f["inputs"], f["outputs"] = sensors.reshape(-1, 1), locations, inputs, outputs
        f["parameters"] = params
