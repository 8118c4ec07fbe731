import OptimizationCore

extension LevenbergMarquardt {
    /// JᵀJ or JJᵀ as `solver` says; none where J itself is factorised, or scaled before it is squared.
    public func square(parameters: Int, residuals: Int?) -> JacobianSquare? {
        guard let residuals else { return nil }
        switch solver.resolved(parameters: parameters, residuals: residuals) {
        case .kernel: return scaling == .identity ? .kernel : nil
        case .gramian: return .gramian
        default: return nil
        }
    }
}
