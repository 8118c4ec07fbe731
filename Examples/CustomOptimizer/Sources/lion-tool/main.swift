import CurvatureCLI
import Lion

await CurvatureCLI.main(installing: [LionPlugin.self])
