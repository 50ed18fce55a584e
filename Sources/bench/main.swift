import DuetCommandLine
import DuetRuntime

run(Options.command) { invocation in
  switch invocation.arguments.command.name {
  case tokenizerBenchmarkCommand.name: return try runTokenizerBenchmark(invocation)
  case kernelBenchmarkCommand.name: try runKernelBenchmark(invocation)
  case compressBenchmarkCommand.name: try runCompressBenchmark(invocation)
  case Options.writing.name: try writeSyntheticCheckpoint(invocation)
  default: try benchmarkModel(invocation)
  }
  return .success
}
