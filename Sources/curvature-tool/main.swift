import CurvatureCLI

await CurvatureCLI.main()
