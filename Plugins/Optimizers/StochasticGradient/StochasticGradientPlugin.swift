import OptimizationCore

/// First-order methods with given rates: `sgd`, `adagrad`, `rmsprop`, `adadelta`, `adam` and its family, `lion`, `adan`, and the
/// schedule-free `schedule-free-sgd` and `schedule-free-adamw`.
public enum StochasticGradientPlugin: Plugin {
    public static let identifier = "stochastic-gradient"

    public static func register(in registry: inout Registry) throws {
        try registry.register(optimizer: StochasticGradientDescent.self)
        try registry.register(optimizer: AdaGrad.self)
        try registry.register(optimizer: RMSProp.self)
        try registry.register(optimizer: AdaDelta.self)
        try registry.register(optimizer: Adam.self)
        try registry.register(optimizer: AdamW.self)
        try registry.register(optimizer: AMSGrad.self)
        try registry.register(optimizer: NAdam.self)
        try registry.register(optimizer: RAdam.self)
        try registry.register(optimizer: AdaBelief.self)
        try registry.register(optimizer: Lion.self)
        try registry.register(optimizer: Adan.self)
        try registry.register(optimizer: ScheduleFreeSGD.self)
        try registry.register(optimizer: ScheduleFreeAdamW.self)
    }
}
