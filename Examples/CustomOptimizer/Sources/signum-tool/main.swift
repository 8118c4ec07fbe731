import CurvatureCLI
import Signum

await CurvatureCLI.main(installing: [SignumPlugin.self])
