@_exported import AllenCahn
@_exported import Burgers
@_exported import Classification
@_exported import Convection
@_exported import DeepONet
@_exported import DeepRitz
@_exported import Diagnostics
@_exported import Differentiation
@_exported import FokkerPlanck
@_exported import Globalization
@_exported import GradientMethods
@_exported import Heat
@_exported import Helmholtz
@_exported import KroneckerCurvature
@_exported import LeastSquares
@_exported import LinearAlgebra
@_exported import MatrixPreconditioners
@_exported import NaturalGradient
@_exported import NeuralModels
@_exported import NewtonKrylov
@_exported import OperatorLearning
@_exported import OperatorStorage
@_exported import OptimizationCore
@_exported import PhysicsInformed
@_exported import Poisson
@_exported import Progress
@_exported import QuasiNewton
@_exported import Reaction
@_exported import Regression
@_exported import RunControl
@_exported import RunStorage
@_exported import Sampling
@_exported import StochasticCurvature
@_exported import StochasticGradient
@_exported import TestFunctions
@_exported import TrustRegion
@_exported import VarianceReduction
@_exported import Wave
@_exported import WeakForms

/// The plugins that come with Curvature, in the order in which they are listed. They have no privileges.
public let builtInPlugins: [any Plugin.Type] = [
    NeuralModelsPlugin.self, StochasticGradientPlugin.self, GradientMethodsPlugin.self, QuasiNewtonPlugin.self, LeastSquaresPlugin.self,
    NewtonKrylovPlugin.self, TrustRegionPlugin.self, NaturalGradientPlugin.self, MatrixPreconditionersPlugin.self,
    KroneckerCurvaturePlugin.self, VarianceReductionPlugin.self, StochasticCurvaturePlugin.self,
    TestFunctionsPlugin.self, PoissonPlugin.self, HelmholtzPlugin.self, BurgersPlugin.self, AllenCahnPlugin.self, ConvectionPlugin.self,
    ReactionPlugin.self, WavePlugin.self, HeatPlugin.self, FokkerPlanckPlugin.self, DeepRitzPlugin.self, WeakFormsPlugin.self,
    ClassificationPlugin.self, RegressionPlugin.self, DeepONetPlugin.self, SamplingPlugin.self, RunControlPlugin.self,
    DiagnosticsPlugin.self,
]

extension Registry {
    /// A registry with the built-in plugins installed.
    public static func withBuiltIns() throws -> Registry {
        var registry = Registry()
        for plugin in builtInPlugins { try registry.install(plugin) }
        return registry
    }
}
