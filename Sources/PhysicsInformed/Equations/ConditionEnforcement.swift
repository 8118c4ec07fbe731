/// How the conditions of a PDE are imposed.
public enum ConditionEnforcement: String, Sendable, Hashable, CaseIterable {
    /// As loss terms, with points and weights of their own.
    case soft
    /// By the form of the fields, u = g + d·N with d = 0 where u = g is prescribed: they hold whatever the network says.
    case hard
}
