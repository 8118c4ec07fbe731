import Testing

/// Everything about the engine, one test at a time: some choose the instruction set or the number of threads of the process.
@Suite(.serialized) enum Engine {}
